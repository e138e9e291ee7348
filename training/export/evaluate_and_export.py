"""From a trained classifier to what is served and what is known of it; the same for heads and for whole networks.

Everything is measured on the model files themselves, run as the endpoint runs them on photos as the endpoint sees them:
what is reported is what will be served. Validation photos decide which file that is; the test photos decide nothing.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import contract
from training.data.manifest import Manifest
from training.evaluation import mirror_averaging
from training.evaluation.calibration import fit_temperature, softmax
from training.evaluation.coverage import coverage_table, measure_coverage
from training.evaluation.near_copies import near_copies
from training.evaluation.results import write_predictions, write_results
from training.evaluation.scores import measure
from training.evaluation.served_photos import Crop, as_served, batches, crops, spread
from training.evaluation.unknown import describe, measure_unknown
from training.export.distance_weights import calibrate, write_calibrated
from training.export.evidence_check import settle_evidence
from training.export.in_service import ModelInService
from training.export.onnx_export import check_export, export
from training.export.onnx_model import OnnxModel, median_milliseconds
from training.export.precision import Choice, choose
from training.export.predictions import Predictions, predict
from training.export.quantization import can_be_quantized, quantize
from training.export.validation import validate
from training.loop.history import History
from training.model.backbones import Backbone
from training.model.classifier import Classifier
from training.model.distance import Distance, fit_distance
from training.model.evidence import find_evidence
from training.model.served import ServedModel
from training.preprocess import Preprocessing
from training.runtime.environment import JobError, write_json

__all__ = ["CALIBRATION_IMAGES", "Job", "TrainedModel", "evaluate_and_export"]

CALIBRATION_IMAGES = 256

DISTANCE_IMAGES = 2048
"""Training photos that the features of a fine-tuned network are taken of, to tell how far others are from them."""

_ModelFiles = dict[contract.Precision, Path]


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """The outcome of a training."""

    classifier: Classifier
    """With temperature 1, on the CPU."""
    validated_head: nn.Linear | None
    """The classifier's head as it was before it learnt from the validation photos; None if it has not."""
    validation_accuracy: float
    """On validation photos that the model had not learnt from yet."""
    held_out_logits: NDArray[np.float32]
    """(images, classes): of photos that the model, or those it was cross-validated by, had not learnt from."""
    held_out_labels: NDArray[np.int64]
    """(images,)"""
    history: History
    """Every epoch's results."""
    validation_images: int
    """Photos that the validation accuracy was measured on."""
    distance: Distance | None
    """From the training photos' features; None where those of the classifier's network are not at hand."""
    near_copies: list[contract.NearCopy] | None = None
    """The test photos that are near-copies of others; None where that is not known."""
    by_group: contract.GroupAccuracy | None = None
    """The accuracy with whole groups held out; None where there are no groups."""
    fine_tuning: contract.FineTuningComparison | None = None
    """How a fine-tuned network compares with a head on the features; None where nothing was fine-tuned."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """Where the training's job reads and writes, and what it was told."""

    run: str
    """Id of the run it belongs to."""
    hyperparameters: contract.Hyperparameters
    manifest: Manifest
    photos: Path
    """The dataset channel."""
    model_dir: Path
    """Gets the model and its card."""
    output_dir: Path
    """Gets the evaluation, its tables and its pictures."""
    in_service: ModelInService | None = None
    """The model in service, which is run on the same test photos."""


