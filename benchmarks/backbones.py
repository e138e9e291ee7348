"""Backbones whose weights need no internet: time a photo, and what logistic regression makes of their features.

Accuracy is of 5-fold cross-validation on training photos, so that a choice by it leaves the test photos unseen: L2
logistic regression on features of the plain view, standardised, with the middle level at half weight; of each backbone
the best of three penalties counts. Time is this process's CPU time for decoding a photo and running the backbone on one
thread. The sets of photos lie beside the checkout (`clothing10`, `grocery16`). Features are kept in
`.whippet/benchmarks`.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import contract
from benchmarks.result import Result, emit
from training.embedding.embedder import Embedder
from training.model.logistic_regression import Batch, Solution, solve
from training.model.weights import load_backbone
from training.preprocess import Preprocessing, plain_view

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
KEPT = ROOT / ".whippet" / "benchmarks"
SETS = ("clothing10", "grocery16")
FOLDS, BATCH = 5, 16
PENALTIES = (1e-2, 3e-3, 1e-3)
MIDDLE_WEIGHT = 0.5
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Candidate:
    """A backbone at a size, as one could set it; an interpolation that is not its own is for comparison only."""

    backbone: str
    image_size: int
    interpolation: contract.Interpolation = "bilinear"

    @property
    def name(self) -> str:
        """Return a name for the table, which is a file's name, too."""
        return f"{self.backbone} at {self.image_size}{'' if self.interpolation == 'bilinear' else ', bicubic'}"


DEFAULT: Final = Candidate("efficientnet_lite0", 224)
CANDIDATES: Final = (
    DEFAULT,
    Candidate("efficientnet_lite0", 256),
    Candidate("efficientnet_lite1", 240),
    Candidate("efficientnet_lite2", 260),
    Candidate("efficientnet_lite0", 240),
    Candidate("efficientnet_lite0", 224, "bicubic"),
    Candidate("efficientnet_lite0", 260),
    Candidate("efficientnet_lite0", 288),
    Candidate("efficientnet_lite0", 192),
    Candidate("efficientnet_lite2", 260, "bicubic"),
)


@dataclass(frozen=True)
class Measured:
    """One backbone's results."""

    right: dict[str, NDArray[np.float64]]
    """For each set of photos: which photos were right when they were held out, (images,)."""
    milliseconds: float
    """CPU time of a photo."""


def main() -> None:
    """Measure every backbone, and compare the default with each other one."""
    torch.set_num_threads(1)
    candidates = CANDIDATES[:2] if _arguments().quick else CANDIDATES
    found: dict[Candidate, Measured] = {}
    for candidate in candidates:
        with redirect_stdout(sys.stderr):
            found[candidate] = _measured(candidate)
            print(candidate.name, *_words(found[candidate]), flush=True)
    emit(_results(found))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    return parser.parse_args()


def _results(found: dict[Candidate, Measured]) -> list[Result]:
    default, others = found[DEFAULT], {candidate: one for candidate, one in found.items() if candidate != DEFAULT}
    results = []

    # on each set, the default beside the best of the others
    for name in SETS:
        accuracy = {candidate.name: float(one.right[name].mean()) for candidate, one in others.items()}
        best = max(others, key=lambda candidate: accuracy[candidate.name])
        lead = default.right[name] - others[best].right[name]
        error = float(lead.std(ddof=1) / np.sqrt(len(lead)))
        ours = float(default.right[name].mean())
        results.append(
            Result(
                name=f"the offline backbone on {name}",
                unit=f"accuracy in {FOLDS}-fold cross-validation of {len(lead)} training photos (standard error of "
                f"the lead {error:.4f})",
                ours=ours,
                peers=accuracy,
                ratio=ours / accuracy[best.name],
                against=best.name,
                goal="the best of those that cost at most 1.3 times as much is not two standard errors ahead",
                holds=all(
                    one.right[name].mean() - ours <= 2 * error
                    for one in others.values()
                    if one.milliseconds <= 1.3 * default.milliseconds
                ),
            )
        )

    # and its time beside the quickest
    times = {candidate.name: one.milliseconds for candidate, one in others.items()}
    quickest = min(times, key=lambda each: times[each])
    results.append(
        Result(
            name="the offline backbone's time",
            unit="milliseconds of CPU a photo, decoding included",
            ours=default.milliseconds,
            peers=times,
            ratio=times[quickest] / default.milliseconds,
            against=quickest,
            goal="none: for the choice above",
            holds=True,
        )
    )
    return results


