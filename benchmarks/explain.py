"""What an answer with a heat map costs, and the picture of docs/explain.md.

The head is that of a run on clothing10, by the features of the benchmark `head`. With `--picture FILE`, nothing is
measured: the heat maps of the first test photo of each class are drawn.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import contract
from benchmarks.head import DATA, held_out, photo_files, photos
from benchmarks.result import Result, emit
from benchmarks.timing import interleave, median
from inference.classifier import Classifier as Served
from inference.invocation import ClassifyRequest
from training.embedding.store import SplitFeatures
from training.evaluation.calibration import fit_temperature
from training.evaluation.heat_maps import heat_over
from training.export.onnx_export import export
from training.export.quantization import quantize
from training.finishing.finish import finish
from training.model.classifier import Classifier
from training.model.evidence import find_evidence
from training.model.head import new_head
from training.model.weights import load_backbone
from training.preprocess import Preprocessing, plain_view

NAME, BACKBONE, IMAGE_SIZE = "clothing10", "efficientnet_lite0", 224
ROUNDS, CALIBRATION = 150, 32
PLAIN, UNASKED = "a file without heat maps", "without explain"
MOST_MILLISECONDS = 1.0
SIDE, TEXT, COLUMNS = 176, 20, 5


def trained() -> tuple[Classifier, list[str]]:
    """Return the classifier that a run would finish, and the names of its classes."""
    features = photos(NAME)
    labels = features.learnt_labels
    held = held_out(labels, seed=0)
    train = SplitFeatures(np.ascontiguousarray(features.learnt[:, ~held]), labels[~held], [""] * int((~held).sum()))
    validation = SplitFeatures(np.ascontiguousarray(features.learnt[:1, held]), labels[held], [""] * int(held.sum()))
    with redirect_stdout(sys.stderr):
        done = finish(
            new_head(train.features, levels=features.levels, classes=1 + int(labels.max())),
            train=train,
            validation=validation,
            levels=features.levels,
            hyperparameters=contract.Hyperparameters(seed=0),
        )
        backbone, _ = load_backbone(BACKBONE, image_size=IMAGE_SIZE)
    temperature = fit_temperature(done.held_out_logits, done.held_out_labels)
    classes = sorted(folder.name for folder in (DATA / NAME / "train").iterdir() if folder.is_dir())
    return Classifier(backbone=backbone, head=done.head.folded(), temperature=temperature).eval(), classes


def write_model(folder: Path, classifier: Classifier, classes: list[str], *, explains: bool, int8: bool) -> Served:
    """Write a model folder, and return the model as the endpoint loads it, with one thread."""
    folder.mkdir()
    seen = classifier.backbone.preprocessing
    evidence = find_evidence(classifier.backbone, classifier.head) if explains else None
    file = folder / contract.Artefact.MODEL
    export(classifier, file, image_size=IMAGE_SIZE, evidence=evidence)
    if int8:
        pictures = [plain_view(photo.read_bytes(), seen) for photo in photo_files(NAME, "learnt")[:CALIBRATION]]
        quantize(file, folder / "int8.onnx", images=np.stack(pictures))
        (folder / "int8.onnx").rename(file)
    card = {
        "run": "benchmark",
        "labels": classes,
        "image_size": IMAGE_SIZE,
        "resize": seen.resize,
        "interpolation": seen.interpolation,
        "test_accuracy": 1.0,
    }
    (folder / contract.Artefact.MODEL_CARD).write_text(json.dumps(card), encoding="utf-8")
    return Served(folder, threads=1)


def cost(*, rounds: int) -> list[Result]:
    """Measure answers with and without heat maps, in both precisions."""
    classifier, classes = trained()
    photo = photo_files(NAME, "test")[0].read_bytes()
    found = []
    for precision in ("fp32", "int8"):
        with tempfile.TemporaryDirectory() as name:
            plain, explaining = (
                write_model(Path(name, str(explains)), classifier, classes, explains=explains, int8=precision == "int8")
                for explains in (False, True)
            )
            ways: dict[str, Callable[[], float]] = {
                PLAIN: partial(_milliseconds, plain, photo, explain=False),
                UNASKED: partial(_milliseconds, explaining, photo, explain=False),
                "ours": partial(_milliseconds, explaining, photo, explain=True),
            }
            times = {way: median(taken[3:]) for way, taken in interleave(ways, rounds).items()}
        ours = times.pop("ours")
        found.append(
            Result(
                name=f"explain_{precision}",
                unit=f"milliseconds of an answer with a heat map, decoding included, on one thread, median of {rounds}",
                ours=ours,
                peers=times,
                ratio=times[PLAIN] / ours,
                against=PLAIN,
                goal=f"at most {MOST_MILLISECONDS:g} ms more",
                holds=ours <= times[PLAIN] + MOST_MILLISECONDS,
            )
        )
    return found


def _milliseconds(model: Served, photo: bytes, *, explain: bool) -> float:
    begin = time.perf_counter()
    model.classify(ClassifyRequest(photo, top_k=5, explain=explain))
    return (time.perf_counter() - begin) * 1000


def draw(file: Path) -> None:
    """Draw the first test photo of each class as the network sees it, and under it with its heat map."""
    classifier, classes = trained()
    seen = classifier.backbone.preprocessing
    first = {photo.parent.name: photo for photo in reversed(photo_files(NAME, "test"))}
    with tempfile.TemporaryDirectory() as name:
        model = write_model(Path(name, "model"), classifier, classes, explains=True, int8=False)
        tiles = [_tile(model, first[label].read_bytes(), label, seen_as=seen) for label in sorted(first)]
    rows = -(-len(tiles) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (SIDE + 8), rows * (2 * SIDE + TEXT + 12)), "white")
    for place, tile in enumerate(tiles):
        sheet.paste(tile, (place % COLUMNS * (SIDE + 8) + 4, place // COLUMNS * (2 * SIDE + TEXT + 12) + 4))
    sheet.save(file, "JPEG", quality=82)


def _tile(model: Served, photo: bytes, label: str, *, seen_as: Preprocessing) -> Image.Image:
    """Return a photo above its heat map, under its label and what the model said."""
    pixels: NDArray[np.uint8] = plain_view(photo, seen_as)
    answer = model.classify(ClassifyRequest(photo, top_k=1, explain=True))
    heat_map, said = answer["heat_map"], f"{answer['label']} {answer['score']:.0%}"
    tile = Image.new("RGB", (SIDE, 2 * SIDE + TEXT), "white")
    text = said if answer["label"] == label else f"{said}, is {label}"
    ImageDraw.Draw(tile).text((2, 3), text, fill="black", font=ImageFont.load_default(12))
    tile.paste(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.LANCZOS), (0, TEXT))
    tile.paste(heat_over(pixels, heat_map["values"], side=SIDE), (0, TEXT + SIDE))
    return tile


def run(*, quick: bool) -> list[Result]:
    """Return the results."""
    torch.set_num_threads(1)
    return cost(rounds=20 if quick else ROUNDS) if (DATA / NAME).is_dir() else []


if __name__ == "__main__":
    if "--picture" in sys.argv:
        draw(Path(sys.argv[-1]))
    else:
        emit(run(quick="--quick" in sys.argv))
