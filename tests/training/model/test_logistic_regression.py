"""The solver, judged by the conditions of an optimum, written out in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.model.logistic_regression import Batch, Solution, solve

START = Solution.zero(classes=4, dim=6)


def rows(count: int = 200, *, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    labels = rng.integers(4, size=count)
    features = rng.normal(size=(count, 6)) + np.random.default_rng(9).normal(size=(4, 6))[labels]
    return Batch(
        features=torch.from_numpy(features).float(),
        labels=torch.from_numpy(labels),
        weights=torch.from_numpy(rng.uniform(0.5, 2, size=count)).float(),
    )


def log_shares(solution: Solution, batch: Batch) -> torch.Tensor:
    """What the classes are given: a constant added to all logits changes nothing."""
    return solution.logits(batch.features).log_softmax(dim=1)


def gradient(solution: Solution, batch: Batch, *, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """The gradient of the penalised loss, written out in numpy."""
    features, labels, weights = (value.numpy().astype(np.float64) for value in vars(batch).values())
    logits = features @ solution.weight.numpy().T + solution.bias.numpy()
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    away = (shares - np.eye(4)[labels.astype(int)]) * weights[:, None] / weights.sum()
    return away.T @ features + penalty * solution.weight.numpy(), away.sum(axis=0)


@pytest.mark.parametrize("penalty", [1e-4, 1e-2, 1.0])
def test_the_solution_is_the_optimum_of_the_penalised_loss(penalty: float) -> None:
    batch = rows()
    solution = solve([batch], start=START, penalty=penalty, tolerance=1e-8)
    for part in gradient(solution, batch, penalty=penalty):
        assert np.abs(part).max() < 3e-4  # the loss itself is of order 1, in float32


def test_where_it_starts_and_how_the_rows_are_cut_do_not_matter() -> None:
    batch = rows()
    whole = solve([batch], start=START, penalty=1e-2, tolerance=1e-8)
    cuts = [Batch(*(value[at : at + 70] for value in vars(batch).values())) for at in range(0, 200, 70)]
    elsewhere = Solution(weight=torch.ones(4, 6), bias=torch.arange(4.0))
    other = solve(cuts, start=elsewhere, penalty=1e-2, tolerance=1e-8)
    torch.testing.assert_close(log_shares(whole, batch), log_shares(other, batch), atol=5e-3, rtol=5e-3)


def test_a_stronger_penalty_gives_smaller_weights_and_leaves_the_bias_alone() -> None:
    batch = rows()
    weak, strong = (solve([batch], start=START, penalty=penalty) for penalty in (1e-3, 1e3))
    assert strong.weight.abs().max() < 1e-2 < weak.weight.abs().max()
    shares = torch.bincount(batch.labels, weights=batch.weights.double())
    torch.testing.assert_close(strong.bias.softmax(dim=0), (shares / shares.sum()).float(), atol=1e-2, rtol=0)


def test_a_row_of_weight_two_counts_as_two_rows() -> None:
    batch = rows(60)
    twice = Batch(batch.features, batch.labels, 2 * torch.ones(60))
    doubled = Batch(batch.features.repeat(2, 1), batch.labels.repeat(2), torch.ones(120))
    heavy = Batch(
        torch.cat([batch.features, batch.features[:20]]), torch.cat([batch.labels, batch.labels[:20]]), torch.ones(80)
    )
    weighed = Batch(batch.features, batch.labels, 1 + (torch.arange(60) < 20).float())
    for one, other in ((twice, doubled), (heavy, weighed)):
        first, second = (solve([each], start=START, penalty=1e-2, tolerance=1e-8) for each in (one, other))
        torch.testing.assert_close(log_shares(first, batch), log_shares(second, batch), atol=5e-3, rtol=5e-3)


def test_a_class_of_weight_two_counts_as_if_its_rows_were_there_twice() -> None:
    batch = rows(60)
    weights = torch.tensor([2.0, 1.0, 1.0, 0.5])
    of_rows = Batch(batch.features, batch.labels, batch.weights * weights[batch.labels])
    # the mean is over the rows, so that the penalty weighs the same where the weights' mean is 1
    penalty = 1e-2 * float(batch.weights.sum() / of_rows.weights.sum())
    by_class = solve([batch], start=START, penalty=1e-2, class_weights=weights, tolerance=1e-8)
    by_row = solve([of_rows], start=START, penalty=penalty, tolerance=1e-8)
    torch.testing.assert_close(log_shares(by_class, batch), log_shares(by_row, batch), atol=5e-3, rtol=5e-3)


def test_label_smoothing_keeps_the_logits_within_bounds() -> None:
    batch = rows()
    plain, smooth = (solve([batch], start=START, penalty=1e-5, label_smoothing=value) for value in (0.0, 0.2))
    assert smooth.logits(batch.features).abs().max() < plain.logits(batch.features).abs().max()
