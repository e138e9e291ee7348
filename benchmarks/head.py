"""The finished head beside scikit-learn's logistic regression and k-NN and the usual script's head, on the same splits.

Real photos lie beside the checkout (`clothing10`; `grocery16`, whose test photos were taken in other stores); without
them, scikit-learn's digits alone are measured. The splits into training and validation differ by seed. The peers learn
from both, as ours does in the end. Features are made once and kept in `.whippet/benchmarks`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

import contract
from benchmarks.baseline import BASELINE
from benchmarks.result import Result, emit
from benchmarks.tuning_accuracy import CPU, EPOCHS, TRIALS, values_of_trials
from training.embedding.embedder import Embedder, views_of
from training.embedding.store import SplitFeatures
from training.evaluation.calibration import fit_temperature, softmax
from training.finishing.finish import finish
from training.loop.head_loop import fit, head_logits
from training.loop.history import History, standard_error
from training.model.head import Head, new_head
from training.model.weights import load_backbone

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
KEPT = ROOT / ".whippet" / "benchmarks"
SETS = ("clothing10", "grocery16", "digits")
PARTS = {"learnt": ["train", "valid"], "test": ["test"]}
SEEDS, VIEWS, DIGITS = 5, 4, 1000
PEERS = ("logistic regression", "logistic regression, last level", "k-NN")
LEVELS: dict[str, list[list[float]] | None] = {
    "ours": None,
    "ours, both levels": [[1.0, 1.0]],
    "ours, last level": [[0.0, 1.0]],
    "ours, middle level": [[1.0, 0.0]],
}
"""Ways to finish the head, by the candidates for the levels' weights; None: our own."""

Labels = NDArray[np.int64]
Probabilities = NDArray[np.float64]


@dataclass(frozen=True)
class Features:
    """Features of a data set's photos, (views, images, dim), and which of them are for test."""

    learnt: NDArray[np.float32]
    learnt_labels: Labels
    test: NDArray[np.float32]
    test_labels: Labels
    levels: list[int]


@dataclass(frozen=True)
class Scored:
    """One way's results on the test photos of one seed."""

    right: NDArray[np.float64]
    losses: NDArray[np.float64]

    @classmethod
    def of(cls, probabilities: Probabilities, labels: Labels) -> Scored:
        """Return the results of probabilities (images, classes)."""
        of_labels = probabilities[np.arange(len(labels)), labels]
        return cls(
            right=(probabilities.argmax(axis=1) == labels).astype(np.float64),
            losses=-np.log(np.maximum(of_labels, 1e-12)),
        )


@dataclass(frozen=True)
class Measure:
    """What is compared between the ways: accuracy or loss."""

    what: str
    suffix: str
    """Of a result's name."""
    score: Callable[[Scored], NDArray[np.float64]]
    """Of each test photo, (images,)."""
    sign: int
    """1 where more is better, -1 where less is."""


MEASURES = (
    Measure("accuracy", "", lambda scored: scored.right, sign=1),
    Measure("loss", "_loss", lambda scored: scored.losses, sign=-1),
)

Measured = list[dict[str, Scored]]
"""By seed, and by way."""


def measure(name: str, *, seeds: int) -> Measured:
    """Train every way on a data set, once for each seed."""
    found: Measured = []
    peers: dict[str, Probabilities] = {}
    for seed in range(seeds):
        features = digits(seed) if name == "digits" else photos(name)
        if name == "digits" or not peers:
            # of photos, the peers learn from the same ones whatever the seed
            peers = _peers(features)
        probabilities = {**_ours(features, seed=seed), BASELINE: _baseline(features, seed=seed), **peers}
        found.append({way: Scored.of(each, features.test_labels) for way, each in probabilities.items()})
        print(
            name,
            seed,
            {way: f"{s.right.mean():.4f} {s.losses.mean():.4f}" for way, s in found[-1].items()},
            file=sys.stderr,
            flush=True,
        )
    return found


def results(name: str, measured: Measured) -> list[Result]:
    """Return a data set's two results, accuracy and loss, each beside the better of the two logistic regressions."""
    return [_result(f"head_{name}{each.suffix}", measured, each) for each in MEASURES]


