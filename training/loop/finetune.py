"""Fine-tuning: what the network, the photos and the machine give, put together for a trial and for the last training.

Under torchrun (one process a GPU) every process runs this same code, and the leader alone prints and writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

import contract
from training.data.loader import PhotoLoader
from training.data.manifest import BrokenImages, Manifest, read_manifest
from training.export.onnx_export import Classifier
from training.loop.finetune_loop import FineTuning
from training.loop.head_loop import Head
from training.loop.history import Course, epoch_line
from training.loop.instrumented import watched_training
from training.loop.prediction import Predicted, predict
from training.model.compute import compile_stages, micro_batch, training_precision
from training.model.network import Network, probed_head
from training.model.stages import freeze, stages
from training.model.weights import load_backbone
from training.profiler.profiler import Profiler
from training.runtime import environment
from training.runtime.checkpoints import Checkpoints
from training.runtime.distributed import Group, joined
from training.runtime.environment import JobError
from training.runtime.observer import Observer

__all__ = ["FineTuned", "run_trial", "train"]


@dataclass(frozen=True)
class FineTuned:
    """What comes of a fine-tuning: the network of its best epoch, and what that says about the photos."""

    classifier: Classifier
    """Of the leader; on the CPU."""
    course: Course
    validation: Predicted
    leads: bool
    """Whether this process is the one to write the results."""


def run_trial(hyperparameters: contract.Hyperparameters) -> None:
    """Fine-tune for the given epochs and print each one's metrics, which SageMaker reads from the log."""
    with _set_up(hyperparameters, job="trial") as setup:
        setup.run()


def train(hyperparameters: contract.Hyperparameters, *, profiler: Profiler | None = None) -> FineTuned:
    """Fine-tune, take the best epoch's weights, and look at the validation photos with them, in float32."""
    profiler = profiler or Profiler(hyperparameters)
    with _set_up(hyperparameters, job="train", profiler=profiler) as setup:
        course = setup.run()
        profiler.gather(setup.group)
        setup.network.load_state_dict(course.weights)
        validation = predict(setup.network, setup.photos("validation"), group=setup.group, precision=None)
        if setup.group.leads and course.best is not None:
            scores = validation.scores()
            print(
                f"best epoch {course.best.number} in float32: loss {scores.loss:.6f} and accuracy {scores.accuracy:.6f}"
                f" on {len(validation.labels)} validation photos",
                flush=True,
            )
        return FineTuned(
            classifier=setup.network.classifier(),
            course=course,
            validation=validation,
            leads=setup.group.leads,
        )


@dataclass(frozen=True)
class _Setup:
    """Everything a fine-tuning needs, and how to run it."""

    hyperparameters: contract.Hyperparameters
    group: Group
    manifest: Manifest
    root: Path
    network: Network
    tuning: FineTuning
    broken: BrokenImages

    def run(self) -> Course:
        """Train to the end."""
        for epoch in self.tuning.epochs():
            if self.group.leads:
                line = epoch_line(epoch, epochs=self.hyperparameters.epochs)
                print(f"{line} {self.tuning.rate:.1f} images/s", flush=True)
        return self.tuning.course

    def photos(self, split: contract.SplitName) -> PhotoLoader:
        """A split as the endpoint will see it, this process's share."""
        return _photos(
            self.manifest, split, root=self.root, values=self.hyperparameters, group=self.group, broken=self.broken
        )


