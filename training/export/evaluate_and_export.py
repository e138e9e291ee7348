"""From a trained classifier to what is served, and to what is known of it; the same for heads and for whole networks.

Everything is measured on the model files themselves, run as the endpoint runs them on the test photos as the endpoint
sees them: what is reported is what will be served.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import contract
from training import preprocess
from training.data.manifest import Manifest
from training.evaluation.calibration import fit_temperature
from training.evaluation.results import write_json, write_mistakes, write_predictions, write_results
from training.evaluation.scores import measure
from training.evaluation.served_photos import Crop, as_served, batches, crops, spread
from training.export.onnx_export import Classifier, check_export, export
from training.export.onnx_model import OnnxModel, milliseconds_an_image
from training.export.precision import Choice, choose
from training.export.quantization import can_be_quantized, quantize
from training.loop.history import Course
from training.runtime.environment import JobError

__all__ = ["CALIBRATION_IMAGES", "Trained", "deliver"]

CALIBRATION_IMAGES = 256
_IMAGES_TO_COMPARE = 16


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The outcome of a training."""

    classifier: Classifier
    """With temperature 1, on the CPU."""
    validation_logits: NDArray[np.float32]
    """(images, classes), of the kept epoch."""
    validation_labels: NDArray[np.int64]
    course: Course
    """Every epoch's results; the classifier has the weights of the best one."""


def deliver(
    trained: Trained,
    *,
    run: str,
    hyperparameters: contract.Hyperparameters,
    manifest: Manifest,
    photos: Path,
    model_dir: Path,
    output_dir: Path,
) -> contract.Evaluation:
    """Calibrate, export, quantize, test, choose what is served, and write the model folder and the output folder.

    Args:
        trained: what came out of the training.
        run: its run id.
        hyperparameters: of the job.
        manifest: the data set.
        photos: the dataset channel.
        model_dir: gets the model and its card.
        output_dir: gets the evaluation, its tables and its pictures.

    Raises:
        JobError: no epoch was trained, the exported model does not answer as PyTorch does, or no test photo can be
            read.
    """
    best = trained.course.best
    if best is None:
        raise JobError("no epoch was trained; set epochs to at least 1")
    print(f"best epoch: {best.number}", flush=True)
    temperature = fit_temperature(trained.validation_logits, trained.validation_labels)
    trained.classifier.temperature = temperature
    print(f"calibration: temperature {temperature:.3f}, fitted on the validation photos", flush=True)

    served = model_dir / contract.Artefact.MODEL
    files: dict[contract.Precision, Path] = {"fp32": served}
    export(trained.classifier, served, image_size=hyperparameters.image_size)
    crop = partial(as_served, photos=photos, image_size=hyperparameters.image_size)
    if hyperparameters.quantize and can_be_quantized(served):
        begin = time.monotonic()
        files["int8"] = output_dir / "int8.onnx"
        images = crops(spread(manifest.records["train"], number=CALIBRATION_IMAGES, seed=hyperparameters.seed), crop)
        quantize(served, files["int8"], images=images)
        print(
            f"int8: calibrated on {len(images)} training photos in {time.monotonic() - begin:.1f} s",
            flush=True,
        )

    tested = _test(files, manifest.records["test"], crop)
    difference = check_export(trained.classifier, served, images=tested.first)
    print(f"exported {served.name}: probabilities within {difference:.1e} of PyTorch's", flush=True)
    scores = {
        precision: measure(
            probabilities,
            tested.labels,
            paths=tested.paths,
            classes=manifest.classes,
            temperature=temperature,
            seed=hyperparameters.seed,
        )
        for precision, probabilities in tested.probabilities.items()
    }
    model_files = _describe(files, scores, image=tested.first[:1])
    choice = _choose(model_files, scores, wanted=hyperparameters.quantize)
    print(f"serving {choice.precision}: {choice.reason}", flush=True)
    if choice.precision == "int8":
        files["int8"].replace(served)
    elif "int8" in files:
        files["int8"].unlink()

    evaluation: contract.Evaluation = {
        "run": run,
        "classes": manifest.classes,
        "dataset_fingerprint": manifest.summary["fingerprint"],
        "test_fingerprint": manifest.summary["test_fingerprint"],
        "validation_accuracy": best.validation.accuracy,
        **scores[choice.precision],
        "precision": choice.precision,
        "precision_reason": choice.reason,
        "model_files": list(model_files.values()),
        "hyperparameters": hyperparameters.to_strings(),
    }
    write_json(
        model_dir / contract.Artefact.MODEL_CARD,
        _card(evaluation, hyperparameters=hyperparameters, temperature=temperature),
    )
    write_results(output_dir, evaluation, epochs=trained.course.epochs, best=best)
    write_predictions(
        output_dir,
        tested.probabilities[choice.precision],
        tested.labels,
        paths=tested.paths,
        classes=manifest.classes,
    )
    write_mistakes(output_dir, evaluation["hardest_mistakes"], photos=photos)
    _print_summary(evaluation)
    return evaluation


