"""Averaging over each photo and its mirror image: what it brings on test photos, and what it costs.

The features and the splits are those of the benchmark `head`; only the mirror images' are made here. Every photo is
from a set of real ones, since mirrored digits mean something else.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import contract
from benchmarks.head import (
    DATA,
    KEPT,
    MEASURES,
    SEEDS,
    Features,
    Labels,
    Measure,
    Measured,
    Scored,
    held_out,
    photo_files,
    photos,
)
from benchmarks.result import Result, emit
from benchmarks.tuning_accuracy import CPU
from training.embedding.embedder import Embedder
from training.embedding.store import SplitFeatures
from training.evaluation.calibration import fit_temperature, softmax
from training.evaluation.served_photos import as_served
from training.export.onnx_export import export
from training.export.onnx_model import median_milliseconds
from training.export.quantization import quantize
from training.finishing.finish import finish
from training.loop.head_loop import head_logits
from training.loop.history import standard_error
from training.model.classifier import Classifier
from training.model.head import Head, new_head
from training.model.weights import load_backbone

SETS = ("clothing10", "grocery16")
BACKBONE, IMAGE_SIZE = "efficientnet_lite0", 224
PLAIN, OURS = "without", "averaged logits"


def measure(name: str, *, seeds: int) -> Measured:
    """Finish a head for each seed, and score it with and without averaging."""
    features = photos(name)
    of_mirrored = {part: mirrored(name, part) for part in ("learnt", "test")}
    found = []
    for seed in range(seeds):
        found.append(scores(features, of_mirrored, seed=seed))
        line = {way: f"{scored.right.mean():.4f} {scored.losses.mean():.4f}" for way, scored in found[-1].items()}
        print(name, seed, line, file=sys.stderr, flush=True)
    return found


def scores(features: Features, of_mirrored: dict[str, NDArray[np.float32]], *, seed: int) -> dict[str, Scored]:
    """Return the results on the test photos: of one head, with the ways to average.

    `of_mirrored`: the features of the mirror images, (1, images, dim), as `learnt` and `test`.
    """
    # the head that a run would finish
    labels = features.learnt_labels
    held = held_out(labels, seed=seed)
    train, validation = (
        _split(features.learnt[:, ~held], labels[~held]),
        _split(features.learnt[:1, held], labels[held]),
    )
    untrained = new_head(train.features, levels=features.levels, classes=1 + int(labels.max()))
    with redirect_stdout(sys.stderr):
        done = finish(
            untrained,
            train=train,
            validation=validation,
            levels=features.levels,
            hyperparameters=contract.Hyperparameters(seed=seed),
        )
    temperature = fit_temperature(done.held_out_logits, done.held_out_labels)

    # how another temperature would fit the averaged logits of the validation photos
    plain, both = _logits(done.validated_head, features.learnt[:1, held], of_mirrored["learnt"][:, held], labels[held])
    own = temperature * fit_temperature((plain + both) / 2, labels[held]) / fit_temperature(plain, labels[held])
    print(f"temperature {temperature:.3f}, by averaged logits {own:.3f}", file=sys.stderr)

    plain, both = _logits(done.head, features.test, of_mirrored["test"], features.test_labels)
    probabilities = {
        PLAIN: softmax(plain / temperature),
        OURS: softmax((plain + both) / 2 / temperature),
        "averaged probabilities": (softmax(plain / temperature) + softmax(both / temperature)) / 2,
        "averaged logits, with a temperature of their own": softmax((plain + both) / 2 / own),
    }
    return {way: Scored.of(each, features.test_labels) for way, each in probabilities.items()}


def results(name: str, measured: Measured) -> list[Result]:
    """Return a data set's two results, accuracy and loss."""
    return [_result(f"mirror_{name}{each.suffix}", measured, each) for each in MEASURES]


