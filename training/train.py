"""Entry point of the training with the best trial's values: the model to be served, and its test results."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TypedDict

import torch

import contract
from training.data.class_weights import class_counts
from training.data.manifest import Manifest, read_manifest
from training.doctor.of_run import examine_run
from training.embedding.matching import check_features
from training.embedding.store import read_index, read_split
from training.evaluation.heat_maps import write_heat_maps
from training.evaluation.near_copies import find_near_copies
from training.evaluation.thumbnails import disputed_paths, mistaken_paths, photos_to_show, write_thumbnails
from training.export.evaluate_and_export import Job, TrainedModel, evaluate_and_export
from training.export.in_service import open_model_in_service
from training.export.onnx_model import OnnxModel
from training.finishing.cross_validation import calibrated_losses
from training.finishing.finish import Finished, finish
from training.finishing.group_accuracy import group_accuracy, groups_of
from training.loop.head_loop import fit, head_logits
from training.loop.history import History, epoch_line
from training.loop.instrumented import instrumented_training
from training.model.backbones import Backbone
from training.model.classifier import Classifier
from training.model.distance import Distance, fit_distance
from training.model.head import new_head
from training.model.weights import load_backbone
from training.profiler.profiler import Profiler
from training.runtime import environment
from training.runtime.checkpoints import Checkpoints, empty


def main() -> None:
    """Train, keep the settled epoch, export and test it, and describe how the training went."""
    hyperparameters = environment.hyperparameters()
    torch.manual_seed(hyperparameters.seed)
    profiler = Profiler(hyperparameters)
    manifest = read_manifest(environment.channel(contract.Channel.MANIFEST))

    # train a head on the features, or the backbone with it
    if hyperparameters.mode == "finetune":
        trained = _fine_tuned(hyperparameters, manifest=manifest, profiler=profiler)
        if trained is None:
            return
    else:
        trained = _trained_head(hyperparameters, manifest=manifest, profiler=profiler)

    # test and export what was trained, and run the model in service on the same test photos
    with tempfile.TemporaryDirectory(prefix="whippet-in-service-") as scratch:
        job = Job(
            run=os.environ.get(contract.JobVariable.RUN) or environment.job_name(),
            hyperparameters=hyperparameters,
            manifest=manifest,
            photos=environment.channel(contract.Channel.DATASET),
            model_dir=environment.model_dir(),
            output_dir=environment.output_dir(),
            in_service=open_model_in_service(
                environment.optional_channel(contract.Channel.IN_SERVICE), scratch=Path(scratch)
            ),
        )
        evaluation = evaluate_and_export(trained, job)
    check = _check_photos(manifest, backbone=hyperparameters.backbone)

    # what people look at
    mistakes = [*disputed_paths(job.output_dir), *mistaken_paths(job.output_dir)]
    shown = photos_to_show(evaluation, mistakes=mistakes, check=check, summary=manifest.summary)
    write_thumbnails(job.output_dir, shown, photos=job.photos)
    write_heat_maps(
        job.output_dir,
        [mistake["path"] for mistake in evaluation["hardest_mistakes"]],
        model=OnnxModel(job.model_dir / contract.Artefact.MODEL),
        photos=job.photos,
        preprocessing=trained.classifier.backbone.preprocessing,
    )
    profiler.write(environment.output_dir())
    empty(environment.checkpoint_dir())


def _fine_tuned(
    hyperparameters: contract.Hyperparameters, *, manifest: Manifest, profiler: Profiler
) -> TrainedModel | None:
    """Train the backbone with its head; return None in all but one of torchrun's processes, the one that writes.

    A finished head on the features of the backbone as it was is kept instead, if the validation photos say so: on few
    photos, or photos much like those that the backbone was made with, fine-tuning may lose by what it changes.
    """
    from training.loop import finetune

    tuned = finetune.train(hyperparameters, profiler=profiler)
    if not tuned.is_main:
        return None

    # a logistic regression on the features, which fine-tuning began with; smoothed labels are for networks
    folder, index = read_index(environment.channel(contract.Channel.FEATURES), backbone=hyperparameters.backbone)
    train, validation = read_split(folder, "train"), read_split(folder, "validation")
    head = new_head(train.features, levels=index["levels"], classes=len(index["classes"]))
    values = replace(hyperparameters, label_smoothing=0.0)
    finished = finish(
        head,
        train=train,
        validation=validation,
        levels=index["levels"],
        hyperparameters=values,
        groups=groups_of([train, validation], records=chain(*manifest.records.values())),
    )

    # both as they would be served, on photos that neither learnt from
    of_head = head_logits(finished.validated_head, validation)
    head_loss = float(calibrated_losses(of_head, validation.labels).mean())
    network_loss = float(calibrated_losses(tuned.validation.logits, tuned.validation.labels).mean())
    comparison: contract.FineTuningComparison = {
        "served": network_loss <= head_loss,
        "network_loss": network_loss,
        "head_loss": head_loss,
        "images": len(validation.labels),
    }
    print(
        f"fine-tuned network: calibrated loss {network_loss:.4f} on the validation photos; logistic regression on the "
        f"features: {head_loss:.4f}; kept: "
        f"{'the fine-tuned network' if comparison['served'] else 'the logistic regression'}",
        flush=True,
    )
    if not comparison["served"]:
        # the weights that the features were made with
        backbone, _ = load_backbone(hyperparameters.backbone, image_size=hyperparameters.image_size, frozen=False)
        distance = fit_distance(train.features, train.labels, levels=index["levels"], seed=hyperparameters.seed)
        trained = _with_head(finished, backbone=backbone, distance=distance, history=tuned.history)
        return replace(trained, fine_tuning=comparison, **_across_splits(finished, folder, manifest, hyperparameters))
    return TrainedModel(
        classifier=tuned.classifier,
        validated_head=None,
        history=tuned.history,
        validation_accuracy=tuned.validation.scores().accuracy,
        validation_images=len(tuned.validation.labels),
        held_out_logits=tuned.validation.logits,
        held_out_labels=tuned.validation.labels,
        # its features are others than those that training began with
        distance=None,
        fine_tuning=comparison,
        **_across_splits(finished, folder, manifest, hyperparameters),
    )


def _trained_head(hyperparameters: contract.Hyperparameters, *, manifest: Manifest, profiler: Profiler) -> TrainedModel:
    """Train a head on the features of the frozen backbone, and finish it."""
    # the features, and the backbone that they were made with
    folder, index = read_index(environment.channel(contract.Channel.FEATURES), backbone=hyperparameters.backbone)
    backbone, weights = load_backbone(hyperparameters.backbone, image_size=hyperparameters.image_size)
    check_features(
        index,
        hyperparameters=hyperparameters,
        preprocessing=backbone.preprocessing,
        classes=manifest.classes,
        weights=weights,
    )
    train, validation = read_split(folder, "train"), read_split(folder, "validation")

    counts = class_counts(train.labels, classes=len(manifest.classes))
    if reason := contract.class_weights_reason(counts, wanted=hyperparameters.class_weights):
        print(reason, flush=True)

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
    finished = finish(
        head,
        train=train,
        validation=validation,
        levels=index["levels"],
        hyperparameters=hyperparameters,
        groups=groups_of([train, validation], records=chain(*manifest.records.values())),
    )
    distance = fit_distance(train.features, train.labels, levels=index["levels"], seed=hyperparameters.seed)
    trained = _with_head(finished, backbone=backbone, distance=distance, history=history)
    return replace(trained, **_across_splits(finished, folder, manifest, hyperparameters))


def _with_head(finished: Finished, *, backbone: Backbone, distance: Distance, history: History) -> TrainedModel:
    """Return the backbone as it is, with a finished head."""
    return TrainedModel(
        classifier=Classifier(backbone=backbone, head=finished.head.folded()).eval(),
        validated_head=finished.validated_head.folded(),
        history=history,
        validation_accuracy=finished.validation.accuracy,
        validation_images=finished.validation_images,
        held_out_logits=finished.held_out_logits,
        held_out_labels=finished.held_out_labels,
        distance=distance,
    )


class _AcrossSplits(TypedDict):
    """The fields of `TrainedModel` that come from the features of all splits."""

    near_copies: list[contract.NearCopy]
    by_group: contract.GroupAccuracy | None


def _across_splits(
    finished: Finished, folder: Path, manifest: Manifest, hyperparameters: contract.Hyperparameters
) -> _AcrossSplits:
    """Look for test photos that are near-copies of others, and measure the accuracy with groups held out."""
    train, validation, test = (read_split(folder, split) for split in contract.SPLITS)
    by_group = group_accuracy(
        [train, validation, test],
        groups=groups_of([train, validation, test], records=chain(*manifest.records.values())),
        settings=finished.settings,
        classes=len(manifest.classes),
        seed=hyperparameters.seed,
    )
    if by_group is not None:
        print(
            f"accuracy with whole groups held out: {by_group['accuracy']:.4f} ({by_group['interval']['low']:.4f} to "
            f"{by_group['interval']['high']:.4f}), with photos held out one by one: "
            f"{by_group['accuracy_by_photo']:.4f}; {by_group['groups']} {by_group['source']} of {by_group['images']} "
            "photos",
            flush=True,
        )
    return {"near_copies": find_near_copies([train, validation], test), "by_group": by_group}


def _check_photos(manifest: Manifest, *, backbone: str) -> contract.DatasetCheck | None:
    """Write what is suspected of the photos, by the features that are there anyway; None for too many photos."""
    folder, index = read_index(environment.channel(contract.Channel.FEATURES), backbone=backbone)
    check = examine_run(folder, index=index, manifest=manifest)
    if check is None:
        print(
            f"more than {contract.MOST_EXAMINED_PHOTOS:,} photos: `whippet check` examines them, not the training",
            flush=True,
        )
        return None
    environment.write_json(environment.output_dir() / contract.Artefact.CHECK, check)
    kinds = Counter(finding["kind"] for finding in check["findings"])
    named = ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "nothing"
    print(f"photos that should be looked at, of {check['photos']:,}: {named}", flush=True)
    return check


if __name__ == "__main__":
    environment.run_job(main)
