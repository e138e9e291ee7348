"""Photos of something else, and sets of labels: what is refused, what is promised, and what it costs.

Heads are finished, distances fitted and thresholds set by the product's own functions, on the features of the benchmark
`head`. Of the photos to learn from, a fifth of each class is for validation and another fifth for test, others in each
of five seeds, so that these test photos are like the training's; grocery16's own ones are from other stores. Each photo
is learnt from in two views, not in all that are kept, which halves the time.
"""

from __future__ import annotations

import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import contract
from benchmarks.head import (
    DATA,
    SEEDS,
    SETS,
    Features,
    Labels,
    digit_features,
    digits,
    features_of,
    held_out,
    photo_files,
    photos,
)
from benchmarks.result import Result, emit
from training.embedding.store import SplitFeatures
from training.evaluation.calibration import fit_temperature, softmax
from training.evaluation.coverage import LEVELS, coverage_table, label_sets
from training.export.distance_weights import calibrate
from training.export.onnx_export import export
from training.export.onnx_model import median_milliseconds
from training.export.quantization import quantize
from training.finishing.finish import finish
from training.loop.head_loop import head_logits
from training.loop.history import standard_error
from training.model.classifier import Classifier
from training.model.distance import Distance, fit_distance
from training.model.head import Head, new_head
from training.model.served import ServedModel
from training.model.weights import load_backbone

Values = NDArray[np.float64]
Vectors = NDArray[np.float32]

BACKBONE = "efficientnet_lite0"
IMAGE_SIZES = {"clothing10": 224, "grocery16": 224, "digits": 64}
VIEWS = 2
"""Views of each photo to learn from: the plain one and one more."""
TIMINGS = 8
LEFT_OUT = 2
"""Classes that are not trained on, of those of a data set."""


@dataclass(frozen=True)
class Model:
    """What is served of one training, on features."""

    head: Head
    temperature: float
    distance: Distance
    softmax_threshold: float
    """Highest 1 - score of known photos, set as the distance's threshold is."""
    table: contract.CoverageTable | None

    def answer(self, features: Vectors) -> tuple[Values, Values]:
        """Return probabilities, (N, classes), and distances, (N,), of features (N, dim)."""
        given = torch.from_numpy(np.ascontiguousarray(features))
        with torch.inference_mode():
            logits = self.head(given) / self.temperature
            probabilities = torch.softmax(logits, dim=1)
            distances = self.distance(given, logits, probabilities)
        return probabilities.double().numpy(), distances.double().numpy()


def learn(features: Vectors, labels: Labels, *, validation: NDArray[np.bool_], levels: list[int], seed: int) -> Model:
    """Finish a head and fit a distance on photos that are not for validation, and calibrate both.

    Args:
        features: (views, images, dim)
        labels: (images,), from 0 on without a gap.
        validation: which photos are for validation, (images,).
        levels: sizes of the parts of a feature vector.
        seed: of the training.
    """
    splits = {}
    for name, which in (("train", ~validation), ("validation", validation)):
        views = features if name == "train" else features[:1]
        splits[name] = SplitFeatures(np.ascontiguousarray(views[:, which]), labels[which], [""] * int(which.sum()))
    train, held = splits["train"], splits["validation"]
    with redirect_stdout(sys.stderr):
        done = finish(
            new_head(train.features, levels=levels, classes=1 + int(labels.max())),
            train=train,
            validation=held,
            levels=levels,
            hyperparameters=contract.Hyperparameters(seed=seed),
        )
    temperature = fit_temperature(done.held_out_logits, done.held_out_labels)
    distance = fit_distance(train.features, train.labels, levels=levels, seed=seed)

    # thresholds, by validation photos that the head has not learnt from yet
    logits = torch.from_numpy(head_logits(done.validated_head, held)) / temperature
    probabilities = torch.softmax(logits, dim=1)
    with torch.inference_mode():
        parts = distance.parts(torch.from_numpy(np.asarray(held.features)[0]), logits, probabilities).numpy()
    known = calibrate(parts)
    distance.offsets.copy_(torch.from_numpy(known.offsets))
    distance.weights.copy_(torch.from_numpy(known.weights)[:, None])
    doubt = np.sort(1 - probabilities.numpy().max(axis=1))
    place = min(len(doubt), int(np.ceil((len(doubt) + 1) * contract.KNOWN_SHARE)))
    return Model(
        done.head,
        temperature,
        distance,
        float(doubt[place - 1]),
        coverage_table(softmax(done.held_out_logits / temperature), done.held_out_labels),
    )


