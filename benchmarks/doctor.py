"""The data doctor beside cleanlab and cleanvision: flipped labels, copies, and what is named in healthy data sets.

The data are those of the benchmark `head`. Labels are flipped at random, or to the class that the photo's own is mostly
taken for. The two libraries need an environment of their own, which the project does not install:

    .envs/tools/bin/uv venv .envs/doctor-peers
    .envs/tools/bin/uv pip install --python .envs/doctor-peers/bin/python cleanlab cleanvision

WHIPPET_DOCTOR_PEERS names the interpreter of another one. Without either, ours is measured alone.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks import head
from benchmarks.result import Result, emit
from benchmarks.tuning_accuracy import CPU
from training import preprocess
from training.doctor.examine import Photos, examine
from training.doctor.labels import doubt_labels
from training.doctor.pixels import decoded, measure
from training.doctor.table import standardised
from training.embedding.embedder import Embedder
from training.loop.history import standard_error
from training.model.logistic_regression import Batch, Solution, solve
from training.model.weights import load_backbone

PEERS = Path(os.environ.get("WHIPPET_DOCTOR_PEERS") or head.ROOT / ".envs" / "doctor-peers" / "bin" / "python")
SEEDS, COPIES = 5, 120
RATES = (0.05, 0.1, 0.2)
WAYS = ("random", "similar")
HEAD_PENALTY = 0.003
"""Of the logistic regression whose accuracy is restored: in the middle of those that the finished head has."""

KINDS: dict[str, Callable[[Image.Image, np.random.Generator], bytes]] = {
    "resaved": lambda image, _: _jpeg(image, quality=60),
    "resized": lambda image, _: _jpeg(image.resize((image.width // 2, image.height // 2))),
    "cropped": lambda image, rng: _jpeg(_part(image, share=float(rng.uniform(0.75, 0.95)), rng=rng)),
}
"""Copies: JPEG quality 60; half the width and height; 75 to 95 % of width and height, anywhere."""

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Trial:
    """Labels of which some are wrong."""

    way: str
    rate: float
    labels: Labels
    wrong: NDArray[np.bool_]


@dataclass(frozen=True)
class Judged:
    """What one way of judging says of a trial: a suspicion a photo, and which are suspects."""

    scores: NDArray[np.float64]
    suspects: NDArray[np.bool_]


def flips(rows: NDArray[np.float32], labels: Labels, *, seeds: int) -> list[Trial]:
    """Return the trials of a data set: every way, rate and seed."""
    classes = int(labels.max()) + 1
    probabilities = doubt_labels(rows, labels, classes=classes).probabilities
    taken_for = np.zeros((classes, classes))
    np.add.at(taken_for, labels, probabilities)
    np.fill_diagonal(taken_for, 0)
    similar = taken_for.argmax(axis=1)

    trials = []
    for seed in range(seeds):
        for rate in RATES:
            rng = np.random.default_rng([seed, round(100 * rate)])
            wrong = np.zeros(len(labels), dtype=bool)
            wrong[rng.choice(len(labels), round(rate * len(labels)), replace=False)] = True
            others = (labels + rng.integers(1, classes, len(labels))) % classes
            for way, instead in (("random", others), ("similar", similar[labels])):
                trials.append(Trial(way, rate, np.where(wrong, instead, labels), wrong))
    return trials


def measure_labels(name: str, *, seeds: int) -> list[dict[str, Any]]:
    """Return a row of figures for each trial of a data set: by way of judging, what was found and what it gained."""
    # the photos, the trials, and the peer's answers to all of them
    features = head.digits(0) if name == "digits" else head.photos(name)
    plain, clean = features.learnt[0], features.learnt_labels
    rows = standardised(lambda at: plain[at], photos=len(plain))
    trials = flips(rows, clean, seeds=seeds)
    theirs = _cleanlab(plain, trials)
    classes = int(clean.max()) + 1

    def restored(labels: Labels, kept: NDArray[np.bool_]) -> float:
        """Return the test accuracy of a head that learns from these photos."""
        # the plain views, standardised by all of them
        mean, scale = plain.mean(axis=0), 1 / np.maximum(plain.std(axis=0), 1e-6)
        batch = Batch(
            torch.from_numpy((plain[kept] - mean) * scale),
            torch.from_numpy(labels[kept]),
            torch.ones(int(kept.sum())),
        )

        # fitted from none, and tested
        start = Solution.zero(classes=classes, dim=plain.shape[1])
        solution = solve([batch], start=start, penalty=HEAD_PENALTY, tolerance=1e-4)
        logits = solution.logits(torch.from_numpy((features.test[0] - mean) * scale)).numpy()
        return float((logits.argmax(axis=1) == features.test_labels).mean())

    found = []
    for number, trial in enumerate(trials):
        # which photos each way suspects
        doubts = doubt_labels(rows, trial.labels, classes=classes)
        suspects = np.zeros(len(clean), dtype=bool)
        suspects[doubts.suspects()] = True
        judged = {"ours": Judged(doubts.scores.astype(np.float64), suspects)}
        if theirs is not None:
            judged["cleanlab"] = theirs[number]

        # how many of the first suspects are wrong, and what leaving all out gains
        row: dict[str, Any] = {"way": trial.way, "rate": trial.rate}
        for by, each in judged.items():
            named = np.argsort(-each.scores, kind="stable")[: trial.wrong.sum()]
            row[by] = {
                "precision": float(trial.wrong[named].mean()),
                "AUROC": _auroc(each.scores, trial.wrong),
                "accuracy": restored(trial.labels, ~each.suspects),
            }
        row["nothing left out"] = {"accuracy": restored(trial.labels, np.ones(len(clean), dtype=bool))}
        row["the wrong ones left out"] = {"accuracy": restored(trial.labels, ~trial.wrong)}
        found.append(row)
        print(name, number, json.dumps(row), file=sys.stderr, flush=True)
    return found


def label_results(measured: dict[str, list[dict[str, Any]]]) -> list[Result]:
    """Return the means over data sets and seeds, for each way and rate of flipping."""
    results = []
    for way in WAYS:
        for rate in RATES:
            sets = [[row for row in rows if (row["way"], row["rate"]) == (way, rate)] for rows in measured.values()]
            for what in ("precision", "AUROC", "accuracy"):
                every = [by for by in sets[0][0] if by not in ("way", "rate") and what in sets[0][0][by]]
                of_seeds = {by: np.array([[row[by][what] for row in rows] for rows in sets]).mean(0) for by in every}
                means = {by: float(values.mean()) for by, values in of_seeds.items()}
                ours = means.pop("ours")
                against = "cleanlab" if "cleanlab" in means else next(iter(means), "itself")
                what_is = {
                    "precision": "share of wrong labels among as many suspects",
                    "AUROC": "AUROC of the suspicion",
                    "accuracy": "test accuracy once the suspects are left out",
                }[what]
                results.append(
                    Result(
                        name=f"doctor_{what.lower()}_{way}_{round(100 * rate)}",
                        unit=f"{what_is}, {rate:.0%} of labels flipped, {way}; mean of {', '.join(measured)} and "
                        f"{len(of_seeds['ours'])} seeds (standard error {standard_error(of_seeds['ours']):.4f})",
                        ours=ours,
                        peers=means,
                        ratio=ours / means.get(against, ours),
                        against=against,
                        goal="at least as good" if what != "accuracy" else "better than nothing left out",
                        holds=ours >= means.get(against if what != "accuracy" else "nothing left out", ours),
                    )
                )
    return results


def measure_photos(name: str, *, copies: int) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Return, for each kind of copies and in the healthy data set, the share of photos that each way names."""
    # the photos, which of them are copied, and the backbone
    root = head.DATA / name
    folders = [root / split for split in ("train", "valid")]
    files = [file for folder in folders for file in sorted(folder.rglob("*")) if file.suffix.lower() == ".jpg"]
    features = head.photos(name)
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(files), copies, replace=False)
    pixels = np.array([_pixels(file.read_bytes()) for file in files])
    backbone, _ = load_backbone("efficientnet_lite0", image_size=224)
    embedder = Embedder(backbone, CPU, "float32")

    def named(data: list[bytes]) -> dict[str, set[str]]:
        """Return the names of the photos that ours names, by kind, with these copies among the others."""
        # the copies' features, behind the others'
        pictures = [_picture(each) for each in data]
        embedded = [
            embedder.embed(torch.from_numpy(np.stack(pictures[at : at + 32]))) for at in range(0, len(data), 32)
        ]
        rows = np.concatenate([features.learnt[0], *embedded])

        # the findings on all of them, by kind
        paths = [*_names(files), *(f"copy-{number:04}.jpg" for number in range(len(data)))]
        check = examine(
            Photos(
                paths=paths,
                labels=np.concatenate([features.learnt_labels, features.learnt_labels[chosen[: len(data)]]]),
                splits=[None] * len(paths),
                contents=paths,
                pixels=np.concatenate([pixels, [_pixels(each) for each in data]]) if data else pixels,
            ),
            read=lambda at: rows[at],
            levels=features.levels,
            classes=[str(label) for label in range(int(features.learnt_labels.max()) + 1)],
            image_size=224,
        )
        found: dict[str, set[str]] = {}
        for finding in check["findings"]:
            found.setdefault(finding["kind"], set()).add(finding["path"])
        return found

    # the share of the copies that each way finds
    shares: dict[str, dict[str, float]] = {}
    for kind, make in KINDS.items():
        made = [make(Image.open(files[at]).convert("RGB"), rng) for at in chosen]
        shares[kind] = {"ours": _share_of_copies(named(made).get("copy", set()), copies=copies)}
        if PEERS.exists():
            theirs = _cleanvision(files, made)
            pairs = set(theirs["near_duplicates"]) | set(theirs["exact_duplicates"])
            shares[kind]["cleanvision"] = _share_of_copies(pairs, copies=copies)

    # the share of the photos that is named though no copy is there
    healthy = {"ours": len(set().union(*named([]).values())) / len(files)}
    if PEERS.exists():
        healthy["cleanvision"] = len(set().union(*_cleanvision(files, []).values())) / len(files)
    print(name, shares, healthy, file=sys.stderr, flush=True)
    return shares, healthy