@contextmanager
def _set_up(values: contract.Hyperparameters, *, job: str, profiler: Profiler | None = None) -> Iterator[_Setup]:
    """Read the data, load the backbone, find a head or a checkpoint to begin with.

    Raises:
        JobError: a channel is missing, `unfreeze_from` names no stage, or the processes are more than the batch.
    """
    with joined() as group, _observed(values, group=group, profiler=profiler) as observer:
        torch.manual_seed(values.seed)
        manifest = read_manifest(environment.channel(contract.Channel.MANIFEST))
        root = environment.channel(contract.Channel.DATASET)
        backbone, weights = load_backbone(values.backbone, image_size=values.image_size)
        trained = freeze(backbone.network, until=values.unfreeze_from)
        backbone.to(group.device)
        precision = training_precision(group.device)
        checkpoints = Checkpoints(
            environment.checkpoint_dir(),
            identity={
                **values.to_strings(),
                "job": job,
                "dataset": manifest.summary["fingerprint"],
                "classes": manifest.classes,
                "weights": weights,
            },
        )
        state = group.from_leader(checkpoints.load() if group.leads else None)
        broken = BrokenImages(total=sum(len(records) for records in manifest.records.values()))
        train_photos = _photos(
            manifest, "train", root=root, values=values, group=group, broken=broken, shown="training"
        )
        if state is None:
            head = probed_head(
                backbone,
                plain=_photos(manifest, "train", root=root, values=values, group=group, broken=broken),
                augmented=train_photos,
                classes=len(manifest.classes),
                group=group,
                precision=precision,
                hyperparameters=values,
            )
        else:
            head = _empty_head(state["network"])
        network = Network(backbone=backbone, head=head.to(group.device))
        micro = micro_batch(
            network,
            batch_size=_share_of_batch(values.batch_size, group=group),
            image_size=values.image_size,
            device=group.device,
            precision=precision,
        )
        if group.device.type == "cuda":
            compile_stages(
                backbone.network, stages=stages(backbone.network), watched=backbone.middle, backend="inductor"
            )
        tuning = FineTuning(
            network,
            trained=trained,
            train=train_photos,
            validation=_photos(manifest, "validation", root=root, values=values, group=group, broken=broken),
            hyperparameters=values,
            group=group,
            precision=precision,
            micro_batch=micro,
            checkpoints=checkpoints,
            observer=observer,
        )
        if state is not None:
            tuning.restore(state)
        if group.leads:
            print(
                f"fine-tuning {values.backbone}: {len(trained)} of {len(stages(backbone.network))} stages"
                f" from {trained[0]} on, {group.size} x {group.device.type} in"
                f" {str(precision or torch.float32).removeprefix('torch.')}, batches of {values.batch_size}"
                f" in parts of {micro}, learning_rate={values.learning_rate:g}"
                f"{f', resumed at {tuning.where}' if state is not None else ''}",
                flush=True,
            )
        yield _Setup(
            hyperparameters=values,
            group=group,
            manifest=manifest,
            root=root,
            network=network,
            tuning=tuning,
            broken=broken,
        )


def _observed(
    values: contract.Hyperparameters, *, group: Group, profiler: Profiler | None
) -> AbstractContextManager[Observer]:
    """Only the last training is watched: a tuning job cannot carry debugger rules, and its trials are many."""
    return watched_training(values, profiler=profiler, group=group) if profiler else nullcontext(Observer())


def _photos(
    manifest: Manifest,
    split: contract.SplitName,
    *,
    root: Path,
    values: contract.Hyperparameters,
    group: Group,
    broken: BrokenImages,
    shown: str = "plain",
) -> PhotoLoader:
    """This process's share of a split; shuffled and augmented where it is `shown` for training."""
    return PhotoLoader(
        records=manifest.records[split],
        root=root,
        split=split,
        hyperparameters=values,
        batch_size=_share_of_batch(values.batch_size, group=group) if shown == "training" else _PLAIN_BATCH,
        shuffle=shown == "training",
        augment=shown == "training",
        seed=values.seed,
        rank=group.rank,
        world=group.size,
        broken=broken,
    )


_PLAIN_BATCH = 64


def _share_of_batch(batch_size: int, *, group: Group) -> int:
    if batch_size % group.size:
        raise JobError(
            f"a batch of {batch_size} cannot be shared by {group.size} processes; make batch_size a multiple of that"
        )
    return batch_size // group.size


def _empty_head(state: dict[str, torch.Tensor]) -> Head:
    """A head of the checkpoint's shape."""
    classes = len(state["head.linear.bias"])
    return Head(mean=torch.zeros_like(state["head.mean"]), scale=torch.zeros_like(state["head.scale"]), classes=classes)
