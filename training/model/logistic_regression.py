"""Multinomial logistic regression with an L2 penalty, solved to its only optimum by L-BFGS."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Batch", "Solution", "solve"]

_ITERATIONS: Final = 200
_HISTORY: Final = 10
"""Past steps from which L-BFGS estimates the curvature."""


@dataclass(frozen=True)
class Batch:
    """Some of the rows that are fitted."""

    features: Tensor
    """(N, dim)"""
    labels: Tensor
    """int64, (N,)"""
    weights: Tensor
    """How much each row counts, (N,)."""


@dataclass(frozen=True)
class Solution:
    """A fitted linear layer."""

    weight: Tensor
    """(classes, dim)"""
    bias: Tensor
    """(classes,)"""

    @classmethod
    def zero(cls, *, classes: int, dim: int) -> Solution:
        """Return the layer that gives all classes the same logits, from which a fit may start."""
        return cls(weight=torch.zeros(classes, dim), bias=torch.zeros(classes))

    def logits(self, features: Tensor) -> Tensor:
        """Return the logits (N, classes) of features (N, dim)."""
        return functional.linear(features, self.weight, self.bias)


def solve(
    batches: Iterable[Batch],
    *,
    start: Solution,
    penalty: float,
    label_smoothing: float = 0.0,
    class_weights: Tensor | None = None,
    tolerance: float = 1e-6,
) -> Solution:
    """Return the layer with the lowest mean cross-entropy over the rows plus `penalty` / 2 x its squared weights.

    The problem is convex: `start` decides how long it takes and not, beyond `tolerance`, what comes out. The bias is
    not penalised.

    Args:
        batches: all rows, iterated anew in every evaluation; several batches only save memory.
        start: where to begin; a solution with a similar penalty saves half of the iterations.
        penalty: strength of the L2 penalty; scikit-learn's `C` is 1 / (rows x penalty).
        label_smoothing: share of each label that is spread over all classes.
        class_weights: `weight` of PyTorch's cross-entropy, (classes,); None where all classes count the same.
        tolerance: ends the iterations once the loss or the weights change by less.
    """
    weight, bias = (value.clone().requires_grad_() for value in (start.weight, start.bias))
    total = sum(float(batch.weights.sum()) for batch in batches)
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=_ITERATIONS,
        history_size=_HISTORY,
        tolerance_grad=tolerance,
        tolerance_change=tolerance,
        line_search_fn="strong_wolfe",
    )

    def evaluate() -> float:
        """Return the penalised loss, and leave its gradient in the parameters."""
        optimizer.zero_grad()
        penalised = penalty / 2 * weight.square().sum()
        penalised.backward()  # type: ignore[no-untyped-call]
        value = penalised.item()
        for batch in batches:
            losses = functional.cross_entropy(
                functional.linear(batch.features, weight, bias),
                batch.labels,
                weight=class_weights,
                reduction="none",
                label_smoothing=label_smoothing,
            )
            loss = (losses * batch.weights).sum() / total
            loss.backward()  # type: ignore[no-untyped-call]
            value += loss.item()
        return float(value)

    optimizer.step(evaluate)  # type: ignore[no-untyped-call]
    return Solution(weight=weight.detach(), bias=bias.detach())
