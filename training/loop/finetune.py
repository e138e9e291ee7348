"""Fine-tuning: data, network and machine put together for a trial and for the last training.

Under torchrun (one process a GPU) every process runs this same code, and the main one alone prints and writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

import contract
from training.data.class_weights import class_weights
from training.data.loader import PhotoLoader
from training.data.manifest import BrokenImages, read_manifest
from training.embedding.matching import check_features
from training.embedding.store import read_index, read_split
from training.loop.epochs import run_epochs
from training.loop.finetune_loop import FineTuning
from training.loop.history import History, epoch_line
from training.loop.instrumented import instrumented_training
from training.loop.prediction import Predicted, predict
from training.loop.probe import probed_head
from training.model.backbones import Backbone
from training.model.batch_norm import StatisticsOf, statistics_of, synchronise
from training.model.classifier import Classifier
from training.model.compute import (
    compile_stages,
    compiling_pays,
    eager_if_compiling_fails,
    micro_batch,
    training_precision,
)
from training.model.head import Head
from training.model.network import Network
from training.model.stages import freeze, set_training, stages
from training.model.weights import load_backbone
from training.preprocess import Preprocessing
from training.profiler.profiler import Profiler
from training.runtime import environment
from training.runtime.checkpoints import Checkpoints
from training.runtime.distributed import Group, joined
from training.runtime.environment import JobError
from training.runtime.observer import Observer

__all__ = ["FineTuned", "run_trial", "train"]

_PLAIN_BATCH: Final = 64
"""Photos that go through the network at once where nothing is learnt from them."""

_STATISTICS: Final[dict[StatisticsOf, str]] = {
    "together": "batch norm takes its statistics from {images} photos of each process together",
    "pretrained": "batch norm keeps the pretrained statistics: {every} photos together are too few for others",
}
"""What the log says of a whole network's statistics where they are not simply those of a batch."""


@dataclass(frozen=True)
class FineTuned:
    """Result of fine-tuning: the kept epoch's network and its validation logits."""

    classifier: Classifier
    """The main process's, on the CPU."""
    history: History
    validation: Predicted
    is_main: bool
    """Whether this process is the one to write the results."""


def run_trial(hyperparameters: contract.Hyperparameters) -> None:
    """Fine-tune for the given epochs and print each one's metrics, which SageMaker reads from the log."""
    with _set_up(hyperparameters, job="trial") as setup:
        setup.run()
        if setup.group.is_main:
            setup.checkpoints.discard()  # and not those of other trials, which may lie beside them


def train(hyperparameters: contract.Hyperparameters, *, profiler: Profiler | None = None) -> FineTuned:
    """Fine-tune, take the kept epoch's weights, and validate them once more in float32."""
    profiler = profiler or Profiler(hyperparameters)
    with _set_up(hyperparameters, job="train", profiler=profiler) as setup:
        setup.run()
        profiler.gather(setup.group)

        # the kept epoch's weights, in the precision in which they are exported
        history = setup.history
        setup.network.load_state_dict(history.weights)
        validation = predict(setup.network, setup.photos.plain("validation"), group=setup.group, precision=None)
        if setup.group.is_main and history.kept is not None:
            scores = validation.scores()
            print(
                f"kept epoch {history.kept.number} in float32: loss {scores.loss:.6f} and accuracy "
                f"{scores.accuracy:.6f} on {len(validation.labels)} validation photos",
                flush=True,
            )
        return FineTuned(
            classifier=setup.network.classifier(),
            history=history,
            validation=validation,
            is_main=setup.group.is_main,
        )


