"""Finishing the head of the best trial: logistic regression, its settings by cross-validation, on all photos.

The search's heads are trained by stochastic gradient descent. A linear layer's loss is convex, so its optimum can be
had exactly, and what decides then is how strongly it is regularised and how much the backbone's levels count. How the
way was chosen, and what it gains: docs/decisions/head.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

import contract
from training.data.class_weights import class_counts, class_weights
from training.embedding.store import SplitFeatures
from training.finishing.cross_validation import calibrated_losses, cross_validate
from training.finishing.rows import Photos, Rows
from training.loop.head_loop import head_logits
from training.loop.history import Scores, scores_of, standard_error
from training.model.head import Head, level_factors
from training.model.logistic_regression import Solution, solve

__all__ = ["Finished", "finish"]

_MARGIN: Final = 3.0
"""Standard errors by which the trained head must lead: by chance, a few photos easily show a lead of two."""

_TOLERANCE: Final = 1e-7


@dataclass(frozen=True)
class Finished:
    """The head to serve, and what is known of it."""

    head: Head
    validation: Scores
    """Of the head before it learnt from the validation photos too."""
    validated_head: Head
    """The head before it learnt from the validation photos too: what else is to be decided on them is decided by it."""
    held_out_logits: NDArray[np.float32]
    """(images, classes): logits of photos that the head which gave them had not learnt from."""
    held_out_labels: NDArray[np.int64]
    """(images,)"""


def finish(
    trained: Head,
    *,
    train: SplitFeatures,
    validation: SplitFeatures,
    levels: Sequence[int],
    hyperparameters: contract.Hyperparameters,
    weights: Sequence[Sequence[float]] | None = None,
) -> Finished:
    """Return the better of the trained head and the best logistic regression on the same features.

    Penalty and weight of the middle level are chosen by cross-validation over the training photos. The trained head
    stays only if its loss on the validation photos is lower by more than three standard errors: its learning rate and
    its epoch were chosen on the same photos. Otherwise the logistic regression learns from the validation photos too.
    It does not depend on the search, so that the same data and seed give the same model.

    Args:
        trained: the head of the kept epoch; it is not changed.
        train: in all its views.
        validation: of which the plain view is used.
        levels: sizes of the parts of a feature vector.
        hyperparameters: the training's.
        weights: the candidates for the levels' weights, if not those of `cross_validate`.
    """
    choice = cross_validate(trained, train=train, levels=levels, hyperparameters=hyperparameters, weights=weights)
    print(choice.description, flush=True)

    # the logistic regression with these settings, on the training photos alone
    factors = level_factors(levels, weights=choice.level_weights)
    scale = trained.scale * factors
    classes, dim = trained.linear.weight.shape
    of_classes = class_weights(class_counts(train.labels, classes=classes), wanted=hyperparameters.class_weights)
    photos = [Photos.every(train)]
    start = Solution.zero(classes=classes, dim=dim)

    def fitted(photos: Sequence[Photos], *, start: Solution) -> Solution:
        return solve(
            Rows(photos, mean=trained.mean, scale=scale),
            start=start,
            penalty=choice.penalty,
            label_smoothing=hyperparameters.label_smoothing,
            class_weights=of_classes,
            tolerance=_TOLERANCE,
        )

    alone = fitted(photos, start=start)
    finished = _head(trained, scale=scale, solution=alone)

    # beside the trained head, on the validation photos, calibrated as they would be served
    labels = validation.labels
    before, after = head_logits(trained, validation), head_logits(finished, validation)
    losses = {
        "trained": calibrated_losses(before, labels, of_classes),
        "finished": calibrated_losses(after, labels, of_classes),
    }
    lead = losses["finished"] - losses["trained"]
    scores = {"trained": scores_of(before, labels), "finished": scores_of(after, labels)}
    keep = "trained" if lead.mean() > _MARGIN * standard_error(lead) else "finished"
    print(
        f"trained head: calibrated loss {losses['trained'].mean():.4f}, accuracy {scores['trained'].accuracy:.4f}; "
        f"logistic regression: {losses['finished'].mean():.4f}, {scores['finished'].accuracy:.4f}; the difference has "
        f"a standard error of {standard_error(lead):.4f} on {len(labels)} validation photos; kept: "
        f"{'the trained head' if keep == 'trained' else 'the logistic regression, which learns from them too'}",
        flush=True,
    )
    if keep == "trained":
        return Finished(trained, scores["trained"], trained, before, labels)

    # learn from the validation photos too
    both = fitted([*photos, Photos.every(validation, views=1)], start=alone)
    return Finished(
        head=_head(trained, scale=scale, solution=both),
        validation=scores["finished"],
        validated_head=finished,
        held_out_logits=np.concatenate([choice.logits, after]),
        held_out_labels=np.concatenate([choice.labels, labels]),
    )


def _head(like: Head, *, scale: Tensor, solution: Solution) -> Head:
    """Return a head that standardises as `like` does, with its own scale and layer."""
    head = Head(mean=like.mean.clone(), scale=scale.clone(), classes=len(solution.bias))
    head.linear.load_state_dict({"weight": solution.weight, "bias": solution.bias})
    return head