def _words(one: Measured) -> list[str]:
    return [*(f"{name} {right.mean():.4f}" for name, right in one.right.items()), f"{one.milliseconds:.1f} ms"]


def _measured(candidate: Candidate) -> Measured:
    backbone, _ = load_backbone(candidate.backbone, image_size=candidate.image_size)
    seen = replace(backbone.preprocessing, interpolation=candidate.interpolation)
    embedder = Embedder(backbone, CPU, "float32")
    levels = backbone.level_sizes(image_size=candidate.image_size)
    right: dict[str, NDArray[np.float64]] = {}
    seconds, photos = 0.0, 0
    for name in SETS:
        files, labels = _training_photos(name)
        features, spent = _features(name, files, candidate=candidate, embedder=embedder, seen=seen)
        right[name] = _cross_validated(torch.from_numpy(features), torch.from_numpy(labels), levels=levels)
        seconds, photos = seconds + spent, photos + len(files)
    return Measured(right=right, milliseconds=1000 * seconds / photos)


def _training_photos(name: str) -> tuple[list[Path], NDArray[np.int64]]:
    folders = [DATA / name / part for part in ("train", "valid") if (DATA / name / part).is_dir()]
    files = [
        file for folder in folders for file in sorted(folder.rglob("*")) if file.suffix.lower() in (".jpg", ".png")
    ]
    classes = sorted({file.parent.name for file in files})
    return files, np.array([classes.index(file.parent.name) for file in files], dtype=np.int64)


def _features(
    name: str, files: list[Path], *, candidate: Candidate, embedder: Embedder, seen: Preprocessing
) -> tuple[NDArray[np.float32], float]:
    """Return features, (images, dim), and the CPU seconds that they took when they were made."""
    kept = KEPT / f"backbones {name} {candidate.name} {contract.FEATURES_VERSION}.npz"
    if kept.exists():
        with np.load(kept) as stored:
            return stored["features"], float(stored["seconds"])
    begin, parts = time.process_time(), []
    for start in range(0, len(files), BATCH):
        pixels = np.stack([plain_view(file.read_bytes(), seen) for file in files[start : start + BATCH]])
        parts.append(embedder.embed(torch.from_numpy(pixels)))
    features, seconds = np.concatenate(parts), time.process_time() - begin
    kept.parent.mkdir(parents=True, exist_ok=True)
    np.savez(kept, features=features, seconds=seconds)
    return features, seconds


def _cross_validated(features: Tensor, labels: Tensor, *, levels: list[int]) -> NDArray[np.float64]:
    """Return which photos were right when they were held out, (images,), with the best penalty."""
    classes = 1 + int(labels.max())
    order = np.lexsort((np.random.default_rng(0).random(len(labels)), labels.numpy()))
    fold = np.empty(len(labels), dtype=np.int64)
    fold[order] = np.arange(len(labels)) % FOLDS
    right = np.zeros((len(PENALTIES), len(labels)))
    for number in range(FOLDS):
        held = torch.from_numpy(fold == number)

        # standardise by the photos that are learnt from; vectors of about the head's length
        mean, std = features[~held].mean(dim=0), features[~held].std(dim=0) + 1e-6
        weights = torch.cat([torch.full((size,), size**-0.5) for size in levels])
        weights[: sum(levels[:-1])] *= MIDDLE_WEIGHT
        rows = (features - mean) / std * weights * 8

        # from the strongest penalty to the weakest, each from the solution before
        batch = Batch(rows[~held], labels[~held], torch.ones(int((~held).sum())))
        solution = Solution.zero(classes=classes, dim=rows.shape[1])
        for at, penalty in enumerate(PENALTIES):
            solution = solve([batch], start=solution, penalty=penalty, tolerance=1e-4)
            right[at, held.numpy()] = (solution.logits(rows[held]).argmax(dim=1) == labels[held]).numpy()
    best: NDArray[np.float64] = right[right.mean(axis=1).argmax()]
    return best


if __name__ == "__main__":
    main()