class _Photos:
    """This process's shares of the splits; photos that turn out broken are counted over all of them."""

    def __init__(self, values: contract.Hyperparameters, *, preprocessing: Preprocessing, group: Group, scratch: Path):
        """Read the manifest.

        Args:
            values: the job's hyperparameters.
            preprocessing: what the backbone's weights expect of a photo.
            group: the processes that share the splits.
            scratch: folder for the training photos once they are decoded; a single epoch would not read them again.
        """
        self.manifest = read_manifest(environment.channel(contract.Channel.MANIFEST))
        self._values, self._preprocessing, self._group = values, preprocessing, group
        self._cache = scratch if values.epochs > 1 else None
        self._root = environment.channel(contract.Channel.DATASET)
        self._broken = BrokenImages(total=sum(len(records) for records in self.manifest.records.values()))

    def plain(self, split: contract.SplitName) -> PhotoLoader:
        """Load a split in the manifest's order, as the endpoint will see it."""
        return self._loader(split, batch_size=_PLAIN_BATCH, learnt_from=False)

    def augmented(self) -> PhotoLoader:
        """Load the training photos in random views, in another order each epoch."""
        batch_size = _share_of_batch(self._values.batch_size, group=self._group)
        return self._loader("train", batch_size=batch_size, learnt_from=True)

    def _loader(self, split: contract.SplitName, *, batch_size: int, learnt_from: bool) -> PhotoLoader:
        return PhotoLoader(
            records=self.manifest.records[split],
            root=self._root,
            split=split,
            hyperparameters=self._values,
            preprocessing=self._preprocessing,
            batch_size=batch_size,
            shuffle=learnt_from,
            augment=learnt_from,
            seed=self._values.seed,
            rank=self._group.rank,
            world=self._group.size,
            broken=self._broken,
            cache=self._cache,
        )


@dataclass(frozen=True)
class _Setup:
    """Everything a fine-tuning needs, and how to run it."""

    hyperparameters: contract.Hyperparameters
    group: Group
    photos: _Photos
    network: Network
    tuning: FineTuning
    checkpoints: Checkpoints
    state: Mapping[str, Any] | None
    """What an interrupted attempt left."""
    observer: Observer
    history: History = field(default_factory=History)

    def run(self) -> None:
        """Train to the end; the main process prints each epoch's metrics."""
        epochs = self.hyperparameters.epochs
        for epoch in run_epochs(
            self.tuning,
            epochs=epochs,
            history=self.history,
            checkpoints=self.checkpoints,
            state=self.state,
            observer=self.observer,
            group=self.group,
        ):
            if self.group.is_main:
                print(f"{epoch_line(epoch, epochs=epochs)} {self.tuning.rate:.1f} images/s", flush=True)


@contextmanager
def _set_up(values: contract.Hyperparameters, *, job: str, profiler: Profiler | None = None) -> Iterator[_Setup]:
    """Read the data, load the backbone, find a head or a checkpoint to begin with.

    Raises:
        JobError: a channel is missing, `unfreeze_from` names no stage, or the batch cannot be shared by the processes.
    """
    with (
        environment.scratch_dir() as scratch,
        joined() as group,
        _observed(values, group=group, profiler=profiler) as observer,
    ):
        torch.manual_seed(values.seed)
        # every batch has the same shape, so that the fastest kernels are worth looking for
        torch.backends.cudnn.benchmark = group.device.type == "cuda"

        # the backbone, frozen up to the first stage that is trained, and the photos as it wants them
        backbone, weights = load_backbone(values.backbone, image_size=values.image_size, frozen=False)
        photos = _Photos(values, preprocessing=backbone.preprocessing, group=group, scratch=scratch)
        trained = freeze(backbone.network, until=values.unfreeze_from)
        backbone.to(group.device)
        precision = training_precision(group.device)

        # the checkpoint of an interrupted attempt, which the main process reads for all
        checkpoints = Checkpoints(
            environment.checkpoint_dir(),
            identity={
                **values.to_strings(),
                "job": job,
                "dataset": photos.manifest.summary["fingerprint"],
                "classes": photos.manifest.classes,
                "weights": weights,
            },
        )
        state = group.broadcast(checkpoints.load() if group.is_main else None)

        # the head: the checkpoint's, or a probe of the backbone, which the main process trains for all
        if state is None:
            head = (
                _probe(
                    values,
                    preprocessing=backbone.preprocessing,
                    classes=photos.manifest.classes,
                    weights=weights,
                )
                if group.is_main
                else None
            )
            head_state = group.broadcast(head.state_dict() if head is not None else {})
        else:
            head_state = _of_head(state["training"]["network"])
        network = Network(backbone=backbone, head=_head(head_state).to(group.device))

        # what the machine allows: images that go through the network at once, compiled stages
        train_photos = photos.augmented()
        micro = micro_batch(
            network,
            batch_size=train_photos.batch_size,
            image_size=values.image_size,
            device=group.device,
            precision=precision,
        )
        micro = min(group.gather(micro))  # as many parts in every process, which may exchange statistics in each

        # A few late stages, on mostly few photos, lose more by statistics of batches than they win (measured in
        # docs/training.md); a whole network follows its photos. What processes exchange is not for the compiler.
        taken = statistics_of(backbone.network, processes=group.size, images=micro)
        if values.unfreeze_from and taken != "none":
            taken = "pretrained"
        if taken == "together":
            synchronise(backbone.network)
        elif compiling_pays(device=group.device, photos=len(photos.manifest.records["train"]), epochs=values.epochs):
            statistics = taken == "own"
            _compile(network, trained=trained, statistics=statistics, values=values, group=group, precision=precision)

        counts = photos.manifest.training_counts
        tuning = FineTuning(
            network,
            trained=trained,
            statistics=taken in ("own", "together"),
            train=train_photos,
            validation=photos.plain("validation"),
            hyperparameters=values,
            group=group,
            precision=precision,
            micro_batch=micro,
            class_weights=class_weights(counts, wanted=values.class_weights),
            observer=observer,
        )
        if group.is_main:
            print(
                _description(values, backbone, trained=trained, group=group, precision=precision, micro=micro),
                flush=True,
            )
            if not values.unfreeze_from and taken in _STATISTICS:
                print(_STATISTICS[taken].format(images=micro, every=group.size * micro), flush=True)
            if reason := contract.class_weights_reason(counts, wanted=values.class_weights):
                print(reason, flush=True)
        yield _Setup(
            hyperparameters=values,
            group=group,
            photos=photos,
            network=network,
            tuning=tuning,
            checkpoints=checkpoints,
            state=state,
            observer=observer,
        )