def _result(name: str, measured: Measured, measure: Measure) -> Result:
    """Compare the means over the seeds."""
    what, score, sign = measure.what, measure.score, measure.sign
    of_seeds = {way: np.array([score(of_seed[way]).mean() for of_seed in measured]) for way in measured[0]}
    means = {way: float(values.mean()) for way, values in of_seeds.items()}
    against = max(PEERS[:2], key=lambda peer: sign * means[peer])

    # a seed is behind if its test photos say so by more than their standard error
    leads = [sign * (score(of_seed["ours"]) - score(of_seed[against])) for of_seed in measured]
    behind = sum(lead.mean() < -standard_error(lead) for lead in leads)
    lead = np.array([of_seed.mean() for of_seed in leads])
    ours = means.pop("ours")
    return Result(
        name=name,
        unit=f"{what} on {len(leads[0])} test photos, mean of {len(measured)} seeds (standard error "
        f"{standard_error(of_seeds['ours']):.4f}; the lead's {standard_error(lead):.4f})",
        ours=ours,
        peers=means,
        ratio=(1 - means[against]) / (1 - ours) if sign == 1 else means[against] / ours,
        against=f"{against}, by errors" if sign == 1 else against,
        goal="at least equal, and no seed more than a standard error behind",
        holds=bool(lead.mean() >= 0 and behind == 0),
    )


def held_out(labels: Labels, *, seed: int) -> NDArray[np.bool_]:
    """Return which photos are for validation, (N,): a fifth of each class, others in each of five seeds."""
    order = np.lexsort((np.random.default_rng([seed, 1]).random(len(labels)), labels))
    held = np.zeros(len(labels), dtype=bool)
    held[order[seed % 5 :: 5]] = True
    return held


def _ours(features: Features, *, seed: int) -> dict[str, Probabilities]:
    """Return what the served model would give: of the head of a search, and of the finished ones."""
    labels = features.learnt_labels
    held = held_out(labels, seed=seed)
    train = SplitFeatures(np.ascontiguousarray(features.learnt[:, ~held]), labels[~held], [""] * int((~held).sum()))
    validation = SplitFeatures(np.ascontiguousarray(features.learnt[:1, held]), labels[held], [""] * int(held.sum()))
    test = SplitFeatures(features.test, features.test_labels, [""] * len(features.test_labels))

    # the head as a trial of the default values leaves it
    torch.manual_seed(seed)
    values = contract.Hyperparameters(seed=seed)
    head = new_head(train.features, levels=features.levels, classes=1 + int(labels.max()))
    history = History()
    for _ in fit(head, train=train, validation=validation, hyperparameters=values, history=history):
        pass
    head.load_state_dict(history.weights)

    def served(trained: Head, logits: NDArray[np.float32], of: Labels) -> Probabilities:
        return softmax(head_logits(trained, test) / fit_temperature(logits, of))

    found = {"the search's head": served(head, head_logits(head, validation), validation.labels)}
    untrained = new_head(train.features, levels=features.levels, classes=1 + int(labels.max()))
    for way, weights in LEVELS.items():
        with redirect_stdout(sys.stderr):
            done = finish(
                head if weights is None else untrained,
                train=train,
                validation=validation,
                levels=features.levels,
                hyperparameters=values,
                weights=weights,
            )
        found[way] = served(done.head, done.held_out_logits, done.held_out_labels)
    return found


