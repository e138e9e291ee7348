"""Entry point of the training with the best trial's values: the head, its test results, the model to be served."""

from __future__ import annotations

import copy
import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training import contract, environment, preprocess
from training.dataset import Manifest, read_manifest, read_photo
from training.environment import JobError
from training.evaluation import class_scores, confusion_matrix, write_confusion_matrix
from training.export import Classifier, check_export, export
from training.feature_store import read_index, read_split
from training.heads import Epoch, Scores, evaluate, fit, new_head
from training.trial import epoch_line
from training.weights import load_backbone

_IMAGES_TO_CHECK = 16


def main() -> None:
    """Train the head, keep its best epoch, evaluate it once on the test photos, export and write everything."""
    hyperparameters = environment.hyperparameters()
    torch.manual_seed(hyperparameters.seed)
    manifest = read_manifest(environment.channel(contract.Channel.MANIFEST))
    folder, index = read_index(environment.channel(contract.Channel.FEATURES))
    backbone, weights = load_backbone(hyperparameters.backbone, image_size=hyperparameters.image_size)
    _check_features(index, hyperparameters=hyperparameters, classes=manifest.classes, weights=weights)

    train, validation, test = (read_split(folder, split) for split in contract.SPLITS)
    head = new_head(train, levels=index["levels"], classes=len(manifest.classes))
    history: list[Epoch] = []
    best, best_head = None, head
    for epoch in fit(head, train=train, validation=validation, hyperparameters=hyperparameters):
        history.append(epoch)
        print(epoch_line(epoch, epochs=hyperparameters.epochs), flush=True)
        if best is None or _rank(epoch) > _rank(best):
            best, best_head = epoch, copy.deepcopy(head)
    if best is None:
        raise JobError("no epoch was trained; set epochs to at least 1")
    tested = evaluate(best_head, test)
    test_loss, test_accuracy = contract.metric("test:loss"), contract.metric("test:accuracy")
    print(f"best epoch {best.number}: {test_loss.line(tested.loss)} {test_accuracy.line(tested.accuracy)}", flush=True)

    classifier = Classifier(backbone=backbone, head=best_head.folded()).eval()
    model_file = environment.model_dir() / contract.Artefact.MODEL
    export(classifier, model_file, image_size=hyperparameters.image_size)
    difference = check_export(
        classifier,
        model_file,
        images=_some_photos(
            environment.channel(contract.Channel.DATASET), test.paths, image_size=hyperparameters.image_size
        ),
    )
    print(f"exported {model_file.name}: probabilities within {difference:.1e} of PyTorch's", flush=True)
    _write_card(hyperparameters=hyperparameters, manifest=manifest, test_accuracy=tested.accuracy)
    _write_results(
        hyperparameters=hyperparameters,
        manifest=manifest,
        best=best,
        tested=tested,
        labels=test.labels,
        history=history,
    )


def _rank(epoch: Epoch) -> tuple[float, float]:
    return epoch.validation.accuracy, -epoch.validation.loss


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


def _some_photos(root: Path, paths: Sequence[str], *, image_size: int) -> NDArray[np.uint8]:
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