def _result(name: str, measured: Measured, measure: Measure) -> Result:
    """Compare the means over the seeds."""
    what, score, sign = measure.what, measure.score, measure.sign
    means = {way: float(np.mean([score(of_seed[way]).mean() for of_seed in measured])) for way in measured[0]}
    # the seeds share their test photos, so the error is that of the photos
    gains = np.mean([sign * (score(of_seed[OURS]) - score(of_seed[PLAIN])) for of_seed in measured], axis=0)
    ours = means.pop(OURS)
    return Result(
        name=name,
        unit=f"{what} on {len(gains)} test photos, mean of {len(measured)} seeds (gain {gains.mean():+.4f} with a "
        f"standard error of {standard_error(gains):.4f})",
        ours=ours,
        peers=means,
        ratio=(1 - means[PLAIN]) / (1 - ours) if sign == 1 else means[PLAIN] / ours,
        against=f"{PLAIN}, by errors" if sign == 1 else PLAIN,
        goal="no worse than without by more than a standard error",
        holds=bool(gains.mean() >= -standard_error(gains)),
    )


def cost() -> list[Result]:
    """Return the time of a photo on one thread: averaged in one batch of two, and in two passes."""
    backbone, _ = load_backbone(BACKBONE, image_size=IMAGE_SIZE)
    head = nn.Linear(sum(backbone.level_sizes(image_size=IMAGE_SIZE)), 10)
    noise = np.random.default_rng(0).integers(0, 255, size=(16, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
    found = []
    with tempfile.TemporaryDirectory() as name:
        files = {}
        for way, averages in ((PLAIN, False), (OURS, True)):
            files["fp32", way] = Path(name, f"fp32 {way}.onnx")
            classifier = Classifier(backbone=backbone, head=head, average_mirrored=averages).eval()
            export(classifier, files["fp32", way], image_size=IMAGE_SIZE)
            files["int8", way] = Path(name, f"int8 {way}.onnx")
            quantize(files["fp32", way], files["int8", way], images=noise)
        for precision in ("fp32", "int8"):
            ours, plain = median_milliseconds([(files[precision, way], noise[:1]) for way in (OURS, PLAIN)])
            found.append(
                Result(
                    name=f"mirror_cost_{precision}",
                    unit=f"ms a photo on one thread, {BACKBONE} at {IMAGE_SIZE} pixels",
                    ours=ours,
                    peers={PLAIN: plain, "in two passes": 2 * plain},
                    ratio=2 * plain / ours,
                    against="in two passes",
                    goal="at most 2.2 times the time without",
                    holds=ours <= 2.2 * plain,
                )
            )
    return found


def _split(features: NDArray[np.float32], labels: Labels) -> SplitFeatures:
    return SplitFeatures(np.ascontiguousarray(features), labels, [""] * len(labels))


def _logits(
    head: Head, plain: NDArray[np.float32], mirrored: NDArray[np.float32], labels: Labels
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the logits of photos and of their mirror images, (images, classes) each."""
    return head_logits(head, _split(plain, labels)), head_logits(head, _split(mirrored, labels))


def mirrored(name: str, part: str, *, backbone: str = BACKBONE, image_size: int = IMAGE_SIZE) -> NDArray[np.float32]:
    """Return the features of the photos' mirror images, (1, images, dim)."""
    kept = KEPT / f"{name}-{part}-mirrored-{backbone}-{image_size}-{contract.FEATURES_VERSION}.npy"
    if kept.exists():
        stored: NDArray[np.float32] = np.load(kept)
        return stored

    network, _ = load_backbone(backbone, image_size=image_size)
    embedder, rows = Embedder(network, CPU, "float32"), []
    for file in photo_files(name, part):
        record: contract.ImageRecord = {
            "path": file.relative_to(DATA / name).as_posix(),
            "label": 0,
            "split": "train",
            "etag": "",
        }
        pixels = as_served(record, photos=DATA / name, preprocessing=network.preprocessing)
        rows.append(embedder.embed(torch.from_numpy(np.ascontiguousarray(pixels[np.newaxis, :, ::-1]))))
    features = np.ascontiguousarray(np.concatenate(rows))[np.newaxis]
    np.save(kept, features)
    return features


def run(*, quick: bool) -> list[Result]:
    torch.set_num_threads(1)
    sets = [name for name in SETS if (DATA / name).is_dir()][: 1 if quick else None]
    of_sets = [result for name in sets for result in results(name, measure(name, seeds=2 if quick else SEEDS))]
    return [*of_sets, *cost()]


if __name__ == "__main__":
    emit(run(quick="--quick" in sys.argv))