def auroc(known: Values, other: Values) -> float:
    """Return how often a photo of something else has a higher value than a known one; ties count half."""
    both = np.concatenate([known, other])
    _, place, counts = np.unique(both, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    of_other = ranks[len(known) :].sum() - len(other) * (len(other) + 1) / 2
    return float(of_other / (len(known) * len(other)))


Figures = dict[str, list[float]]
"""By what is measured, one a seed or draw."""


def of_everything(name: str, *, seeds: int, others: Mapping[str, Vectors]) -> Figures:
    """Train on all classes, once a seed: what is refused of other data sets, and what the sets of labels hold."""
    figures: Figures = defaultdict(list)
    for seed in range(seeds):
        features = _features(name, seed)
        test = held_out(features.learnt_labels, seed=seed + 1)
        rest = features.learnt[:, ~test], features.learnt_labels[~test]
        validation = held_out(features.learnt_labels, seed=seed)[~test]
        model = learn(*rest, validation=validation, levels=features.levels, seed=seed)

        # known photos that are like the training's, and photos of something else
        probabilities, distances = model.answer(features.learnt[0, test])
        figures["kept"].append(float((distances <= 1).mean()))
        figures["kept softmax"].append(float((1 - probabilities.max(axis=1) <= model.softmax_threshold).mean()))
        for other, vectors in others.items():
            of_other, far = model.answer(vectors)
            figures[f"refused {other}"].append(float((far > 1).mean()))
            unsure = 1 - of_other.max(axis=1) > model.softmax_threshold
            figures[f"refused {other} softmax"].append(float(unsure.mean()))

        # sets of labels, on photos like the training's and on the data set's own test photos
        own = model.answer(features.test[0])
        for level in LEVELS:
            _coverage(figures, model, probabilities, features.learnt_labels[test], level=level, where="alike")
            _coverage(figures, model, own[0], features.test_labels, level=level, where="own")
        figures["kept own"].append(float((own[1] <= 1).mean()))
        _tell(name, seed, figures)
    return figures


def _coverage(
    figures: Figures, model: Model, probabilities: Values, labels: Labels, *, level: float, where: str
) -> None:
    if model.table is None or level not in model.table["levels"]:
        return
    lowest = model.table["lowest_scores"][model.table["levels"].index(level)]
    sets, places = label_sets(probabilities, lowest=lowest), np.arange(len(labels))
    figures[f"{level} {where}"].append(float(sets[places, labels].mean()))
    figures[f"{level} {where} bare"].append(float((probabilities[places, labels] >= lowest).mean()))
    figures[f"{level} {where} labels"].append(float(sets.sum(axis=1).mean()))


def of_some_classes(name: str, *, draws: int) -> Figures:
    """Train on all classes but two, once a draw: how well photos of those two are told from the others."""
    figures: Figures = defaultdict(list)
    for draw in range(draws):
        features = _features(name, draw)
        labels, classes = features.learnt_labels, 1 + int(features.learnt_labels.max())
        left_out = np.random.default_rng([draw, 2]).choice(classes, LEFT_OUT, replace=False)
        unseen = np.isin(labels, left_out)
        test = held_out(labels, seed=draw + 1) & ~unseen
        used = ~test & ~unseen
        _, numbers = np.unique(labels[used], return_inverse=True)
        model = learn(
            features.learnt[:, used],
            numbers.astype(np.int64),
            validation=held_out(labels, seed=draw)[used],
            levels=features.levels,
            seed=draw,
        )
        known, other = model.answer(features.learnt[0, test]), model.answer(features.learnt[0, unseen])
        doubt = [1 - probabilities.max(axis=1) for probabilities, _ in (known, other)]
        figures["auroc"].append(auroc(known[1], other[1]))
        figures["auroc softmax"].append(auroc(*doubt))
        figures["refused"].append(float((other[1] > 1).mean()))
        figures["refused softmax"].append(float((doubt[1] > model.softmax_threshold).mean()))
        figures["kept"].append(float((known[1] <= 1).mean()))
        _tell(f"{name} without {left_out.tolist()}", draw, figures)
    return figures


def _tell(name: str, seed: int, figures: Figures) -> None:
    print(name, seed, {what: round(values[-1], 4) for what, values in figures.items()}, file=sys.stderr, flush=True)


def _features(name: str, seed: int) -> Features:
    """Return a data set's features in `VIEWS` views."""
    kept = digits(seed) if name == "digits" else photos(name)
    return replace(kept, learnt=kept.learnt[:VIEWS])


def other_photos(name: str, *, image_size: int) -> Vectors:
    """Return features, (images, dim), of a data set's test photos as a model with another image size sees them."""
    if name == "digits":
        found, _, _ = digit_features("digits-plain", views=0, image_size=image_size)
        few: Vectors = found[0, :400]
        return few
    if image_size == IMAGE_SIZES[name]:
        own: Vectors = photos(name).test[0]
        return own
    files = photo_files(name, "test")
    found, _ = features_of(f"{name}-test", DATA / name, files, views=0, image_size=image_size, flip=True)
    whole: Vectors = found[0]
    return whole


def _mean(values: list[float]) -> str:
    return f"standard error {standard_error(np.array(values)):.4f}"


def _beside_softmax(name: str, *, unit: str, ours: float, peer: float, goal: str, holds: bool) -> Result:
    """Return a result beside what the highest probability alone tells."""
    return Result(
        name=name,
        unit=unit,
        ours=ours,
        peers={"max softmax": peer},
        ratio=ours / max(peer, 1e-9),
        against="max softmax",
        goal=goal,
        holds=holds,
    )


def pair_results(name: str, figures: Figures, others: Mapping[str, Vectors]) -> Iterator[Result]:
    """Yield what a model of one data set refuses of each other one."""
    for other, vectors in others.items():
        refused = figures[f"refused {other}"]
        ours, peer = float(np.mean(refused)), float(np.mean(figures[f"refused {other} softmax"]))
        yield _beside_softmax(
            f"unknown_{name}_{other}",
            unit=f"share of {len(vectors)} photos of {other} that a model of {name} refuses, mean of {len(refused)} "
            f"seeds ({_mean(refused)}); known photos kept: {np.mean(figures['kept']):.3f} ({_mean(figures['kept'])}), "
            f"by softmax {np.mean(figures['kept softmax']):.3f}",
            ours=ours,
            peer=peer,
            goal="at least 0.99 with 0.95 of known photos kept",
            holds=ours >= 0.99,
        )


def class_results(name: str, figures: Figures) -> Iterator[Result]:
    """Yield how classes are told that were not trained on."""
    goals = {
        "auroc": ("AUROC of the distance", "above max softmax"),
        "refused": ("share refused", "at least 0.60 with 0.95 of known photos kept"),
    }
    for what, (words, goal) in goals.items():
        ours, peer = float(np.mean(figures[what])), float(np.mean(figures[f"{what} softmax"]))
        lead = np.array(figures[what]) - np.array(figures[f"{what} softmax"])
        yield _beside_softmax(
            f"unknown_classes_{name}_{what}",
            unit=f"{words}, photos of {LEFT_OUT} classes of {name} that were not trained on, mean of {len(lead)} draws "
            f"({_mean(figures[what])}; the lead's {standard_error(lead):.4f}); known photos kept: "
            f"{np.mean(figures['kept']):.3f}",
            ours=ours,
            peer=peer,
            goal=goal,
            holds=ours > peer if what == "auroc" else ours >= 0.6,
        )


def coverage_results(measured: Mapping[str, Figures]) -> Iterator[Result]:
    """Yield how often sets of labels hold the right one, by promise."""
    for level in LEVELS:
        names = [name for name in measured if measured[name][f"{level} alike"]]
        realised = {name: measured[name][f"{level} alike"] for name in names}
        sizes = ", ".join(f"{name} {np.mean(measured[name][f'{level} alike labels']):.2f}" for name in names)
        peers = {f"{name}, test photos like the training's": float(np.mean(realised[name])) for name in names}
        if "grocery16" in names:
            peers["grocery16, other stores' test photos"] = float(np.mean(measured["grocery16"][f"{level} own"]))
        bare = float(np.mean([measured[name][f"{level} alike bare"] for name in names]))
        peers["all, were the likeliest label not always in the set"] = bare
        by_seed = np.mean(list(realised.values()), axis=0)
        ours = float(by_seed.mean())
        yield Result(
            name=f"coverage_{round(100 * level)}",
            unit=f"share of sets that hold the right label where {level:g} is promised, mean over {', '.join(names)} "
            f"and {len(by_seed)} seeds ({_mean(by_seed.tolist())}); labels in a set: {sizes}",
            ours=ours,
            peers=peers,
            ratio=ours / level,
            against="the promise",
            goal="at least the promise less 0.015, and within 0.015 without the likeliest label",
            holds=ours >= level - 0.015 and abs(bare - level) <= 0.015,
        )


def time_results() -> Iterator[Result]:
    """Yield the milliseconds of the model file with and without the distance, on one thread."""
    backbone, _ = load_backbone(BACKBONE, image_size=224)
    features = photos("clothing10")
    vectors, labels = features.learnt, features.learnt_labels
    head = nn.Linear(vectors.shape[2], 1 + int(labels.max()))
    classifier = Classifier(backbone=backbone, head=head).eval()
    distance = fit_distance(vectors, labels, levels=features.levels, seed=0)
    served = ServedModel(classifier=classifier, distance=distance).eval()
    images = np.random.default_rng(0).integers(0, 255, size=(32, 224, 224, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder, f"{name}.onnx") for name in ("plain", "served", "plain int8", "served int8")}
        for name, model in (("plain", classifier), ("served", served)):
            export(model, files[name], image_size=224)
            quantize(files[name], files[f"{name} int8"], images=images)
        # the lowest of some medians: the machine may have other work
        calls = [(file, images[:1]) for file in files.values()]
        medians = np.min([median_milliseconds(calls) for _ in range(TIMINGS)], axis=0)
        times = dict(zip(files, medians.tolist(), strict=True))
        sizes = {name: file.stat().st_size / 1e6 for name, file in files.items()}
    for precision, suffix in (("fp32", ""), ("int8", " int8")):
        with_it, without = times[f"served{suffix}"], times[f"plain{suffix}"]
        yield Result(
            name=f"unknown_milliseconds_{precision}",
            unit=f"milliseconds a photo on one thread, {BACKBONE} at 224 in {precision}, with the distance "
            f"({sizes[f'served{suffix}']:.1f} MB; {sizes[f'plain{suffix}']:.1f} without)",
            ours=with_it,
            peers={"without": without},
            ratio=without / with_it,
            against="without",
            goal="at most 1 ms more",
            holds=with_it - without <= 1,
        )


def run(*, quick: bool) -> list[Result]:
    torch.set_num_threads(1)
    sets = [name for name in SETS if name == "digits" or (DATA / name).is_dir()]
    seeds = 1 if quick else SEEDS
    results: list[Result] = []
    measured: dict[str, Figures] = {}
    for name in sets[-1:] if quick else sets:
        others = {
            other: other_photos(other, image_size=IMAGE_SIZES[name]) for other in sets if other != name and not quick
        }
        measured[name] = of_everything(name, seeds=seeds, others=others)
        results += pair_results(name, measured[name], others)
        results += class_results(name, of_some_classes(name, draws=seeds))
    results += coverage_results(measured)
    return results if quick else [*results, *time_results()]


if __name__ == "__main__":
    emit(run(quick="--quick" in sys.argv))
