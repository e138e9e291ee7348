"""The rule of choice, and the folds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import contract
from training.embedding.store import SplitFeatures
from training.evaluation.calibration import fit_temperature
from training.finishing import cross_validation
from training.finishing.cross_validation import PENALTIES, Candidate, cross_validate, folds, good_enough
from training.model.head import Head, new_head


def candidates(means: list[float], *, noise: float = 0.0) -> list[Candidate]:
    """Candidates whose losses on 100 photos have these means; what differs between two is noise of its own."""
    drawn = np.random.default_rng(0).normal(size=(len(means), 100))
    drawn -= drawn.mean(axis=1, keepdims=True)
    return [
        Candidate(
            level_weights=[float(number), 1.0],
            penalty=1e-3,
            logits=np.zeros((100, 2), dtype=np.float32),
            losses=mean + noise * losses,
            temperature=1.0,
        )
        for number, (mean, losses) in enumerate(zip(means, drawn, strict=True))
    ]


def chosen(of: list[Candidate]) -> list[float]:
    return [each.level_weights[0] for each in good_enough(of)]


def test_the_lowest_loss_is_taken_alone_where_it_is_clearly_lower() -> None:
    assert chosen(candidates([0.5, 0.4, 0.8])) == [1]


def test_all_within_one_standard_error_of_the_lowest_are_taken() -> None:
    # the difference of two candidates has a standard error of 0.1 x sqrt(2) / 10
    assert chosen(candidates([0.5, 0.42, 0.41, 0.43], noise=0.1)) == [1, 2]
    assert chosen(candidates([0.41, 0.45, 0.40], noise=0.1)) == [0, 2]


def overlapping() -> tuple[SplitFeatures, Head]:
    """Sixty photos of two classes that overlap, and an untrained head for them."""
    labels = np.arange(60) % 2
    features = np.random.default_rng(0).normal(size=(1, 60, 6)) + 0.5 * labels[:, None]
    train = SplitFeatures(features.astype(np.float32), labels, [""] * 60)
    return train, new_head(train.features, levels=[2, 4], classes=2)


def test_the_held_out_logits_are_the_mean_of_the_members_calibrated_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    train, head = overlapping()
    monkeypatch.setattr(cross_validation, "good_enough", lambda each: each[1:3])
    choice = cross_validate(head, train=train, levels=[2, 4], hyperparameters=contract.Hyperparameters())
    one, other = choice.members
    assert [each.level_weights for each in choice.members] == [[0.25, 1.0], [0.5, 1.0]]
    expected = (one.logits / one.temperature + other.logits / other.temperature) / 2
    np.testing.assert_allclose(choice.logits, expected, rtol=1e-5)
    for each in choice.members:
        assert each.temperature == pytest.approx(fit_temperature(each.logits, choice.labels))


def test_each_fold_has_its_share_of_every_class() -> None:
    labels = np.repeat([0, 1, 2], [30, 7, 1])
    fold_of = folds(labels, np.random.default_rng(0))
    counts = np.array([np.bincount(labels[fold_of == fold], minlength=3) for fold in range(3)])
    assert counts.sum(axis=0).tolist() == [30, 7, 1]
    assert (counts.max(axis=0) - counts.min(axis=0) <= 1).all()
    other = folds(labels, np.random.default_rng(1))
    assert (fold_of != other).any()


@pytest.mark.parametrize("images", [2, 4, 7])
def test_a_handful_of_photos_is_enough(images: int) -> None:
    labels = np.arange(images) % 2
    features = np.random.default_rng(0).normal(size=(2, images, 6)) + labels[:, None]
    train = SplitFeatures(features.astype(np.float32), labels, [""] * images)
    head = new_head(train.features, levels=[2, 4], classes=2)
    choice = cross_validate(head, train=train, levels=[2, 4], hyperparameters=contract.Hyperparameters())
    assert np.isfinite(choice.logits).all()
    assert len(choice.labels) == images


@pytest.mark.parametrize(
    ("limit", "value"),
    [("MEMORY", 4 * 100 * (6 + 2 * len(PENALTIES))), ("_LOGITS", 200)],
    ids=["memory", "time"],
)
def test_of_many_photos_a_sample_is_tried_and_the_penalty_weakened_accordingly(
    monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    labels = np.arange(200) % 2
    features = np.random.default_rng(0).normal(size=(1, 200, 6)) + labels[:, None]
    train = SplitFeatures(features.astype(np.float32), labels, [""] * 200)
    monkeypatch.setattr(cross_validation, limit, value)
    head = new_head(train.features, levels=[2, 4], classes=2)
    choice = cross_validate(head, train=train, levels=[2, 4], hyperparameters=contract.Hyperparameters())
    assert len(choice.labels) == 100
    assert choice.share == 0.5


def test_a_penalty_at_the_edge_of_its_range_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    train, head = overlapping()
    monkeypatch.setattr(cross_validation, "PENALTIES", (1e-1, 1e-2, 1e-3))
    for best, said in enumerate(["penalty 0.1 (the edge of the range)", "penalty 0.01;", "penalty 0.001 (the edge"]):
        tried = itertools.count()

        def losses(*_: object, best: int = best, tried: itertools.count[int] = tried) -> np.ndarray:
            return np.full(60, float(next(tried) % 3 != best))

        monkeypatch.setattr(cross_validation, "calibrated_losses", losses)
        choice = cross_validate(head, train=train, levels=[2, 4], hyperparameters=contract.Hyperparameters())
        assert said in choice.description