def _compile(
    network: Network,
    *,
    trained: list[str],
    statistics: bool,
    values: contract.Hyperparameters,
    group: Group,
    precision: torch.dtype | None,
) -> None:
    """Compile the backbone's stages, or leave them as they are where that fails."""
    backbone = network.backbone
    every = stages(backbone.network)
    compile_stages(backbone.network, stages=every, watched=backbone.middle, backend="inductor")
    set_training(backbone.network, trained=trained, statistics=statistics)
    eager_if_compiling_fails(
        network,
        stages=[backbone.network.get_submodule(stage) for stage in every],
        image_size=values.image_size,
        device=group.device,
        precision=precision,
    )


def _observed(
    values: contract.Hyperparameters, *, group: Group, profiler: Profiler | None
) -> AbstractContextManager[Observer]:
    """Only the last training is watched: a tuning job cannot carry debugger rules, and its trials are many."""
    return instrumented_training(values, profiler=profiler, group=group) if profiler else nullcontext(Observer())


def _description(
    values: contract.Hyperparameters,
    backbone: Backbone,
    *,
    trained: list[str],
    group: Group,
    precision: torch.dtype | None,
    micro: int,
) -> str:
    return (
        f"fine-tuning {values.backbone}: {len(trained)} of {len(stages(backbone.network))} stages,"
        f" from {trained[0]} on, {group.size} x {group.device.type} in"
        f" {str(precision or torch.float32).removeprefix('torch.')}, batches of {values.batch_size}"
        f" in parts of {micro}, learning_rate={values.learning_rate:g}"
    )


def _share_of_batch(batch_size: int, *, group: Group) -> int:
    if batch_size % group.size:
        raise JobError(
            f"a batch of {batch_size} cannot be shared by {group.size} processes; make batch_size a multiple of that"
        )
    return batch_size // group.size


def _probe(values: contract.Hyperparameters, *, preprocessing: Preprocessing, classes: list[str], weights: str) -> Head:
    """Train the head to begin with on the features job's features."""
    folder, index = read_index(environment.channel(contract.Channel.FEATURES), backbone=values.backbone)
    check_features(index, hyperparameters=values, preprocessing=preprocessing, classes=classes, weights=weights)
    return probed_head(
        read_split(folder, "train"), levels=index["levels"], classes=len(classes), hyperparameters=values
    )


def _of_head(network: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the head's part of a network's state."""
    return {name.removeprefix("head."): value for name, value in network.items() if name.startswith("head.")}


def _head(state: Mapping[str, Tensor]) -> Head:
    """Return a head with this state."""
    head = Head(mean=state["mean"].clone(), scale=state["scale"].clone(), classes=len(state["linear.bias"]))
    head.load_state_dict(state)
    return head
