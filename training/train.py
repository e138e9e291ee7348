"""Entry point of the training with the best trial's values: the head, its test results, the model to be served."""

from __future__ import annotations

import copy
import os

import torch

from training import contract, environment
from training.dataset import read_manifest
from training.delivery import Trained, deliver
from training.environment import JobError
from training.export import Classifier
from training.feature_store import read_index, read_split
from training.heads import Epoch, fit, logits, new_head
from training.results import HistoryRow
from training.trial import epoch_line
from training.weights import load_backbone


def main() -> None:
    """Train the head, keep its best epoch, and deliver it: exported, tested on the test photos, described."""
    hyperparameters = environment.hyperparameters()
    torch.manual_seed(hyperparameters.seed)
    manifest = read_manifest(environment.channel(contract.Channel.MANIFEST))
    folder, index = read_index(environment.channel(contract.Channel.FEATURES))
    backbone, weights = load_backbone(hyperparameters.backbone, image_size=hyperparameters.image_size)
    _check_features(index, hyperparameters=hyperparameters, classes=manifest.classes, weights=weights)

    train, validation = read_split(folder, "train"), read_split(folder, "validation")
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
    print(f"best epoch: {best.number}", flush=True)

    trained = Trained(
        classifier=Classifier(backbone=backbone, head=best_head.folded()).eval(),
        validation_logits=logits(best_head, validation),
        validation_labels=validation.labels,
        history=[
            HistoryRow(
                train_loss=epoch.train_loss,
                validation_loss=epoch.validation.loss,
                validation_accuracy=epoch.validation.accuracy,
            )
            for epoch in history
        ],
        best_epoch=best.number,
    )
    deliver(
        trained,
        run=os.environ.get(contract.JobVariable.RUN) or environment.job_name(),
        hyperparameters=hyperparameters,
        manifest=manifest,
        photos=environment.channel(contract.Channel.DATASET),
        model_dir=environment.model_dir(),
        output_dir=environment.output_dir(),
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


if __name__ == "__main__":
    environment.run_job(main)
