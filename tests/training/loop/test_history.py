"""Which epoch of a training is kept: the settled one, not the luckiest."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from training.loop.history import Epoch, History, Scores, epoch_line, scores_of

NOTHING = np.empty(0, dtype=np.int64)


def kept_epoch(*epochs: tuple[float, float], error: float = 0.05) -> int:
    """Number of the kept epoch, of (loss, accuracy) an epoch; its weights must be the ones that are kept."""
    history = History()
    for number, (loss, accuracy) in enumerate(epochs, start=1):
        scores = Scores(loss=loss, loss_error=error, accuracy=accuracy, predictions=NOTHING)
        history.add(Epoch(number=number, train_loss=1.0, validation=scores), {"number": torch.tensor(number)})
    assert history.kept is not None
    assert history.weights == {"number": torch.tensor(history.kept.number)}
    return history.kept.number


def test_a_settled_end_wins_over_an_early_lucky_epoch() -> None:
    assert kept_epoch((0.79, 0.875), (0.6, 0.85), (0.49, 0.86), (0.47, 0.867)) == 4


def test_the_latest_epoch_within_a_standard_error_of_the_lowest_loss_is_kept() -> None:
    assert kept_epoch((0.9, 0.7), (0.50, 0.8), (0.54, 0.8), (0.53, 0.79)) == 4
    assert kept_epoch((0.9, 0.7), (0.50, 0.8), (0.54, 0.8), (0.56, 0.9)) == 3


def test_the_error_is_that_of_the_lowest_loss_and_losses_do_not_creep_up() -> None:
    assert kept_epoch((0.50, 0.8), (0.54, 0.8), (0.58, 0.8)) == 2


def test_a_training_that_overfits_goes_back_to_its_best() -> None:
    assert kept_epoch((0.6, 0.8), (0.4, 0.85), (0.7, 0.84), (0.9, 0.83)) == 2


def test_a_loss_that_is_not_a_number_is_never_kept_beside_one_that_is() -> None:
    assert kept_epoch((0.5, 0.8), (float("nan"), 0.9)) == 1
    assert kept_epoch((float("nan"), 0.9), (0.5, 0.8)) == 2


def test_a_resumed_training_keeps_the_same_epoch() -> None:
    losses = [0.5, 0.53, 0.56, 0.52, 0.7]
    history = History()
    for number, loss in enumerate(losses, start=1):
        # as if killed after every epoch; tensors go through torch.save, the rest through JSON's types
        state = history.state()
        history = History()
        history.restore({**json.loads(json.dumps({**state, "weights": None})), "weights": state["weights"]})
        scores = Scores(loss=loss, loss_error=0.04, accuracy=0.5, predictions=NOTHING)
        history.add(Epoch(number=number, train_loss=1.0, validation=scores), {"number": torch.tensor(number)})
    assert history.kept is not None
    assert history.kept.number == 4
    assert history.weights == {"number": torch.tensor(4)}
    assert [epoch.validation.loss_error for epoch in history.epochs] == [0.04] * 5


def test_the_standard_error_is_that_of_the_mean_over_the_photos() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(50, 3)), np.arange(50) % 3
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(50), labels]
    scores = scores_of(logits, labels)
    assert scores.loss == pytest.approx(losses.mean())
    assert scores.loss_error == pytest.approx(losses.std(ddof=1) / np.sqrt(50))


def test_a_single_photo_has_no_standard_error() -> None:
    assert scores_of(np.zeros((1, 2)), np.zeros(1, dtype=np.int64)).loss_error == 0


def test_the_log_says_how_sure_the_loss_is() -> None:
    scores = Scores(loss=0.5, loss_error=0.04, accuracy=0.9, predictions=NOTHING)
    line = epoch_line(Epoch(number=2, train_loss=0.4, validation=scores), epochs=5)
    assert line == (
        "epoch 2/5: train:loss=0.400000; validation:loss=0.500000; (standard error 0.040000) "
        "validation:accuracy=0.900000;"
    )
