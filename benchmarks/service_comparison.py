"""Is a model worse than the one in service kept out, and an equally good one let in, whatever the test photos are now?

The verdict's own functions decide, on photos of the data sets of the benchmark `head`. The model in service learns from
a random part of the training photos; an equally good one from another part; worse ones from a tenth of the photos, or
from labels of which many are wrong. Half of each data set's test photos are the first run's; what is added comes from
the other half. Before, models were compared only where the test photos and the classes of both runs were the same.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import head
from benchmarks.result import Result, emit
from contract import Artefact, Comparison, Decision, ImageRecord, Thresholds
from training.evaluation.calibration import softmax
from training.model.logistic_regression import Batch, Solution, solve

sys.path.insert(0, str(Path(__file__).parents[1] / "lambda"))
from verdict.release_checks import check_in_service
from verdict.service_comparison import ModelInService, compare

SETS = ("clothing10", "grocery16")
SEEDS = 5
WAYS = ("before", "shared photos alone", "now")
WORSE = ("a tenth of the photos", "wrong labels")
SHARE, WRONG = 0.1, 0.3
"""Share of the photos in the first of them, and of the labels that are wrong in the second."""
LEARNT = 0.85
"""Share of the training photos that a model learns from."""
PENALTY = 0.003
"""Of the models, which are logistic regressions on features: in the middle of those that the finished head has."""
GOAL = 0.9
THRESHOLDS = Thresholds(
    min_accuracy=0.7,
    accuracy_by="photo",
    min_class_recall=0.2,
    max_near_copies=0.05,
    tolerance=0.01,
    significance=0.05,
    blocking_rules=[],
)
OLD, NEW = "1", "2"

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Model:
    """What a model says of every test photo of its data set."""

    classes: frozenset[int]
    predicted: Labels
    confidence: NDArray[np.float64]

    def accuracy(self, labels: Labels) -> float:
        """Return the accuracy on all photos of its classes."""
        known = np.isin(labels, sorted(self.classes))
        return float((self.predicted == labels)[known].mean())


@dataclass(frozen=True)
class Situation:
    """The test photos of two runs, and what their models know."""

    name: str
    old_test: Labels
    new_test: Labels
    old_knows_all: bool = True
    new_knows_all: bool = True


@dataclass(frozen=True)
class Run:
    """A run's test photos and its model, as the verdict reads of them."""

    run: str
    test: Labels
    model: Model
    labels: Labels

    def manifest(self) -> Iterator[ImageRecord]:
        for photo in self.test:
            yield {"path": f"{photo}.jpg", "label": int(self.labels[photo]), "split": "test", "etag": str(photo)}

    def predictions(self) -> Iterator[str]:
        return iter(table(self.model, self.test, self.labels).splitlines(keepends=True))