def _baseline(features: Features, *, seed: int) -> Probabilities:
    """Return what the usual script's head gives, a linear layer on the backbone's last level, trained by Adam.

    It has our augmented views in place of its own random crops. Of `TRIALS` short trainings, and of the epochs of the
    long one with the best trial's values, those with the highest validation accuracy count; nothing is calibrated.
    """
    last = slice(sum(features.levels[:-1]), None)
    held = held_out(features.learnt_labels, seed=seed)
    views = torch.from_numpy(np.ascontiguousarray(features.learnt[1:, ~held, last]))
    labels = torch.from_numpy(features.learnt_labels[~held])
    validation = torch.from_numpy(np.ascontiguousarray(features.learnt[0, held, last]))
    of_validation = torch.from_numpy(features.learnt_labels[held])
    test = torch.from_numpy(np.ascontiguousarray(features.test[0, :, last]))
    every = torch.arange(len(labels))

    def trained(rate: float, size: int, *, epochs: int) -> tuple[float, torch.Tensor]:
        """Return the accuracy of the best epoch, and its logits of the test photos."""
        head = nn.Linear(views.shape[2], 1 + int(labels.max()))
        optimizer = torch.optim.Adam(head.parameters(), lr=rate)
        found = []
        for _ in range(epochs):
            seen = views[torch.randint(len(views), (len(labels),)), every]
            for picked in torch.split(torch.randperm(len(labels)), size):
                optimizer.zero_grad()
                nn.functional.cross_entropy(head(seen[picked]), labels[picked]).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            with torch.no_grad():
                correct = head(validation).argmax(dim=1) == of_validation
                found.append((float(correct.float().mean()), head(test)))
        return max(found, key=lambda epoch: epoch[0])

    torch.manual_seed(seed)
    values = max(values_of_trials(seed, TRIALS), key=lambda each: trained(*each, epochs=EPOCHS)[0])
    _, logits = trained(*values, epochs=contract.Hyperparameters().epochs)
    return softmax(logits.numpy())


def _peers(features: Features) -> dict[str, Probabilities]:
    """Return the probabilities of scikit-learn's models, fitted in the environment that has it."""
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder, "given.npz"), Path(folder, "found.npz")
        np.savez(
            given,
            train=features.learnt[0],
            labels=features.learnt_labels,
            test=features.test[0],
            levels=np.array(features.levels),
        )
        _scikit_learn("peers", str(given), str(found))
        with np.load(found) as arrays:
            return {peer: arrays[peer] for peer in PEERS}


def _scikit_learn(*arguments: str) -> None:
    python = ROOT / ".envs" / "cloud" / "bin" / "python"
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run(
        [str(python), "-m", "benchmarks.head_peers", *arguments], cwd=ROOT, check=True, env=os.environ | one_thread
    )


def photos(name: str, *, backbone: str = "efficientnet_lite0", image_size: int = 224) -> Features:
    """Return the features of a set of real photos, which has test photos of its own."""
    classes = sorted(folder.name for folder in (DATA / name / "train").iterdir() if folder.is_dir())
    arrays: dict[str, NDArray[np.float32]] = {}
    labels: dict[str, Labels] = {}
    for part in PARTS:
        files = photo_files(name, part)
        labels[part] = np.array([classes.index(file.parent.name) for file in files], dtype=np.int64)
        arrays[part], levels = features_of(
            f"{name}-{part}",
            DATA / name,
            files,
            views=VIEWS if part == "learnt" else 0,
            backbone=backbone,
            image_size=image_size,
            flip=True,
        )
    return Features(arrays["learnt"], labels["learnt"], arrays["test"], labels["test"], levels)


def photo_files(name: str, part: str) -> list[Path]:
    """Return the files of a part of a set of real photos, in the order of its features."""
    return [file for each in PARTS[part] for file in sorted((DATA / name / each).rglob("*")) if _is_photo(file)]


def digits(seed: int) -> Features:
    """Return the features of a thousand digits, of which 400, others in each seed, are for test."""
    features, labels, levels = digit_features("digits", views=VIEWS, image_size=64)
    learnt, test = digit_splits(seed)
    return Features(features[:, learnt], labels[learnt], features[:1, test], labels[test], levels)


def digit_features(name: str, *, views: int, image_size: int) -> tuple[NDArray[np.float32], Labels, list[int]]:
    """Return the features of a thousand digits, kept by that name, their labels, and the sizes of the levels."""
    with tempfile.TemporaryDirectory() as folder:
        images, labels = digit_pictures(Path(folder))
        files = [Path(folder, f"{number:04}.png") for number in range(len(images))]
        for file, image in zip(files, images, strict=True):
            image.save(file)
        features, levels = features_of(name, Path(folder), files, views=views, image_size=image_size, flip=False)
    return features, labels, levels


