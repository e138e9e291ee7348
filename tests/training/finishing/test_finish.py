"""The finished head beside a plain logistic regression, which scipy fits, and the choices that it makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

import contract
from training.embedding.store import SplitFeatures
from training.evaluation.calibration import fit_temperature, softmax
from training.evaluation.coverage import lowest_score
from training.finishing import cross_validation, rows
from training.finishing import finish as finish_module
from training.finishing.cross_validation import Choice
from training.finishing.finish import Finished, finish
from training.loop.head_loop import fit, head_logits
from training.loop.history import History, photo_losses, scores_of, standard_error
from training.model.head import Head, level_factors, new_head
from training.model.logistic_regression import Solution, solve

LEVELS = [10, 10]


@dataclass(frozen=True)
class Data:
    """Classes around points of both levels, `noise` apart; of a middle level that knows nothing if `middle` is 0."""

    noise: float
    middle: float
    shares: tuple[float, ...] = (1, 1, 1, 1)
    views: int = 3
    images: int = 120

    def split(self, *, seed: int, images: int | None = None, views: int | None = None) -> SplitFeatures:
        rng = np.random.default_rng(seed)
        shares = np.array(self.shares) / sum(self.shares)
        labels = rng.choice(len(shares), size=images or self.images, p=shares)
        labels[: len(shares)] = np.arange(len(shares))
        centres = np.random.default_rng(5).normal(size=(len(shares), 20))
        centres[:, :10] *= self.middle
        photo = centres[labels] + self.noise * rng.normal(size=(len(labels), 20))
        features = photo + 0.3 * self.noise * rng.normal(size=(views or self.views, len(labels), 20))
        return SplitFeatures(features=features.astype(np.float32), labels=labels, paths=[""] * len(labels))


def trained_head(train: SplitFeatures, *, learning_rate: float = 0.03, validation: SplitFeatures) -> Head:
    torch.manual_seed(0)
    head, history = new_head(train.features, levels=LEVELS, classes=1 + int(train.labels.max())), History()
    values = contract.Hyperparameters(epochs=5, learning_rate=learning_rate, batch_size=16)
    list(fit(head, train=train, validation=validation, hyperparameters=values, history=history))
    head.load_state_dict(history.weights)
    return head


def finished(
    train: SplitFeatures,
    validation: SplitFeatures,
    *,
    head: Head | None = None,
    levels: list[int] = LEVELS,
    seed: int = 0,
    class_weights: str = "none",
    groups: list[str] | None = None,
) -> Finished:
    return finish(
        head or trained_head(train, validation=validation),
        train=train,
        validation=validation,
        levels=levels,
        hyperparameters=contract.Hyperparameters(seed=seed, class_weights=class_weights),
        groups=groups or [],
    )


def served_losses(result: Finished, test: SplitFeatures) -> NDArray[np.float64]:
    """The loss of each test photo, calibrated as the served model is."""
    temperature = fit_temperature(result.held_out_logits, result.held_out_labels)
    return photo_losses(head_logits(result.head, test).astype(np.float64) / temperature, test.labels)


def peer_losses(learnt: list[SplitFeatures], test: SplitFeatures) -> NDArray[np.float64]:
    """scikit-learn's `LogisticRegression(C=1)` on standardised plain features, by scipy and in double precision."""
    features = np.concatenate([np.asarray(split.features[0], dtype=np.float64) for split in learnt])
    labels = np.concatenate([split.labels for split in learnt])
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    scaled, classes = (features - mean) / deviation, 1 + int(labels.max())
    hot = np.eye(classes)[labels]

    def cost(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        layer = flat.reshape(classes, -1)
        logits = scaled @ layer[:, :-1].T + layer[:, -1]
        logits -= logits.max(axis=1, keepdims=True)
        log_shares = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        away = np.exp(log_shares) - hot
        slope = np.column_stack([away.T @ scaled + layer[:, :-1], away.sum(axis=0)])
        return -(hot * log_shares).sum() + (layer[:, :-1] ** 2).sum() / 2, slope.ravel()

    layer = minimize(cost, np.zeros(classes * 21), jac=True, method="L-BFGS-B").x.reshape(classes, -1)
    seen = (np.asarray(test.features[0], dtype=np.float64) - mean) / deviation
    return photo_losses(seen @ layer[:, :-1].T + layer[:, -1], test.labels)


@pytest.mark.parametrize(
    "data",
    [
        Data(noise=0.5, middle=1.0),
        Data(noise=2.0, middle=1.0),
        Data(noise=1.0, middle=0.0),
        Data(noise=2.0, middle=0.3, images=40),
        Data(noise=1.5, middle=1.0, shares=(20, 3, 1, 1)),
    ],
    ids=["clear", "noisy", "a level of noise", "few photos", "imbalanced"],
)
def test_it_is_never_worse_than_plain_logistic_regression(data: Data) -> None:
    behind = []
    for seed in range(4):
        train, validation = data.split(seed=10 * seed), data.split(seed=10 * seed + 1, images=30, views=1)
        test = data.split(seed=10 * seed + 2, images=1000, views=1)
        mine = served_losses(finished(train, validation, seed=seed), test)
        behind.append(float((mine - peer_losses([train, validation], test)).mean()))
    assert np.mean(behind) < standard_error(np.array(behind))


def test_with_class_weights_it_is_better_over_the_classes_than_without() -> None:
    data = Data(noise=1.5, middle=1.0, shares=(20, 3, 1, 1))
    lead, recalls = [], {"auto": 0.0, "none": 0.0}
    for seed in range(4):
        train, validation = data.split(seed=10 * seed), data.split(seed=10 * seed + 1, images=30, views=1)
        test = data.split(seed=10 * seed + 2, images=1000, views=1)
        losses = {}
        for wanted in recalls:
            result = finished(train, validation, seed=seed, class_weights=wanted)
            right = head_logits(result.head, test).argmax(axis=1) == test.labels
            recalls[wanted] += np.mean([right[test.labels == label].mean() for label in range(4)]) / 4
            losses[wanted] = served_losses(result, test)
        each = [[losses[w][test.labels == label].mean() for label in range(4)] for w in ("none", "auto")]
        lead.append(float(np.mean(each[0]) - np.mean(each[1])))
    assert recalls["auto"] > recalls["none"] + 0.05
    assert np.mean(lead) > 0


def test_a_level_that_knows_nothing_is_left_out_and_one_that_knows_is_used() -> None:
    deaf, knowing = (
        finished(data.split(seed=0), data.split(seed=1, views=1)).head.scale
        for data in (Data(noise=1.5, middle=0.0, images=300), Data(noise=1.5, middle=1.0, images=300))
    )
    assert bool((deaf[:10] == 0).all())
    assert bool((deaf[10:] > 0).all())
    assert bool((knowing > 0).all())


def test_a_backbone_of_one_level_is_finished_too() -> None:
    data = Data(noise=1.0, middle=1.0)
    train, validation = data.split(seed=0), data.split(seed=1, views=1)
    head = new_head(train.features, levels=[20], classes=4)
    result = finished(train, validation, head=head, levels=[20])
    assert torch.equal(result.head.scale, head.scale)
    assert scores_of(head_logits(result.head, data.split(seed=2)), data.split(seed=2).labels).accuracy > 0.8


def test_it_does_not_depend_on_what_the_search_found() -> None:
    data = Data(noise=1.5, middle=1.0)
    train, validation = data.split(seed=0), data.split(seed=1, views=1)
    heads = [trained_head(train, learning_rate=rate, validation=validation) for rate in (0.001, 0.03)]
    one, other = (finished(train, validation, head=head).head.state_dict() for head in heads)
    assert not torch.equal(*(head.linear.weight for head in heads))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_trained_head_that_is_clearly_better_on_validation_stays(
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = Data(noise=1.0, middle=1.0)
    train, validation = data.split(seed=0), data.split(seed=1, views=1)
    turned = SplitFeatures(validation.features, (validation.labels + 1) % 4, validation.paths)
    head = trained_head(turned, validation=turned)
    result = finished(train, turned, head=head)
    assert result.head is head
    np.testing.assert_array_equal(result.held_out_logits, head_logits(head, turned))
    np.testing.assert_array_equal(result.held_out_labels, turned.labels)
    assert result.validation.accuracy > 0.8
    assert "kept: the trained head" in capsys.readouterr().out


def test_the_validation_photos_are_learnt_from_but_not_judged_afterwards() -> None:
    """A class that only the validation photos show: the model knows it, its validation scores do not."""
    data = Data(noise=0.3, middle=1.0)
    train, validation = data.split(seed=0), data.split(seed=1, views=1)
    known = np.flatnonzero(train.labels != 3)
    without = SplitFeatures(np.asarray(train.features)[:, known], train.labels[known], [""] * len(known))
    head = new_head(without.features, levels=LEVELS, classes=4)
    result = finished(without, validation, head=head)
    of_class = validation.labels == 3
    assert (head_logits(result.head, validation).argmax(axis=1)[of_class] == 3).all()
    assert result.validation.accuracy <= (~of_class).mean()


def test_the_logits_that_the_temperature_is_fitted_on_are_of_photos_held_out() -> None:
    """With random labels, whoever had learnt from the photos would be right about them."""
    data = Data(noise=1.0, middle=1.0, images=90)
    train, validation = data.split(seed=0), data.split(seed=1, images=30, views=1)
    rng = np.random.default_rng(3)
    splits = [SplitFeatures(s.features, rng.integers(4, size=len(s.labels)), s.paths) for s in (train, validation)]
    head = new_head(train.features, levels=LEVELS, classes=4)
    result = finished(*splits, head=head)
    assert result.held_out_logits.shape == (120, 4)
    right = result.held_out_logits.argmax(axis=1) == result.held_out_labels
    assert right.mean() < 0.4
    assert sorted(result.held_out_labels) == sorted(np.concatenate([split.labels for split in splits]))


def test_a_handful_of_photos_has_held_out_scores_too() -> None:
    data = Data(noise=1.0, middle=1.0, images=4)
    train, validation = data.split(seed=0), data.split(seed=1, views=1)
    result = finished(train, validation, head=new_head(train.features, levels=LEVELS, classes=4))
    assert np.isfinite(result.held_out_logits).all()
    assert (np.abs(result.held_out_logits).sum(axis=1) > 0).all()
    np.testing.assert_array_equal(result.held_out_labels, np.concatenate([train.labels, validation.labels]))


def test_features_that_do_not_fit_in_memory_give_the_same_head(monkeypatch: pytest.MonkeyPatch) -> None:
    data = Data(noise=1.5, middle=1.0)
    train, validation = data.split(seed=0), data.split(seed=1, views=1)
    head = trained_head(train, validation=validation)
    whole = finished(train, validation, head=head)
    monkeypatch.setattr(rows, "MEMORY", 0)
    monkeypatch.setattr(rows, "_CHUNK", 50)
    streamed = finished(train, validation, head=head)
    torch.testing.assert_close(streamed.head.scale, whole.head.scale)
    mine, other = (head_logits(each.head, validation) for each in (streamed, whole))
    mine, other = (logits - logits.mean(axis=1, keepdims=True) for logits in (mine, other))
    np.testing.assert_allclose(mine, other, atol=0.05)


def test_penalties_chosen_on_a_share_of_the_photos_are_weakened_for_all_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A penalty stands against the mean loss, so the more photos there are, the less of it they need."""
    data = Data(noise=1.0, middle=1.0)
    train, validation = data.split(seed=0), data.split(seed=1, views=1)
    tried: list[Choice] = []
    fitted: list[float] = []

    def cross_validated(*given: Any, **named: Any) -> Choice:
        tried.append(cross_validation.cross_validate(*given, **named))
        return tried[0]

    def solved(*given: Any, penalty: float, **named: Any) -> Solution:
        fitted.append(penalty)
        return solve(*given, penalty=penalty, **named)

    monkeypatch.setattr(cross_validation, "_LOGITS", 60 * 4 * 3)
    monkeypatch.setattr(finish_module, "cross_validate", cross_validated)
    monkeypatch.setattr(finish_module, "solve", solved)
    finished(train, validation, head=new_head(train.features, levels=LEVELS, classes=4))
    assert fitted == [each.penalty / 2 for each in tried[0].members] * 2, "nor is a fold of all photos fitted then"


def test_the_served_head_gives_the_mean_of_its_members_calibrated_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    data = Data(noise=1.5, middle=1.0)
    train, validation = data.split(seed=0), data.split(seed=1, views=1)
    solutions: list[Solution] = []

    def solved(*given: Any, **named: Any) -> Solution:
        solutions.append(solve(*given, **named))
        return solutions[-1]

    monkeypatch.setattr(cross_validation, "good_enough", lambda candidates: candidates[:3])
    monkeypatch.setattr(finish_module, "solve", solved)
    head = new_head(train.features, levels=LEVELS, classes=4)
    choice = cross_validation.cross_validate(
        head, train=train, levels=LEVELS, hyperparameters=contract.Hyperparameters()
    )
    result = finished(train, validation, head=head)

    plain = torch.from_numpy(np.asarray(validation.features[0]))
    expected = np.zeros((len(validation.labels), 4))
    # the first three are of the training photos alone, and those after the next three of the folds
    for member, solution in zip(choice.members, solutions[3:6], strict=True):
        scale = head.scale * level_factors(LEVELS, weights=member.level_weights)
        expected += solution.logits((plain - head.mean) * scale).numpy() / member.temperature / 3
    np.testing.assert_allclose(head_logits(result.head, validation), expected, atol=1e-4)


def test_the_log_says_what_was_chosen_and_by_how_much(capsys: pytest.CaptureFixture[str]) -> None:
    data = Data(noise=1.0, middle=1.0)
    finished(data.split(seed=0), data.split(seed=1, views=1))
    log = capsys.readouterr().out
    assert "of 4 weights of the features, each with the best of 8 penalties in 3-fold cross-validation" in log
    assert "on 120 training photos: calibrated loss" in log
    assert "kept: the logistic regression, which learns from them too" in log


def test_sets_of_labels_hold_the_right_one_as_often_as_the_held_out_photos_promise() -> None:
    """Heads that learnt from much less than the served one are less sure, and their scores promise too little."""
    data = Data(noise=1.0, middle=1.0, images=30)
    realised = []
    for seed in range(12):
        train, validation = data.split(seed=10 * seed), data.split(seed=10 * seed + 1, images=10, views=1)
        test = data.split(seed=10 * seed + 2, images=1000, views=1)
        result = finished(train, validation, head=new_head(train.features, levels=LEVELS, classes=4), seed=seed)
        temperature = fit_temperature(result.held_out_logits, result.held_out_labels)
        held, served = (
            softmax(logits / temperature)[np.arange(len(labels)), labels].astype(np.float64)
            for logits, labels in (
                (result.held_out_logits, result.held_out_labels),
                (head_logits(result.head, test), test.labels),
            )
        )
        lowest = lowest_score(held, level=0.8)
        assert lowest is not None
        realised.append(float((served >= lowest).mean()))
    assert np.mean(realised) == pytest.approx(0.8, abs=0.025)


def _in_bursts(split: SplitFeatures, *, size: int) -> SplitFeatures:
    """A split in which every photo is a burst of `size` that look almost the same."""
    features = np.repeat(np.asarray(split.features), size, axis=1)
    features += 0.05 * np.random.default_rng(0).normal(size=features.shape).astype(np.float32)
    labels = np.repeat(split.labels, size)
    return SplitFeatures(features, labels, [""] * len(labels))


def test_no_photo_of_a_group_is_scored_by_a_head_that_learnt_from_the_others_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With random labels, whoever had seen a photo of the same burst would be right about all of it.

    So would a choice of the penalty by such heads be for the weakest.
    """
    monkeypatch.setattr(finish_module, "_MARGIN", np.inf)  # an untrained head, which is never sure, would be better
    data, rng = Data(noise=1.0, middle=1.0, images=30, views=1), np.random.default_rng(3)
    splits = []
    for seed, images in ((0, 30), (1, 10)):
        one = data.split(seed=seed, images=images)
        splits.append(_in_bursts(SplitFeatures(one.features, rng.integers(4, size=images), one.paths), size=5))
    groups = [f"burst {at // 5}" for at in range(200)]
    head = new_head(splits[0].features, levels=LEVELS, classes=4)
    right, strength = {}, {}
    for given in ("groups", "none"):
        result = finished(*splits, head=head, groups=groups if given == "groups" else None)
        right[given] = (result.held_out_logits.argmax(axis=1) == result.held_out_labels).mean()
        strength[given] = result.settings.strength
    assert right["groups"] < 0.5 < right["none"]
    assert strength["groups"] > 10 * strength["none"]


def test_a_class_of_two_groups_is_held_out_photo_by_photo() -> None:
    data = Data(noise=0.3, middle=1.0, views=1)
    train, validation = data.split(seed=0), data.split(seed=1)
    groups = [f"{label} {at % 2}" for at, label in enumerate([*train.labels, *validation.labels])]
    head = new_head(train.features, levels=LEVELS, classes=4)
    one, other = (finished(train, validation, head=head, groups=given) for given in (groups, None))
    np.testing.assert_array_equal(one.held_out_logits, other.held_out_logits)