def photo_results(measured: dict[str, tuple[dict[str, dict[str, float]], dict[str, float]]]) -> list[Result]:
    """Return the recall of each kind of copies, and the worst share of healthy photos that are named."""
    results = []
    for kind in KINDS:
        means = {
            by: float(np.mean([shares[kind][by] for shares, _ in measured.values()]))
            for by in next(iter(measured.values()))[0][kind]
        }
        ours = means.pop("ours")
        results.append(
            Result(
                name=f"doctor_{kind}",
                unit=f"share of {kind} copies found among the photos, mean of {', '.join(measured)}",
                ours=ours,
                peers=means,
                ratio=ours / max(means.get("cleanvision", ours), 0.01),
                against="cleanvision" if means else "itself",
                goal="at least 0.9",
                holds=ours >= 0.9,
            )
        )
    for name, (_, healthy) in measured.items():
        peers = {by: share for by, share in healthy.items() if by != "ours"}
        results.append(
            Result(
                name=f"doctor_healthy_{name}",
                unit="share of a healthy data set's training photos that are named, of any kind",
                ours=healthy["ours"],
                peers=peers,
                ratio=peers.get("cleanvision", healthy["ours"]) / max(healthy["ours"], 1e-4),
                against="cleanvision" if peers else "itself",
                goal="at most 0.01",
                holds=healthy["ours"] <= 0.01,
            )
        )
    return results