def digit_pictures(folder: Path) -> tuple[list[Image.Image], Labels]:
    """Return scikit-learn's first thousand digits as pictures; a file is written to the folder."""
    _scikit_learn("digits", str(folder / "digits.npz"))
    with np.load(folder / "digits.npz") as arrays:
        images, labels = arrays["images"][:DIGITS], arrays["labels"][:DIGITS].astype(np.int64)
    grey = (images * 255 / 16).astype(np.uint8)
    return [Image.fromarray(each).resize((64, 64), Image.Resampling.BICUBIC) for each in grey], labels


def digit_splits(seed: int) -> tuple[Labels, Labels]:
    """Return the positions of the digits to learn from and of those for test."""
    shuffled = np.random.default_rng(seed).permutation(DIGITS)
    return shuffled[400:], shuffled[:400]


def features_of(
    name: str,
    root: Path,
    files: list[Path],
    *,
    views: int,
    image_size: int,
    flip: bool,
    backbone: str = "efficientnet_lite0",
) -> tuple[NDArray[np.float32], list[int]]:
    """Return features as the features job makes them, (1 + views, images, dim), and the sizes of their levels."""
    values = contract.Hyperparameters(backbone=backbone, image_size=image_size, views=views, flip=flip, seed=0)
    network, _ = load_backbone(backbone, image_size=image_size)
    levels = network.level_sizes(image_size=image_size)

    # those of an earlier benchmark
    kept = KEPT / f"{name}-{backbone}-{image_size}-{contract.FEATURES_VERSION}.npy"
    if kept.exists():
        stored: NDArray[np.float32] = np.load(kept)
        return stored, levels

    # photo by photo, in all views
    embedder, parts = Embedder(network, CPU, "float32"), []
    for file in files:
        record: contract.ImageRecord = {
            "path": file.relative_to(root).as_posix(),
            "label": 0,
            "split": "train",
            "etag": "",
        }
        parts.append(
            embedder.embed(
                torch.from_numpy(
                    views_of(
                        record,
                        photos=root,
                        views=1 + views,
                        hyperparameters=values,
                        preprocessing=network.preprocessing,
                    )
                )
            )
        )
    features = np.ascontiguousarray(np.stack(parts, axis=1))
    _keep(kept, features)
    return features, levels


def _keep(file: Path, features: NDArray[np.float32]) -> None:
    """Write features in one step, since another benchmark may read them at the same moment."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".npy", delete=False) as unfinished:
        np.save(unfinished, features)
    Path(unfinished.name).replace(file)


def _is_photo(file: Path) -> bool:
    return file.suffix.lower() in (".jpg", ".jpeg", ".png")


def summary(measured: Mapping[str, Measured]) -> Result:
    """Return the mean over the data sets, each beside the same logistic regression, on both levels."""
    against = PEERS[0]
    accuracy = {
        way: np.array([[of_seed[way].right.mean() for of_seed in each] for each in measured.values()]).mean(axis=0)
        for way in next(iter(measured.values()))[0]
    }
    ours = accuracy.pop("ours")
    lead = ours - accuracy[against]
    peers = {way: float(values.mean()) for way, values in accuracy.items()}
    return Result(
        name="head",
        unit=f"accuracy, mean over {', '.join(measured)} and {len(ours)} seeds (the lead has a standard error "
        f"of {standard_error(lead):.4f})",
        ours=float(ours.mean()),
        peers=peers,
        ratio=(1 - peers[against]) / (1 - float(ours.mean())),
        against=f"{against}, by errors",
        goal="better than either logistic regression",
        holds=all(float(ours.mean()) > peers[peer] for peer in PEERS[:2]),
    )


def run(*, quick: bool) -> list[Result]:
    torch.set_num_threads(1)
    sets = [name for name in SETS if name == "digits" or (DATA / name).is_dir()]
    measured = {name: measure(name, seeds=2 if quick else SEEDS) for name in (["digits"] if quick else sets)}
    return [result for name, each in measured.items() for result in results(name, each)] + [summary(measured)]


if __name__ == "__main__":
    emit(run(quick="--quick" in sys.argv))
