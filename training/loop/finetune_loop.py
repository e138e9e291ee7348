"""The training of one network, as `run_epochs` drives it, to the same bits also where it is interrupted."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

import contract
from training.data.loader import Batch, PhotoLoader, on_device
from training.data.transforms import BatchTransforms
from training.loop.epochs import Validation
from training.loop.prediction import predict
from training.model.averaging import MovingAverage, decay_for
from training.model.batch_norm import running_statistics
from training.model.compute import autocast
from training.model.network import Network
from training.model.stages import parameter_groups, set_training
from training.runtime.distributed import Group
from training.runtime.environment import JobError
from training.runtime.observer import Observer

__all__ = ["FineTuning", "learning_rate_factor"]

_MOMENTUM: Final = 0.9
_LARGEST_GRADIENT: Final = 1.0
"""Norm to which gradients are cut, as in the fine-tuning of vision transformers (Dosovitskiy et al., 2021, B.1.1)."""

_PROGRESS_SECONDS: Final = 30


def learning_rate_factor(step: int, *, steps: int, warmup: int) -> float:
    """Return the factor of every learning rate: linear to 1 over `warmup` steps, then a cosine to zero at `steps`."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))


class FineTuning:
    """One training of one network, by all processes of a group together.

    Everything random is drawn anew each step from the seed, the epoch and the step: a checkpoint needs no state of a
    random number generator, and a resumed training draws what the uninterrupted one would have drawn.
    """

    def __init__(
        self,
        network: Network,
        *,
        trained: list[str],
        statistics: bool,
        train: PhotoLoader,
        validation: PhotoLoader,
        hyperparameters: contract.Hyperparameters,
        group: Group,
        precision: torch.dtype | None,
        micro_batch: int,
        class_weights: Tensor | None = None,
        observer: Observer | None = None,
    ):
        """Wrap the network for the group and make its optimiser.

        Args:
            network: trained in place, on the group's device.
            trained: the stages of its backbone that are trained.
            statistics: whether batch norm in them takes statistics from what goes through it; else the pretrained
                ones stay.
            train: this process's share of the training photos, in random views.
            validation: this process's share of the validation photos, as they are.
            hyperparameters: of the job.
            group: the processes that train together.
            precision: what the network computes in; None for float32.
            micro_batch: images that go through the network at once.
            class_weights: how much the classes count in the training's loss, (classes,); None where all count alike.
            observer: measures the phases and saves tensors.
        """
        self.model, self._trained, self._statistics = network, trained, statistics
        self._train, self._validation = train, validation
        self._values, self._group, self._precision, self._micro = hyperparameters, group, precision, micro_batch
        self._class_weights = None if class_weights is None else class_weights.to(group.device)
        self._observer = observer or Observer()
        self._transforms = BatchTransforms(hyperparameters)

        # where the training stands
        self.epoch, self.step = 1, 0
        self.steps = _steps_of_epoch(train, world=group.size)
        self._loss, self._seen = (torch.zeros((), dtype=torch.float64, device=group.device) for _ in range(2))
        self.rate = 0.0
        """Photos a second of the last epoch, all processes together; broken photos and padding do not count."""

        # what changes the weights
        self._wrapped = group.wrap(network)
        self._optimizer = torch.optim.SGD(
            parameter_groups(
                network.backbone.network,
                head=network.head,
                trained=trained,
                learning_rate=hyperparameters.learning_rate,
                backbone_rate=hyperparameters.backbone_rate,
                weight_decay=hyperparameters.weight_decay,
            ),
            momentum=_MOMENTUM,
            nesterov=True,
        )
        self._scaler = torch.amp.GradScaler(group.device.type, enabled=precision == torch.float16)
        decay = decay_for(hyperparameters.ema, steps=hyperparameters.epochs * self.steps)
        self._average = MovingAverage(_changing(network), decay=decay) if decay else None

    def begin_epoch(self, epoch: int) -> None:
        """Go to the first step of an epoch."""
        self.epoch, self.step = epoch, 0
        self._loss.zero_()

    def take_steps(self) -> Iterator[None]:
        """Take the steps of the epoch that are left; yield after each."""
        set_training(self.model.backbone.network, trained=self._trained, statistics=self._statistics)

        self._train.set_epoch(self.epoch - 1, start_batch=self.step)
        self._seen.zero_()
        start = printed = time.monotonic()
        batches = on_device(self._train, self._group.device, observer=self._observer)
        for batch in self._observer.each("data", islice(batches, self.steps - self.step)):
            self.take_step(batch)
            yield

            # print how fast it goes, now and then: to read the count makes the CPU wait for the GPU
            if self._group.is_main and time.monotonic() - printed > _PROGRESS_SECONDS:
                rate = self._photos_a_second(start)
                printed = time.monotonic()
                print(f"epoch {self.epoch}, step {self.step} of {self.steps}: {rate:.0f} images/s", flush=True)
        self.rate = self._photos_a_second(start)

    def take_step(self, batch: Batch) -> None:
        """Update the weights once from one batch, which goes through the network in parts."""
        values, group, observer = self._values, self._group, self._observer
        observer.begin_step((self.epoch - 1) * self.steps + self.step)

        # augment the batch with this step's own random numbers
        rng = np.random.default_rng([values.seed, self.epoch, self.step, group.rank])
        torch.manual_seed(int(rng.integers(2**63)))
        augmented = self._transforms(batch.images, batch.labels, rng=rng)

        # Broken photos and padding do not count: the loss is the mean over the others, of all processes.
        counted = batch.valid.to(torch.float32)
        total = group.sum(counted.sum())
        self._seen += total

        # determine and set the learning rate for this step
        self._schedule()

        # forward and backward pass, in parts that fit the memory
        self._optimizer.zero_grad(set_to_none=True)
        loss = torch.zeros((), dtype=torch.float64, device=group.device)
        images = len(batch.labels)
        parts = torch.arange(images, device=group.device).tensor_split(math.ceil(images / self._micro))
        for part in parts:
            with self._gradients_shared(part is parts[-1]):
                with observer.phase("forward"), autocast(group.device, self._precision), self._statistics_of(part):
                    logits = self._wrapped(augmented.part(part))
                with observer.phase("forward"):
                    losses = augmented.losses(
                        logits, part, label_smoothing=values.label_smoothing, class_weights=self._class_weights
                    )
                    # Gradients are averaged over the processes, hence the factor: the mean is over all their images.
                    mean = (losses * counted[part]).sum() / total.clamp(min=1) * group.size
                with observer.phase("backward"):
                    self._scaler.scale(mean).backward()  # type: ignore[no-untyped-call]
            loss += mean.detach().double() / group.size

        # clip the gradients, step the optimizer and move the averages
        self._scaler.unscale_(self._optimizer)
        observer.after_backward(scaled=self._scaler.is_enabled())
        with observer.phase("optimizer"):
            nn.utils.clip_grad_norm_(self.model.parameters(), _LARGEST_GRADIENT)
            self._scaler.step(self._optimizer)
            self._scaler.update()
            if self._average:
                self._average.update()

        loss = group.sum(loss)
        self._loss += loss
        self.step += 1
        observer.end_step(loss=loss, logits=logits.detach(), labels=batch.labels[parts[-1]])

    def train_loss(self) -> float:
        """Return the mean loss of the epoch's steps.

        Raises:
            JobError: it is not finite.
        """
        if not bool(self._loss.isfinite()):
            raise JobError(
                f"the training diverged in epoch {self.epoch}: its loss is {self._loss.item()}; "
                f"make learning_rate ({self._values.learning_rate:g}) or backbone_rate smaller"
            )
        return float(self._loss.item()) / self.steps

    def validate(self, *, between: Callable[[], None]) -> Validation:
        """Return the network's logits of the validation photos, or its moving average's."""
        self._group.share(self.model.buffers())
        with self._average.applied() if self._average else nullcontext():
            seen = predict(self.model, self._validation, group=self._group, precision=self._precision, between=between)
        return Validation(logits=seen.logits, labels=seen.labels, scores=seen.scores())

    def weights(self) -> Mapping[str, Tensor]:
        """Return the network's weights, or their moving averages: those that were validated."""
        weights = self.model.state_dict()
        if self._average:
            weights.update(self._average.averages)
        return weights

    def state(self) -> dict[str, Any]:
        """Return everything that a process that starts anew needs to end with the same weights."""
        network = self.model.state_dict()
        if self._average:
            network.update(self._average.weights)
        return {
            "network": network,
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
            "average": self._average.state() if self._average else {},
            "epoch": self.epoch,
            "step": self.step,
            "loss": self._loss,
            "micro_batch": self._micro,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint's `state`."""
        self.model.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])
        if self._average:
            self._average.restore(state["average"])
        self.epoch, self.step = state["epoch"], state["step"]
        self._loss.copy_(state["loss"])
        self._micro = state["micro_batch"]  # another split of the batch would be another rounding

    def _photos_a_second(self, start: float) -> float:
        return float(self._seen.item()) / max(time.monotonic() - start, 1e-9)

    def _statistics_of(self, part: Tensor) -> AbstractContextManager[None]:
        """Keep batch norm's running statistics for a photo that goes through the network alone."""
        return running_statistics(self.model.backbone.network) if len(part) == 1 else nullcontext()

    def _schedule(self) -> None:
        steps = self._values.epochs * self.steps
        warmup = min(round(self._values.warmup_epochs * self.steps), steps // 2)
        factor = learning_rate_factor((self.epoch - 1) * self.steps + self.step, steps=steps, warmup=warmup)
        for options in self._optimizer.param_groups:
            options["lr"] = options["peak"] * factor

    def _gradients_shared(self, now: bool) -> AbstractContextManager[Any]:
        """Send the gradients round after the last part of a batch only."""
        if now or self._group.size == 1:
            return nullcontext()
        context: AbstractContextManager[Any] = self._wrapped.no_sync()  # type: ignore[operator]
        return context


def _changing(network: nn.Module) -> dict[str, Tensor]:
    """Return what training changes: trained weights, and batch norm's statistics."""
    weights = {name: value.data for name, value in network.named_parameters() if value.requires_grad}
    return weights | {name: value for name, value in network.named_buffers() if "running_" in name}


def _steps_of_epoch(photos: PhotoLoader, *, world: int) -> int:
    """Count an epoch's batches, without a last one that is less than half full: its gradient would be mostly noise.

    The order is another one each epoch, so that no photo is left out for good.
    """
    size = photos.batch_size * world
    rest = len(photos.records) % size
    return max(len(photos.records) // size + (2 * rest >= size), 1)