def _cleanlab(features: NDArray[np.float32], trials: list[Trial]) -> list[Judged] | None:
    if not PEERS.exists():
        print(f"cleanlab is not measured: {PEERS} does not exist", file=sys.stderr)
        return None
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder, "given.npz"), Path(folder, "found.npz")
        np.savez(given, features=features, labels=np.array([trial.labels for trial in trials]))
        _run_peers("labels", given, found)
        with np.load(found) as arrays:
            return [Judged(1 - s, i) for s, i in zip(arrays["scores"], arrays["issues"], strict=True)]


def _cleanvision(files: list[Path], copies: list[bytes]) -> dict[str, list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        photos, found = Path(folder, "photos"), Path(folder, "found.json")
        photos.mkdir()
        for name, file in zip(_names(files), files, strict=True):
            (photos / name).symlink_to(file)
        for number, data in enumerate(copies):
            (photos / f"copy-{number:04}.jpg").write_bytes(data)
        _run_peers("photos", photos, found)
        issues: dict[str, list[str]] = json.loads(found.read_text())
        return issues


def _names(files: list[Path]) -> list[str]:
    """Return a name for each file, which two splits may have a file of."""
    return [f"{number:05}-{file.name}" for number, file in enumerate(files)]


def _run_peers(what: str, given: Path, found: Path) -> None:
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [str(PEERS), "-m", "benchmarks.doctor_peers", what, str(given), str(found)]
    subprocess.run(command, cwd=head.ROOT, check=True, env=os.environ | one_thread, stdout=sys.stderr)


def _share_of_copies(names: set[str], *, copies: int) -> float:
    return sum(name.startswith("copy-") for name in names) / copies


def _auroc(scores: NDArray[np.float64], wrong: NDArray[np.bool_]) -> float:
    ranks = np.empty(len(scores))
    ranks[np.argsort(scores, kind="stable")] = np.arange(len(scores))
    bad = int(wrong.sum())
    return float((ranks[wrong].sum() - bad * (bad - 1) / 2) / (bad * (len(scores) - bad)))


def _pixels(data: bytes) -> NDArray[np.void]:
    image, size = decoded(data, shorter_side=256)
    return measure(image, size=size)


def _picture(data: bytes) -> NDArray[np.uint8]:
    return preprocess.plain_view(data, preprocess.Preprocessing.usual(224))


def _jpeg(image: Image.Image, *, quality: int = 95) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def _part(image: Image.Image, *, share: float, rng: np.random.Generator) -> Image.Image:
    width, height = round(image.width * share), round(image.height * share)
    left, top = int(rng.integers(0, image.width - width + 1)), int(rng.integers(0, image.height - height + 1))
    return image.crop((left, top, left + width, top + height))


def run(*, quick: bool) -> list[Result]:
    torch.set_num_threads(1)
    photos = [name for name in head.SETS if name != "digits" and (head.DATA / name).is_dir()]
    sets = ["digits"] if quick else [*photos, "digits"]
    results = label_results({name: measure_labels(name, seeds=1 if quick else SEEDS) for name in sets})
    if photos and not quick:
        results += photo_results({name: measure_photos(name, copies=COPIES) for name in photos})
    return results


if __name__ == "__main__":
    emit(run(quick="--quick" in sys.argv))
