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
import torch
from numpy.typing import NDArray

import contract
from training.data.class_weights import class_counts, class_weights
from training.embedding.store import SplitFeatures
from training.finishing.cross_validation import (
    FOLD_TOLERANCE,
    Candidate,
    calibrated_losses,
    cross_validate,
    folds,
)
from training.finishing.group_accuracy import HeadSettings
from training.finishing.rows import Photos, Rows
from training.loop.head_loop import head_logits
from training.loop.history import Scores, scores_of, standard_error
from training.model.head import Head, level_factors
from training.model.logistic_regression import Solution, solve

__all__ = ["Finished", "finish"]

_MARGIN: Final = 3.0
"""Standard errors by which the trained head must lead: by chance, a few photos easily show a lead of two."""

_TOLERANCE: Final = 1e-7

_FOLDS: Final = 10
"""In which the chosen settings are fitted once more: heads that learnt from nine tenths of the photos are about as sure
as the served one, which sets of labels with a promise need (docs/decisions/unknown.md)."""


@dataclass(frozen=True)
class Finished:
    """The head to serve, and what is known of it."""

    head: Head
    validation: Scores
    """Of the head before it learnt from the validation photos too."""
    validation_images: int
    validated_head: Head
    """The head before it learnt from the validation photos too: what else is to be decided on them is decided by it."""
    held_out_logits: NDArray[np.float32]
    """(images, classes): of training and validation photos, by heads that had not learnt from them."""
    held_out_labels: NDArray[np.int64]
    """(images,)"""
    settings: HeadSettings
    """Those of the best logistic regression, to fit it again on other photos."""


def finish(
    trained: Head,
    *,
    train: SplitFeatures,
    validation: SplitFeatures,
    levels: Sequence[int],
    hyperparameters: contract.Hyperparameters,
    weights: Sequence[Sequence[float]] | None = None,
    groups: Sequence[str] = (),
) -> Finished:
    """Return the better of the trained head and the best logistic regression on the same features.

    Penalties and weights of the middle level are chosen by cross-validation over the training photos; the logits of
    those that are good enough are averaged, which is one linear layer again. The trained head stays only if its loss on
    the validation photos is lower by more than three standard errors: its learning rate and its epoch were chosen on
    the same photos. Otherwise the logistic regression learns from the validation photos too. It does not depend on the
    search, so that the same data and seed give the same model.

    Args:
        trained: the head of the kept epoch; it is not changed.
        train: in all its views.
        validation: of which the plain view is used.
        levels: sizes of the parts of a feature vector.
        hyperparameters: the training's.
        weights: the candidates for the levels' weights, if not those of `cross_validate`.
        groups: of each training photo and each validation photo, an empty text where it has none: the photos of a group
            are held out together.
    """
    choice = cross_validate(
        trained,
        train=train,
        levels=levels,
        hyperparameters=hyperparameters,
        weights=weights,
        groups=groups[: len(train.labels)],
    )
    print(choice.description, flush=True)

    # the logistic regressions with these settings, on the training photos alone
    classes, dim = trained.linear.weight.shape
    of_classes = class_weights(class_counts(train.labels, classes=classes), wanted=hyperparameters.class_weights)
    scales = [trained.scale * level_factors(levels, weights=each.level_weights) for each in choice.members]
    photos = [Photos.every(train)]

    def fitted(
        photos: Sequence[Photos], *, starts: Sequence[Solution], tolerance: float = _TOLERANCE
    ) -> list[Solution]:
        return [
            solve(
                Rows(photos, mean=trained.mean, scale=scale),
                start=start,
                penalty=each.penalty * choice.share,
                label_smoothing=hyperparameters.label_smoothing,
                class_weights=of_classes,
                tolerance=tolerance,
            )
            for each, scale, start in zip(choice.members, scales, starts, strict=True)
        ]

    zeros = [Solution.zero(classes=classes, dim=dim)] * len(choice.members)
    alone = fitted(photos, starts=zeros)
    finished = _averaged(trained, choice.members, solutions=alone, levels=levels)

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
    best = min(range(len(scales)), key=lambda at: float(choice.members[at].losses.mean()))
    settings = HeadSettings(
        mean=trained.mean,
        scale=scales[best],
        strength=choice.members[best].penalty * len(choice.labels),
        label_smoothing=hyperparameters.label_smoothing,
        class_weights=hyperparameters.class_weights,
    )
    if keep == "trained":
        return Finished(trained, scores["trained"], len(labels), trained, before, labels, settings)

    # learn from the validation photos too
    both = fitted([*photos, Photos.every(validation, views=1)], starts=alone)

    def held_out() -> NDArray[np.float32]:
        """Return the logits of all photos in the plain view, each by a head like the served one that lacks its fold.

        All of these start from none: a head that had learnt from a photo would remember it.
        """
        splits = [(train, train.features.shape[0]), (validation, 1)]
        every = np.concatenate([split.labels for split, _ in splits])
        fold_of = folds(every, np.random.default_rng(hyperparameters.seed), number=_FOLDS, groups=groups)
        parts = np.split(fold_of, [len(train.labels)])
        logits = np.zeros((len(every), classes), dtype=np.float32)
        for fold in np.unique(fold_of):
            learnt = [
                Photos(split, np.flatnonzero(part != fold), views)
                for (split, views), part in zip(splits, parts, strict=True)
            ]
            solutions = fitted(learnt, starts=zeros, tolerance=FOLD_TOLERANCE)
            head = _averaged(trained, choice.members, solutions=solutions, levels=levels)
            of_head = np.concatenate([head_logits(head, split) for split, _ in splits])
            logits[fold_of == fold] = of_head[fold_of == fold]
        return logits

    # of many photos, of which a part was tried, even two thirds of that part make a head that is hardly less sure
    logits = held_out() if choice.share == 1 else np.concatenate([choice.logits, after])
    return Finished(
        head=_averaged(trained, choice.members, solutions=both, levels=levels),
        validation=scores["finished"],
        validation_images=len(labels),
        validated_head=finished,
        held_out_logits=logits,
        held_out_labels=np.concatenate([choice.labels, labels]),
        settings=settings,
    )


def _averaged(
    like: Head, members: Sequence[Candidate], *, solutions: Sequence[Solution], levels: Sequence[int]
) -> Head:
    """Return a head whose logits are the mean of the members' calibrated ones: a linear layer, as each of them is.

    It standardises as `like` does, without the levels that no member uses.
    """
    # each member's layer on features that are scaled as `like` scales them
    factors = [level_factors(levels, weights=each.level_weights) for each in members]
    temperatures = [each.temperature for each in members]
    together = list(zip(solutions, factors, temperatures, strict=True))
    weight = torch.stack([solution.weight * factor / temperature for solution, factor, temperature in together])
    bias = torch.stack([solution.bias / temperature for solution, _, temperature in together])

    used = torch.stack(factors).amax(dim=0) > 0
    head = Head(mean=like.mean.clone(), scale=like.scale * used, classes=bias.shape[1])
    head.linear.load_state_dict({"weight": weight.mean(dim=0), "bias": bias.mean(dim=0)})
    return head
