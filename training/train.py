"""Entry point of the training with the best trial's values: the model to be served, and its test results."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training import contract, environment, preprocess
from training.checkpoints import Checkpoints
from training.course import Course, Epoch, Scores, epoch_line
from training.dataset import Manifest, read_manifest, read_photo
from training.environment import JobError
from training.evaluation import class_scores, confusion_matrix, write_confusion_matrix
from training.export import Classifier, check_export, export
from training.feature_store import read_index, read_split
from training.heads import evaluate, fit, new_head
from training.weights import load_backbone

_IMAGES_TO_CHECK = 16


@dataclass(frozen=True)
class _Outcome:
    """What a training of either kind ends in."""

    classifier: Classifier
    course: Course
    tested: Scores
    labels: NDArray[np.int64]
    """Of the test photos, as their paths are."""
    paths: list[str]


def main() -> None:
    """Train, keep the best epoch, evaluate it once on the test photos, export and write everything."""
    hyperparameters = environment.hyperparameters()
    torch.manual_seed(hyperparameters.seed)
    manifest = read_manifest(environment.channel(contract.Channel.MANIFEST))
    if hyperparameters.mode == "finetune":
        outcome = _fine_tuned(hyperparameters)
        if outcome is None:
            return
    else:
        outcome = _trained_head(hyperparameters, manifest=manifest)
    best, tested = outcome.course.best, outcome.tested
    if best is None:
        raise JobError("no epoch was trained; set epochs to at least 1")
    test_loss, test_accuracy = contract.metric("test:loss"), contract.metric("test:accuracy")
    print(f"best epoch {best.number}: {test_loss.line(tested.loss)} {test_accuracy.line(tested.accuracy)}", flush=True)

    model_file = environment.model_dir() / contract.Artefact.MODEL
    export(outcome.classifier, model_file, image_size=hyperparameters.image_size)
    difference = check_export(
        outcome.classifier,
        model_file,
        images=_some_photos(
            environment.channel(contract.Channel.DATASET), outcome.paths, image_size=hyperparameters.image_size
        ),
    )
    print(f"exported {model_file.name}: probabilities within {difference:.1e} of PyTorch's", flush=True)
    _write_card(hyperparameters=hyperparameters, manifest=manifest, test_accuracy=tested.accuracy)
    _write_results(
        hyperparameters=hyperparameters,
        manifest=manifest,
        best=best,
        tested=tested,
        labels=outcome.labels,
        history=outcome.course.epochs,
    )


def _fine_tuned(hyperparameters: contract.Hyperparameters) -> _Outcome | None:
    """The backbone trained with its head; None in all but one of torchrun's processes, the one that writes."""
    from training import finetune

    tuned = finetune.train(hyperparameters)
    if not tuned.leads:
        return None
    return _Outcome(
        classifier=tuned.classifier,
        course=tuned.course,
        tested=tuned.test.scores(),
        labels=tuned.test.labels,
        paths=tuned.test.paths,
    )


def _trained_head(hyperparameters: contract.Hyperparameters, *, manifest: Manifest) -> _Outcome:
    """A head on the features of the frozen backbone."""
    folder, index = read_index(environment.channel(contract.Channel.FEATURES))
    backbone, weights = load_backbone(hyperparameters.backbone, image_size=hyperparameters.image_size)
    _check_features(index, hyperparameters=hyperparameters, classes=manifest.classes, weights=weights)
    train, validation, test = (read_split(folder, split) for split in contract.SPLITS)
    head = new_head(train, levels=index["levels"], classes=len(manifest.classes))
    course = Course()
    checkpoints = Checkpoints(
        environment.checkpoint_dir(),
        identity={**hyperparameters.to_strings(), "job": "train", "features": index["key"], "weights": weights},
    )
    for epoch in fit(
        head,
        train=train,
        validation=validation,
        hyperparameters=hyperparameters,
        checkpoints=checkpoints,
        course=course,
    ):
        print(epoch_line(epoch, epochs=hyperparameters.epochs), flush=True)
    head.load_state_dict(course.weights)
    return _Outcome(
        classifier=Classifier(backbone=backbone, head=head.folded()).eval(),
        course=course,
        tested=evaluate(head, test),
        labels=test.labels,
        paths=test.paths,
    )


def _check_features(
    index: contract.FeaturesIndex, *, hyperparameters: contract.Hyperparameters, classes: list[str], weights: str
) -> None:
    """Features of another backbone, crop, weights or data set would make a model that answers nonsense."""
    for what, of_features, of_job in (
        ("backbone", index["backbone"], hyperparameters.backbone),
        ("image_size", index["image_size"], hyperparameters.image_size),
        ("weights", index["weights"], weights),
        ("classes", index["classes"], classes),
    ):
        if of_features != of_job:
            raise JobError(
                f"the features were made with {what} {of_features} and this job has {of_job}; "
                "start the state machine again, which makes the features anew"
            )


def _some_photos(root: Path, paths: list[str], *, image_size: int) -> NDArray[np.uint8]:
    """Test photos spread over the classes, as the endpoint will see them: uint8, (N, S, S, 3)."""
    resize = preprocess.resize_for(image_size)
    spread = np.linspace(0, len(paths) - 1, num=min(_IMAGES_TO_CHECK, len(paths)), dtype=int)
    return np.stack(
        [
            preprocess.center_crop(
                preprocess.decode(read_photo(root, paths[index]), shorter_side=resize),
                image_size=image_size,
                resize=resize,
            )
            for index in spread
        ]
    )


def _run() -> str:
    return os.environ.get(contract.JobVariable.RUN) or environment.job_name()


def _write_card(*, hyperparameters: contract.Hyperparameters, manifest: Manifest, test_accuracy: float) -> None:
    card: contract.ModelCard = {
        "run": _run(),
        "backbone": hyperparameters.backbone,
        "labels": manifest.classes,
        "image_size": hyperparameters.image_size,
        "resize": preprocess.resize_for(hyperparameters.image_size),
        "dataset_fingerprint": manifest.summary["fingerprint"],
        "test_accuracy": test_accuracy,
    }
    _write_json(environment.model_dir() / contract.Artefact.MODEL_CARD, card)


def _write_results(
    *,
    hyperparameters: contract.Hyperparameters,
    manifest: Manifest,
    best: Epoch,
    tested: Scores,
    labels: NDArray[np.int64],
    history: list[Epoch],
) -> None:
    folder, classes = environment.output_dir(), manifest.classes
    matrix = confusion_matrix(labels, tested.predictions, classes=len(classes))
    write_confusion_matrix(folder, matrix, classes=classes)
    evaluation: contract.Evaluation = {
        "run": _run(),
        "classes": classes,
        "dataset_fingerprint": manifest.summary["fingerprint"],
        "test_fingerprint": manifest.summary["test_fingerprint"],
        "validation_accuracy": best.validation.accuracy,
        "test_accuracy": tested.accuracy,
        "test_loss": tested.loss,
        "test_images": len(labels),
        "per_class": class_scores(matrix, classes=classes),
        "confusion_matrix": matrix.tolist(),
        "hyperparameters": hyperparameters.to_strings(),
    }
    _write_json(folder / contract.Artefact.EVALUATION, evaluation)
    with (folder / contract.Artefact.HISTORY).open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["epoch", "train_loss", "validation_loss", "validation_accuracy"])
        rows.writerows(
            [epoch.number, epoch.train_loss, epoch.validation.loss, epoch.validation.accuracy] for epoch in history
        )


def _write_json(file: Path, content: object) -> None:
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    environment.run_job(main)
