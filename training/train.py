"""Entry point of the training with the best trial's values: the model to be served, and its test results."""

from __future__ import annotations

import os

import torch

import contract
from training.data.manifest import Manifest, read_manifest
from training.embedding.store import read_index, read_split
from training.export.evaluate_and_export import Trained, deliver
from training.export.onnx_export import Classifier
from training.loop.head_loop import fit, logits, new_head
from training.loop.history import Course, epoch_line
from training.loop.instrumented import watched_training
from training.model.weights import load_backbone
from training.profiler.profiler import Profiler
from training.runtime import environment
from training.runtime.checkpoints import Checkpoints
from training.runtime.environment import JobError


def main() -> None:
    """Train, keep the best epoch, and deliver it: exported, tested on the test photos, described."""
    hyperparameters = environment.hyperparameters()
    torch.manual_seed(hyperparameters.seed)
    profiler = Profiler(hyperparameters)
    manifest = read_manifest(environment.channel(contract.Channel.MANIFEST))
    if hyperparameters.mode == "finetune":
        trained = _fine_tuned(hyperparameters, profiler=profiler)
        if trained is None:
            return
    else:
        trained = _trained_head(hyperparameters, manifest=manifest, profiler=profiler)
    deliver(
        trained,
        run=os.environ.get(contract.JobVariable.RUN) or environment.job_name(),
        hyperparameters=hyperparameters,
        manifest=manifest,
        photos=environment.channel(contract.Channel.DATASET),
        model_dir=environment.model_dir(),
        output_dir=environment.output_dir(),
    )
    profiler.write(environment.output_dir())


def _fine_tuned(hyperparameters: contract.Hyperparameters, *, profiler: Profiler) -> Trained | None:
    """The backbone trained with its head; None in all but one of torchrun's processes, the one that writes."""
    from training.loop import finetune

    tuned = finetune.train(hyperparameters, profiler=profiler)
    if not tuned.leads:
        return None
    return Trained(
        classifier=tuned.classifier,
        course=tuned.course,
        validation_logits=tuned.validation.logits,
        validation_labels=tuned.validation.labels,
    )


def _trained_head(hyperparameters: contract.Hyperparameters, *, manifest: Manifest, profiler: Profiler) -> Trained:
    """A head on the features of the frozen backbone."""
    folder, index = read_index(environment.channel(contract.Channel.FEATURES))
    backbone, weights = load_backbone(hyperparameters.backbone, image_size=hyperparameters.image_size)
    _check_features(index, hyperparameters=hyperparameters, classes=manifest.classes, weights=weights)
    train, validation = read_split(folder, "train"), read_split(folder, "validation")
    head = new_head(train, levels=index["levels"], classes=len(manifest.classes))
    course = Course()
    checkpoints = Checkpoints(
        environment.checkpoint_dir(),
        identity={**hyperparameters.to_strings(), "job": "train", "features": index["key"], "weights": weights},
    )
    with watched_training(hyperparameters, profiler=profiler) as observer:
        for epoch in fit(
            head,
            train=train,
            validation=validation,
            hyperparameters=hyperparameters,
            checkpoints=checkpoints,
            course=course,
            observer=observer,
        ):
            print(epoch_line(epoch, epochs=hyperparameters.epochs), flush=True)
    head.load_state_dict(course.weights)
    return Trained(
        classifier=Classifier(backbone=backbone, head=head.folded()).eval(),
        course=course,
        validation_logits=logits(head, validation),
        validation_labels=validation.labels,
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


if __name__ == "__main__":
    environment.run_job(main)