@dataclass(frozen=True)
class _Tested:
    probabilities: dict[contract.Precision, NDArray[np.float32]]
    """(images, classes) each"""
    labels: NDArray[np.int64]
    paths: list[str]
    first: NDArray[np.uint8]
    """Some of the photos, spread over the classes."""


def _test(files: dict[contract.Precision, Path], records: Sequence[contract.ImageRecord], crop: Crop) -> _Tested:
    """Run every model file over the test photos, which are decoded once for all of them."""
    models = {precision: OnnxModel(file) for precision, file in files.items()}
    answers: dict[contract.Precision, list[NDArray[np.float32]]] = {precision: [] for precision in files}
    seen: list[contract.ImageRecord] = []
    kept: list[NDArray[np.uint8]] = []
    step = max(1, len(records) // _IMAGES_TO_COMPARE)
    for batch in batches(records, crop):
        pixels = np.stack([image for _, image in batch])
        for precision, model in models.items():
            answers[precision].append(model.probabilities(pixels))
        kept += [image for offset, (_, image) in enumerate(batch, start=len(seen)) if offset % step == 0]
        seen += [record for record, _ in batch]
    if not seen:
        raise JobError(f"none of the {len(records)} test photos could be read; replace them and start again")
    return _Tested(
        probabilities={precision: np.concatenate(parts) for precision, parts in answers.items()},
        labels=np.array([record["label"] for record in seen], dtype=np.int64),
        paths=[record["path"] for record in seen],
        first=np.stack(kept[:_IMAGES_TO_COMPARE]),
    )


def _describe(
    files: dict[contract.Precision, Path],
    scores: dict[contract.Precision, contract.TestScores],
    *,
    image: NDArray[np.uint8],
) -> dict[contract.Precision, contract.ModelFile]:
    times = milliseconds_an_image(list(files.values()), image=image)
    return {
        precision: {
            "precision": precision,
            "test_accuracy": scores[precision]["test_accuracy"],
            "bytes": file.stat().st_size,
            "milliseconds": milliseconds,
        }
        for (precision, file), milliseconds in zip(files.items(), times, strict=True)
    }


def _choose(
    files: dict[contract.Precision, contract.ModelFile],
    scores: dict[contract.Precision, contract.TestScores],
    *,
    wanted: bool,
) -> Choice:
    if not wanted:
        return Choice("fp32", "the hyperparameter quantize is false")
    if "int8" not in files:
        return Choice("fp32", "the network is not made of convolutions, which int8 is good for")
    return choose(
        files["fp32"],
        files["int8"],
        fp32_classes=scores["fp32"]["per_class"],
        int8_classes=scores["int8"]["per_class"],
    )


def _card(
    evaluation: contract.Evaluation, *, hyperparameters: contract.Hyperparameters, temperature: float
) -> contract.ModelCard:
    accuracy = {file["precision"]: file["test_accuracy"] for file in evaluation["model_files"]}
    return {
        "run": evaluation["run"],
        "backbone": hyperparameters.backbone,
        "labels": evaluation["classes"],
        "image_size": hyperparameters.image_size,
        "resize": preprocess.resize_for(hyperparameters.image_size),
        "dataset_fingerprint": evaluation["dataset_fingerprint"],
        "test_accuracy": evaluation["test_accuracy"],
        "temperature": temperature,
        "precision": evaluation["precision"],
        "precision_reason": evaluation["precision_reason"],
        "test_accuracy_fp32": accuracy["fp32"],
        "test_accuracy_int8": accuracy.get("int8"),
    }


def _print_summary(evaluation: contract.Evaluation) -> None:
    """For people, and the lines SageMaker reads its metrics from."""
    test_loss, test_accuracy = contract.metric("test:loss"), contract.metric("test:accuracy")
    interval, calibration = evaluation["test_accuracy_interval"], evaluation["calibration"]
    print(
        f"{test_loss.line(evaluation['test_loss'])} {test_accuracy.line(evaluation['test_accuracy'])} "
        f"({interval['low']:.4f} to {interval['high']:.4f} with {interval['level']:.0%} confidence, "
        f"{evaluation['test_images']} photos), among the first five {evaluation['test_top_5_accuracy']:.4f}, "
        f"calibration error {calibration['expected_calibration_error']:.4f}",
        flush=True,
    )
    for mistake in evaluation["hardest_mistakes"][:3]:
        print(
            f"surest mistake: {mistake['path']} is {mistake['label']} and was taken for {mistake['predicted']} "
            f"({mistake['confidence']:.0%})",
            flush=True,
        )