def evaluate_and_export(trained: TrainedModel, job: Job) -> contract.Evaluation:
    """Calibrate, export, quantize, test, choose what is served, and write the model folder and the output folder.

    Raises:
        JobError: no epoch was trained, the exported model's probabilities are not PyTorch's, or no test photo can be
            read.
    """
    kept = trained.history.kept
    if kept is None:
        raise JobError("no epoch was trained; set epochs to at least 1")
    print(f"kept epoch: {kept.number}", flush=True)
    classes, seed = job.manifest.classes, job.hyperparameters.seed
    preprocessing = trained.classifier.backbone.preprocessing
    crop = partial(as_served, photos=job.photos, preprocessing=preprocessing)

    # calibrate and export
    trained.classifier.average_mirrored = job.hyperparameters.average_mirrored
    _calibrate(trained)
    served = ServedModel(
        classifier=trained.classifier, distance=trained.distance or _distance(trained.classifier.backbone, job, crop)
    ).eval()
    files = _model_files(served, job, crop=crop)

    # let the validation photos choose the file that is served
    validated = validate(
        files,
        trained.classifier,
        validated_head=trained.validated_head,
        records=job.manifest.records["validation"],
        crop=crop,
        hyperparameters=job.hyperparameters,
    )
    choice = _choose(validated.predictions, classes=classes, wanted=job.hyperparameters.quantize)
    print(f"serving {choice.precision}: {choice.reason}", flush=True)
    if validated.mirror_averaging is not None:
        print(mirror_averaging.describe(validated.mirror_averaging), flush=True)

    # the same photos say from which distance on a photo is unknown, to each file
    known = {precision: calibrate(validated.predictions.outputs[precision].others["parts"]) for precision in files}
    for precision, file in files.items():
        write_calibrated(file, known[precision])
    served.distance.offsets.copy_(torch.from_numpy(known["fp32"].offsets))
    served.distance.weights.copy_(torch.from_numpy(known["fp32"].weights)[:, None])

    # test every file
    models = {precision: OnnxModel(file) for precision, file in files.items()}
    old = job.in_service
    shared = old.see if old is not None and old.preprocessing == preprocessing else None
    tested = predict(models, job.manifest.records["test"], crop, also=shared)
    difference = check_export(served, files["fp32"], images=tested.first)
    print(f"exported {files['fp32'].name}: probabilities within {difference:.1e} of PyTorch's", flush=True)
    scores = {
        precision: measure(
            probabilities,
            tested.labels,
            paths=tested.paths,
            classes=classes,
            temperature=trained.classifier.temperature,
            seed=seed,
        )
        for precision, probabilities in tested.probabilities.items()
    }

    # what the chosen file says of photos that it does not know, and what its sets of labels promise
    chosen, known_photos = tested.outputs[choice.precision], known[choice.precision]
    held_out = softmax(trained.held_out_logits / trained.classifier.temperature)
    table = coverage_table(held_out, trained.held_out_labels)
    coverage = measure_coverage(table, chosen.probabilities, tested.labels)
    unknown = measure_unknown(
        chosen.others["distance"],
        chosen.probabilities,
        tested.labels,
        paths=tested.paths,
        classes=classes,
        promised_share=known_photos.share,
    )
    print(describe(unknown, coverage, held_out=known_photos.photos), flush=True)

    described = _describe(files, validated.predictions, scores, image=tested.first[:1])
    _keep_chosen(files, choice)
    explained = settle_evidence(files["fp32"], trained.classifier, images=tested.first)
    print(explained.line(), flush=True)

    # write the model's card, the evaluation and its tables
    evaluation: contract.Evaluation = {
        "run": job.run,
        "classes": classes,
        "dataset_fingerprint": job.manifest.summary["fingerprint"],
        "test_fingerprint": job.manifest.summary["test_fingerprint"],
        "validation_accuracy": trained.validation_accuracy,
        "validation_images": trained.validation_images,
        **scores[choice.precision],
        "precision": choice.precision,
        "precision_reason": choice.reason,
        "model_files": described,
        "near_copies": _near_copies(trained, tested, precision=choice.precision),
        "by_group": trained.by_group,
        "unknown": unknown,
        "coverage": coverage,
        "mirror_averaging": validated.mirror_averaging,
        "fine_tuning": trained.fine_tuning,
        "hyperparameters": job.hyperparameters.to_strings(),
    }
    card = _card(
        evaluation,
        backbone=job.hyperparameters.backbone,
        preprocessing=preprocessing,
        temperature=trained.classifier.temperature,
        known_share=known_photos.share,
    )
    if table is not None:
        card["coverage"] = table
    write_json(job.model_dir / contract.Artefact.MODEL_CARD, card)
    write_results(job.output_dir, evaluation, epochs=trained.history.epochs, kept=kept)
    write_predictions(
        job.output_dir,
        chosen.probabilities,
        tested.labels,
        chosen.others["distance"],
        paths=tested.paths,
        classes=classes,
    )
    _print_summary(evaluation)
    if old is not None:
        old.test(job.manifest.records["test"], photos=job.photos, classes=classes, output_dir=job.output_dir)
    return evaluation


def _near_copies(
    trained: TrainedModel, tested: Predictions[contract.Precision], *, precision: contract.Precision
) -> contract.NearCopies | None:
    if trained.near_copies is None:
        return None
    right = dict(zip(tested.paths, (tested.predicted(precision) == tested.labels).tolist(), strict=True))
    return near_copies(trained.near_copies, right=right)


def _calibrate(trained: TrainedModel) -> None:
    """Set the classifier's temperature to what fits the photos that were held out."""
    temperature = fit_temperature(trained.held_out_logits, trained.held_out_labels)
    trained.classifier.temperature = temperature
    images = len(trained.held_out_labels)
    print(f"calibration: temperature {temperature:.3f}, fitted on {images} photos that were held out", flush=True)


def _distance(backbone: Backbone, job: Job, crop: Crop) -> Distance:
    """Return the distance from some training photos, by a pass of the network over them as the endpoint sees them."""
    begin = time.monotonic()
    records = spread(job.manifest.records["train"], number=DISTANCE_IMAGES, seed=job.hyperparameters.seed)
    parts, labels = [], []
    for batch in batches(records, crop):
        with torch.inference_mode():
            parts.append(backbone(torch.from_numpy(np.stack([image for _, image in batch]))).numpy())
        labels += [record["label"] for record, _ in batch]
    features = np.concatenate(parts)
    levels = backbone.level_sizes(image_size=job.hyperparameters.image_size)
    seed = job.hyperparameters.seed
    distance = fit_distance(features[np.newaxis], np.array(labels, dtype=np.int64), levels=levels, seed=seed)
    print(f"distance: from {len(labels)} training photos in {time.monotonic() - begin:.1f} s", flush=True)
    return distance