def situations(labels: Labels, *, fewer: frozenset[int], rng: np.random.Generator) -> Iterator[Situation]:
    """Yield what may become of test photos, of which a random half are the first run's."""
    shuffled = rng.permutation(len(labels))
    first, rest = np.sort(shuffled[: len(labels) // 2]), shuffled[len(labels) // 2 :]
    third = len(first) // 3
    some = first[np.isin(labels[first], sorted(fewer))]
    yield Situation("unchanged", first, first)
    yield Situation("one added", first, np.append(first, rest[0]))
    yield Situation("a third added", first, np.concatenate([first, rest[:third]]))
    yield Situation("a third removed", first, rng.permutation(first)[third:])
    yield Situation("all replaced", first, rest)
    yield Situation("two new classes", some, first, old_knows_all=False)
    yield Situation("two classes removed", first, some, new_knows_all=False)


def trained(features: head.Features, learnt: Labels, labels: Labels, *, classes: frozenset[int]) -> Model:
    """Train on the photos at the positions `learnt`, as `labels` says, as far as they are of these classes."""
    kept = learnt[np.isin(labels[learnt], sorted(classes))]
    rows = features.learnt[0, kept]
    mean, scale = rows.mean(axis=0), 1 / np.maximum(rows.std(axis=0), 1e-6)
    numbers = sorted(classes)
    targets = torch.from_numpy(np.searchsorted(numbers, labels[kept]))
    batch = Batch(torch.from_numpy((rows - mean) * scale), targets, torch.ones(len(kept)))
    start = Solution.zero(classes=len(numbers), dim=rows.shape[1])
    solution = solve([batch], start=start, penalty=PENALTY, tolerance=1e-5)
    probabilities = softmax(solution.logits(torch.from_numpy((features.test[0] - mean) * scale)).numpy())
    predicted = np.array(numbers, dtype=np.int64)[probabilities.argmax(axis=1)]
    return Model(classes, predicted, probabilities.max(axis=1))


def models(features: head.Features, *, classes: frozenset[int], rng: np.random.Generator) -> dict[str, Model]:
    """Train the model in service, an equally good one and the worse ones."""
    labels = features.learnt_labels
    part = round(LEARNT * len(labels))
    found = {
        name: trained(features, rng.permutation(len(labels))[:part], labels, classes=classes)
        for name in ("in service", "equally good")
    }
    few = np.flatnonzero(_ranks(labels, rng) < SHARE)
    found[WORSE[0]] = trained(features, few, labels, classes=classes)
    wrong = labels.copy()
    flipped = rng.permutation(len(labels))[: round(WRONG * len(labels))]
    wrong[flipped] = (labels[flipped] + rng.integers(1, labels.max() + 1, len(flipped))) % (labels.max() + 1)
    found[WORSE[1]] = trained(features, rng.permutation(len(labels))[:part], wrong, classes=classes)
    return found


def _ranks(labels: Labels, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return where each photo stands among those of its class in a random order, from 0 to 1."""
    ranks = np.empty(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        ranks[members] = rng.permutation(len(members)) / len(members)
    return ranks


def released(situation: Situation, old: Model, new: Model, labels: Labels) -> dict[str, bool]:
    """Return, for each way to compare them, whether the verdict would release the new model."""
    now, shared = (_compared(situation, old, new, labels, rerun=rerun) for rerun in (True, False))
    same = situation.name == "unchanged"
    return {
        # any other test photos and any other classes switched the comparison off
        "before": not same or _passes(shared),
        "shared photos alone": _passes(shared),
        "now": _passes(now),
    }


def _passes(comparison: Comparison) -> bool:
    return check_in_service(comparison, THRESHOLDS)["outcome"] != "blocked"


def _compared(situation: Situation, old: Model, new: Model, labels: Labels, *, rerun: bool) -> Comparison:
    """Compare two models as the verdict does, with the files that their runs would have left."""
    known = [str(label) for label in sorted(old.classes)]
    files = {Artefact.PREDICTIONS.value: table(new, situation.new_test, labels).encode()}
    if rerun:
        files[Artefact.IN_SERVICE.value] = json.dumps({"run": OLD, "labels": known, "why": ""}).encode()
        files[Artefact.IN_SERVICE_PREDICTIONS.value] = table(old, situation.new_test, labels).encode()
    before = Run(OLD, situation.old_test, old, labels)
    decision = cast(Decision, {"classes": known, "test_accuracy": old.accuracy(labels)})
    found = compare(
        files,
        own=Run(NEW, situation.new_test, new, labels),
        in_service=ModelInService(f"whippet-dev-{OLD}", decision, before),
    )
    assert found is not None
    return found


def table(model: Model, photos: Labels, labels: Labels) -> str:
    """Return `Artefact.PREDICTIONS` of these photos."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["path", "label", "predicted", "confidence"])
    writer.writerows(
        (f"{photo}.jpg", labels[photo], model.predicted[photo], f"{model.confidence[photo]:.6f}") for photo in photos
    )
    return text.getvalue()


Row = dict[str, Any]


def measure(name: str, *, seeds: int) -> list[Row]:
    """Judge every new model in every situation, once for each seed."""
    features, rows = head.photos(name), []
    labels = features.test_labels
    for seed in range(seeds):
        rng = np.random.default_rng([seed, 7])
        every = frozenset(range(int(labels.max()) + 1))
        fewer = every - frozenset(int(label) for label in rng.choice(sorted(every), 2, replace=False))
        of_classes = {knows: models(features, classes=every if knows else fewer, rng=rng) for knows in (True, False)}
        for situation in situations(labels, fewer=fewer, rng=rng):
            old = of_classes[situation.old_knows_all]["in service"]
            for kind, new in of_classes[situation.new_knows_all].items():
                if kind == "in service":
                    continue
                accuracies = {"old": old.accuracy(labels), "new": new.accuracy(labels)}
                rows.append(
                    {"situation": situation.name, "model": kind, **accuracies, **released(situation, old, new, labels)}
                )
        print(name, seed, json.dumps(rows[-21:]), file=sys.stderr, flush=True)
    return rows


def results(rows: Sequence[Row]) -> list[Result]:
    """Return a result for each situation: how many of the worse models are kept out, and of the good ones let in."""
    usual = [row for row in rows if row["situation"] == "unchanged"]
    accuracy = {kind: np.mean([row["new"] for row in usual if row["model"] == kind]) for kind in WORSE}
    old = np.mean([row["old"] for row in usual])
    found = []
    for situation in dict.fromkeys(row["situation"] for row in rows):
        here = [row for row in rows if row["situation"] == situation]
        worse = [row for row in here if row["model"] in WORSE]
        good = [row for row in here if row["model"] not in WORSE]
        out = {way: float(np.mean([not row[way] for row in worse])) for way in WAYS}
        let_in = {way: sum(row[way] for row in good) for way in WAYS}
        ours = out.pop("now")
        found.append(
            Result(
                name=f"service_comparison_{situation.replace(' ', '_')}",
                unit=f"test photos: {situation}; share of {len(worse)} worse models kept out (accuracy "
                f"{accuracy[WORSE[0]]:.2f} from {SHARE:.0%} of the photos, {accuracy[WORSE[1]]:.2f} from {WRONG:.0%} "
                f"wrong labels, against {old:.2f}); of {len(good)} equally good ones {let_in['now']} are released, "
                f"{let_in['before']} before",
                ours=ours,
                peers=out,
                ratio=ours / out["before"] if out["before"] else float(ours > 0),
                against="before" if out["before"] else "before, when none was",
                goal=f"{GOAL:.0%} of the worse kept out and of the good released",
                holds=ours >= GOAL and let_in["now"] >= GOAL * len(good),
            )
        )
    return found


def run(*, quick: bool) -> list[Result]:
    torch.set_num_threads(1)
    names = [name for name in SETS if (head.DATA / name).is_dir()]
    return results([row for name in names for row in measure(name, seeds=1 if quick else SEEDS)]) if names else []


if __name__ == "__main__":
    emit(run(quick="--quick" in sys.argv))
