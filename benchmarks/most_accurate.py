"""The most accurate settings by cross-validation on training photos, beside the default's, on test photos.

The default is the quicker network. Whoever has the time may take a larger one (`training.backbone`,
`training.image_size`) and average over each photo and its mirror image (`training.average_mirrored`): the choice is by
the loss on training photos that are held out, five-fold, so that the test photos have no part in it. Heads are finished
as a run finishes them.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import mirror
from benchmarks.backbones import DEFAULT, Candidate
from benchmarks.head import DATA, SEEDS, Features, Scored, held_out, photos
from benchmarks.result import Result, emit
from training.loop.history import standard_error

SETS = ("clothing10", "grocery16")
FOLDS = 5
GOALS = {"clothing10": 0.89}
"""The least accuracy that was asked for."""

Arrays = dict[str, NDArray[np.float32]]


NETWORKS = (DEFAULT, Candidate("efficientnet_lite2", 260))
WAYS = {mirror.PLAIN: "", mirror.OURS: ", averaged over the mirror image"}
"""The ways to serve, and what the table calls them behind the network's name."""

Found = dict[str, list[Scored]]
"""By settings: the results of each fold, or of each seed."""


def measure(name: str, *, seeds: int) -> tuple[Found, Found]:
    """Return the results on held-out training photos, and those on the test photos."""
    by_fold: Found = {}
    by_seed: Found = {}
    for network in NETWORKS:
        features = photos(name, backbone=network.backbone, image_size=network.image_size)
        both = {
            part: mirror.mirrored(name, part, backbone=network.backbone, image_size=network.image_size)
            for part in ("learnt", "test")
        }
        for fold in range(FOLDS):
            _add(by_fold, network, mirror.scores(*_of_fold(features, both, fold=fold), seed=fold))
        for seed in range(seeds):
            _add(by_seed, network, mirror.scores(features, both, seed=seed))
        print(name, network.name, _means(by_fold), _means(by_seed), file=sys.stderr, flush=True)
    return by_fold, by_seed


def _of_fold(features: Features, both: Arrays, *, fold: int) -> tuple[Features, Arrays]:
    """Return the training photos alone, a fifth of each class in the test photos' place."""
    held = held_out(features.learnt_labels, seed=fold)
    learnt, labels = features.learnt, features.learnt_labels
    of_fold = replace(
        features,
        learnt=np.ascontiguousarray(learnt[:, ~held]),
        learnt_labels=labels[~held],
        test=np.ascontiguousarray(learnt[:1, held]),
        test_labels=labels[held],
    )
    return of_fold, {"learnt": both["learnt"][:, ~held], "test": both["learnt"][:, held]}


def _add(found: Found, network: Candidate, scored: dict[str, Scored]) -> None:
    for way, words in WAYS.items():
        found.setdefault(network.name + words, []).append(scored[way])


def _means(found: Found) -> dict[str, tuple[float, float]]:
    """Return the accuracy and the loss of each of the settings, the mean over folds or seeds."""
    return {
        settings: (
            float(np.mean([each.right.mean() for each in scored])),
            float(np.mean([each.losses.mean() for each in scored])),
        )
        for settings, scored in found.items()
    }


def results(name: str, by_fold: Found, by_seed: Found) -> list[Result]:
    """Return a data set's results, accuracy and loss of the settings with the lowest loss on held-out photos."""
    held = _means(by_fold)
    chosen = min(held, key=lambda settings: held[settings][1])
    chosen_by = (
        f"chosen of {len(held)} by the loss in {FOLDS}-fold cross-validation of the training photos, "
        f"{held[chosen][1]:.3f}, the default's {held[DEFAULT.name][1]:.3f}"
    )
    found = []
    for place, (what, suffix) in enumerate((("accuracy", ""), ("loss", "_loss"))):
        of_seeds = [float((each.right, each.losses)[place].mean()) for each in by_seed[chosen]]
        means = {settings: values[place] for settings, values in _means(by_seed).items()}
        ours, before = means[chosen], means[DEFAULT.name]
        least = GOALS.get(name) if what == "accuracy" else None
        found.append(
            Result(
                name=f"most_accurate_{name}{suffix}",
                unit=f"{what} on {len(by_seed[chosen][0].right)} test photos of {chosen}, {chosen_by}; mean of "
                f"{len(of_seeds)} seeds (standard error {standard_error(np.array(of_seeds)):.4f})",
                ours=ours,
                peers={settings: value for settings, value in means.items() if settings != chosen},
                ratio=(1 - before) / (1 - ours) if what == "accuracy" else before / ours,
                against=f"{DEFAULT.name}, by errors" if what == "accuracy" else DEFAULT.name,
                goal=f"at least {least}" if least else "at least as good as the default",
                holds=ours >= least if least else (ours >= before if what == "accuracy" else ours <= before),
            )
        )
    return found


def run(*, quick: bool) -> list[Result]:
    torch.set_num_threads(1)
    sets = [name for name in SETS if (DATA / name).is_dir()][: 1 if quick else None]
    return [result for name in sets for result in results(name, *measure(name, seeds=2 if quick else SEEDS))]


if __name__ == "__main__":
    emit(run(quick="--quick" in sys.argv))
