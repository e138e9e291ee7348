"""Entry point of the training with the best trial's values: the model to be served, and its test results."""

from __future__ import annotations

import os
from collections import Counter

import torch

import contract
from training.data.manifest import Manifest, read_manifest
from training.doctor.of_run import MOST_PHOTOS, examine_run
from training.embedding.store import read_index, read_split
from training.export.evaluate_and_export import Job, TrainedModel, evaluate_and_export
from training.finishing.finish import finish
from training.loop.head_loop import fit
from training.loop.history import History, epoch_line
from training.loop.instrumented import instrumented_training
from training.model.classifier import Classifier
from training.model.head import new_head
from training.model.weights import load_backbone
from training.profiler.profiler import Profiler
from training.runtime import environment
from training.runtime.checkpoints import Checkpoints, empty
from training.runtime.environment import JobError


def main() -> None:
    """Train, keep the settled epoch, export and test it, and describe how the training went."""
    hyperparameters = environment.hyperparameters()
    torch.manual_seed(hyperparameters.seed)
    profiler = Profiler(hyperparameters)
    manifest = read_manifest(environment.channel(contract.Channel.MANIFEST))

    # train a head on the features, or the backbone with it
    if hyperparameters.mode == "finetune":
        trained = _fine_tuned(hyperparameters, profiler=profiler)
        if trained is None:
            return
    else:
        trained = _trained_head(hyperparameters, manifest=manifest, profiler=profiler)

    # test and export what was trained
    job = Job(
        run=os.environ.get(contract.JobVariable.RUN) or environment.job_name(),
        hyperparameters=hyperparameters,
        manifest=manifest,
        photos=environment.channel(contract.Channel.DATASET),
        model_dir=environment.model_dir(),
        output_dir=environment.output_dir(),
    )
    evaluate_and_export(trained, job)
    if hyperparameters.mode == "features":
        _check_photos(manifest)
    profiler.write(environment.output_dir())
    empty(environment.checkpoint_dir())


def _fine_tuned(hyperparameters: contract.Hyperparameters, *, profiler: Profiler) -> TrainedModel | None:
    """Train the backbone with its head; return None in all but one of torchrun's processes, the one that writes."""
    from training.loop import finetune

    tuned = finetune.train(hyperparameters, profiler=profiler)
    if not tuned.is_main:
        return None
    return TrainedModel(
        classifier=tuned.classifier,
        history=tuned.history,
        validation_accuracy=tuned.validation.scores().accuracy,
        held_out_logits=tuned.validation.logits,
        held_out_labels=tuned.validation.labels,
    )


def _trained_head(hyperparameters: contract.Hyperparameters, *, manifest: Manifest, profiler: Profiler) -> TrainedModel:
    """Train a head on the features of the frozen backbone, and finish it."""
    # the features, and the backbone that they were made with
    folder, index = read_index(environment.channel(contract.Channel.FEATURES))
    backbone, weights = load_backbone(hyperparameters.backbone, image_size=hyperparameters.image_size)
    _check_features(index, hyperparameters=hyperparameters, classes=manifest.classes, weights=weights)
    train, validation = read_split(folder, "train"), read_split(folder, "validation")

    # a new head, or that of an interrupted attempt
    head = new_head(train.features, levels=index["levels"], classes=len(manifest.classes))
    history = History()
    checkpoints = Checkpoints(
        environment.checkpoint_dir(),
        identity={**hyperparameters.to_strings(), "job": "train", "features": index["key"], "weights": weights},
    )

    with instrumented_training(hyperparameters, profiler=profiler) as observer:
        for epoch in fit(
            head,
            train=train,
            validation=validation,
            hyperparameters=hyperparameters,
            checkpoints=checkpoints,
            history=history,
            observer=observer,
        ):
            print(epoch_line(epoch, epochs=hyperparameters.epochs), flush=True)

    # finish the head of the kept epoch
    head.load_state_dict(history.weights)
    finished = finish(head, train=train, validation=validation, levels=index["levels"], hyperparameters=hyperparameters)
    return TrainedModel(
        classifier=Classifier(backbone=backbone, head=finished.head.folded()).eval(),
        history=history,
        validation_accuracy=finished.validation.accuracy,
        held_out_logits=finished.held_out_logits,
        held_out_labels=finished.held_out_labels,
    )


def _check_photos(manifest: Manifest) -> None:
    """Write what is suspected of the photos, by the features that are there anyway."""
    folder, index = read_index(environment.channel(contract.Channel.FEATURES))
    check = examine_run(folder, index=index, manifest=manifest)
    if check is None:
        print(f"more than {MOST_PHOTOS:,} photos: `whippet check` examines them, not the training", flush=True)
        return
    environment.write_json(environment.output_dir() / contract.Artefact.CHECK, check)
    kinds = Counter(finding["kind"] for finding in check["findings"])
    named = ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "nothing"
    print(f"photos that should be looked at, of {check['photos']:,}: {named}", flush=True)


def _check_features(
    index: contract.FeaturesIndex, *, hyperparameters: contract.Hyperparameters, classes: list[str], weights: str
) -> None:
    """Refuse features of another backbone, crop, weights or data set: the predictions would be meaningless."""
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