def _model_files(served: ServedModel, job: Job, *, crop: Crop) -> _ModelFiles:
    """Export the model in float32 and, where it is wanted and the network is fit for it, in int8."""
    files: _ModelFiles = {"fp32": job.model_dir / contract.Artefact.MODEL}
    evidence = find_evidence(served.classifier.backbone, served.classifier.head)
    export(served, files["fp32"], image_size=job.hyperparameters.image_size, evidence=evidence)
    if not job.hyperparameters.quantize or not can_be_quantized(files["fp32"]):
        return files

    begin = time.monotonic()
    files["int8"] = job.output_dir / "int8.onnx"
    records = spread(job.manifest.records["train"], number=CALIBRATION_IMAGES, seed=job.hyperparameters.seed)
    images = crops(records, crop)
    quantize(files["fp32"], files["int8"], images=images)
    print(f"int8: calibrated on {len(images)} training photos in {time.monotonic() - begin:.1f} s", flush=True)
    return files


def _keep_chosen(files: _ModelFiles, choice: Choice) -> None:
    """Leave the chosen file in the model folder, and no other."""
    if choice.precision == "int8":
        # The two folders are mounts of their own in SageMaker's containers, between which a rename fails.
        shutil.move(files["int8"], files["fp32"])
    elif "int8" in files:
        files["int8"].unlink()


def _describe(
    files: _ModelFiles,
    validated: Predictions[contract.Precision],
    scores: dict[contract.Precision, contract.TestScores],
    *,
    image: NDArray[np.uint8],
) -> list[contract.ModelFile]:
    times = median_milliseconds([(file, image) for file in files.values()])
    return [
        {
            "precision": precision,
            "validation_accuracy": validated.accuracy(precision),
            "test_accuracy": scores[precision]["test_accuracy"],
            "bytes": file.stat().st_size,
            "milliseconds": milliseconds,
        }
        for (precision, file), milliseconds in zip(files.items(), times, strict=True)
    ]


def _choose(validated: Predictions[contract.Precision], *, classes: list[str], wanted: bool) -> Choice:
    if not wanted:
        return Choice("fp32", "the hyperparameter quantize is false")
    if "int8" not in validated.probabilities:
        return Choice("fp32", "the network is not made of convolutions, which int8 is good for")
    return choose(
        fp32=validated.predicted("fp32"),
        int8=validated.predicted("int8"),
        labels=validated.labels,
        classes=classes,
    )


def _card(
    evaluation: contract.Evaluation,
    *,
    backbone: str,
    preprocessing: Preprocessing,
    temperature: float,
    known_share: float,
) -> contract.ModelCard:
    accuracy = {file["precision"]: file["test_accuracy"] for file in evaluation["model_files"]}
    return {
        "run": evaluation["run"],
        "backbone": backbone,
        "labels": evaluation["classes"],
        "image_size": preprocessing.image_size,
        "resize": preprocessing.resize,
        "interpolation": preprocessing.interpolation,
        "dataset_fingerprint": evaluation["dataset_fingerprint"],
        "test_accuracy": evaluation["test_accuracy"],
        "temperature": temperature,
        "precision": evaluation["precision"],
        "precision_reason": evaluation["precision_reason"],
        "test_accuracy_fp32": accuracy["fp32"],
        "test_accuracy_int8": accuracy.get("int8"),
        "known_share": known_share,
    }


def _print_summary(evaluation: contract.Evaluation) -> None:
    """Print the test results: for people, and for SageMaker's metric regexes."""
    test_loss, test_accuracy = contract.metric("test:loss"), contract.metric("test:accuracy")
    interval, calibration = evaluation["test_accuracy_interval"], evaluation["calibration"]
    print(
        f"{test_loss.line(evaluation['test_loss'])} {test_accuracy.line(evaluation['test_accuracy'])} "
        f"({interval['low']:.4f} to {interval['high']:.4f} with {interval['level']:.0%} confidence, "
        f"{evaluation['test_images']} photos), top-5 accuracy {evaluation['test_top_5_accuracy']:.4f}, "
        f"calibration error {calibration['expected_calibration_error']:.4f}",
        flush=True,
    )
    if (copies := evaluation["near_copies"]) and copies["images"]:
        print(
            f"near-copies of photos that were learnt from: {copies['images']} of the test photos, such as "
            f"{copies['examples'][0]['path']} of {copies['examples'][0]['trained']}; accuracy on the "
            f"{copies['others']} others: {copies['accuracy_of_others']}",
            flush=True,
        )
    for mistake in evaluation["hardest_mistakes"][:3]:
        print(
            f"most confident mistake: {mistake['path']} is {mistake['label']}, predicted {mistake['predicted']} "
            f"({mistake['confidence']:.0%})",
            flush=True,
        )
