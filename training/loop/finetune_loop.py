"""Fine-tuning's loop: steps, epochs, and the state from which another process goes on to the same bits."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import contract
from training.data.augmentation import draw_mix, randaugment
from training.data.loader import Batch, PhotoLoader, on_device
from training.loop.history import Course, Epoch
from training.loop.prediction import Predicted, predict, readable
from training.model.averaging import MovingAverage
from training.model.compute import autocast
from training.model.network import Network
from training.model.stages import parameter_groups, set_training
from training.runtime.checkpoints import Checkpoints
from training.runtime.distributed import Group
from training.runtime.environment import JobError
from training.runtime.interruption import Interruption
from training.runtime.observer import Observer

__all__ = ["FineTuning", "learning_rate_factor"]

_MOMENTUM: Final = 0.9
_LARGEST_GRADIENT: Final = 1.0
"""Norm to which gradients are cut, as in the fine-tuning of vision transformers (Dosovitskiy et al., 2021, B.1.1)."""

_PROGRESS_SECONDS: Final = 30


def learning_rate_factor(step: int, *, steps: int, warmup: int) -> float:
    """Linear from near zero to 1 over `warmup` steps, then a cosine to zero at `steps`."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))


class FineTuning:
    """One training of one network, by all processes of a group together.

    All that chance decides is drawn anew each step from the seed, the epoch and the step: a checkpoint needs no state
    of a random number generator, and a resumed training draws what the uninterrupted one would have drawn.
    """

    def __init__(
        self,
        network: Network,
        *,
        trained: list[str],
        train: PhotoLoader,
        validation: PhotoLoader,
        hyperparameters: contract.Hyperparameters,
        group: Group,
        precision: torch.dtype | None,
        micro_batch: int,
        checkpoints: Checkpoints,
        observer: Observer | None = None,
    ):
        self.network, self._trained, self._train, self._validation = network, trained, train, validation
        self._values, self._group, self._precision, self._micro = hyperparameters, group, precision, micro_batch
        self._checkpoints, self._observer = checkpoints, observer or Observer()
        self.course = Course()
        self._epoch, self._step = 1, 0
        self._loss = torch.zeros((), dtype=torch.float64, device=group.device)
        self.rate = 0.0
        """Images a second of the last epoch, all processes together."""
        self._steps = _steps_of_epoch(train, world=group.size)
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
        self._average = MovingAverage(_changing(network), decay=hyperparameters.ema) if hyperparameters.ema else None
        self._interruption = Interruption()

    @property
    def where(self) -> str:
        """How far the training is, for people."""
        return f"epoch {self._epoch}, step {self._step} of {self._steps}"

    def epochs(self) -> Iterator[Epoch]:
        """Train, and yield each epoch's results; after a restored checkpoint, those of the epochs that are left."""
        self._observer.begin_training(
            self.network,
            epochs=self._values.epochs,
            steps=self._steps,
            done=(self._epoch - 1) * self._steps + self._step,
        )
        with self._interruption:
            while self._epoch <= self._values.epochs:
                self._train_epoch()
                if not bool(self._loss.isfinite()):
                    raise JobError(
                        f"the training diverged in epoch {self._epoch}: its loss is {self._loss.item()}; "
                        f"make learning_rate ({self._values.learning_rate:g}) or backbone_rate smaller"
                    )
                with self._observer.phase("validation"):
                    seen = self._validate()
                scores = seen.scores()
                self._observer.validated(
                    loss=scores.loss, logits=torch.from_numpy(seen.logits), labels=torch.from_numpy(seen.labels)
                )
                epoch = Epoch(number=self._epoch, train_loss=float(self._loss.item()) / self._steps, validation=scores)
                with self._average.applied() if self._average else nullcontext():
                    self.course.add(epoch, self.network.state_dict())
                self._epoch, self._step = self._epoch + 1, 0
                self._loss.zero_()
                if self._checkpoints.due() or epoch.number == self._values.epochs:
                    self._save()
                yield epoch

    def state(self) -> dict[str, Any]:
        """Everything a process that starts anew needs, to end with the same weights."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
            "average": self._average.state() if self._average else {},
            "course": self.course.state(),
            "epoch": self._epoch,
            "step": self._step,
            "loss": self._loss,
            "micro_batch": self._micro,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where the state was taken."""
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])
        if self._average:
            self._average.restore(state["average"])
        self.course.restore(state["course"])
        self._epoch, self._step = state["epoch"], state["step"]
        self._loss.copy_(state["loss"])
        self._micro = state["micro_batch"]  # another split of the batch would be another rounding

    def _train_epoch(self) -> None:
        # A few late stages, on mostly few photos, lose more by statistics of small batches than they win (measured in
        # docs/training.md); a whole network follows its photos.
        set_training(self.network.backbone.network, trained=self._trained, statistics=not self._values.unfreeze_from)
        self._train.set_epoch(self._epoch - 1, start_batch=self._step)
        start = printed = time.monotonic()
        first = self._step
        batches = on_device(self._train, self._group.device, observer=self._observer)
        for batch in self._observer.each("data", islice(batches, self._steps - first)):
            self.take_step(batch)
            self._boundary()
            now = time.monotonic()
            self.rate = (self._step - first) * self._images_of_step / max(now - start, 1e-9)
            if self._group.leads and now - printed > _PROGRESS_SECONDS:
                printed = now
                print(f"{self.where}: {self.rate:.0f} images/s", flush=True)

    @property
    def _images_of_step(self) -> int:
        return self._train.batch_size * self._group.size

    def take_step(self, batch: Batch) -> None:
        """One update of the weights from one batch, which goes through the network in parts."""
        values, group, observer = self._values, self._group, self._observer
        observer.begin_step((self._epoch - 1) * self._steps + self._step)
        chance = np.random.default_rng([values.seed, self._epoch, self._step, group.rank])
        torch.manual_seed(int(chance.integers(2**63)))
        batch = next(readable([batch]), batch)
        images, labels = batch.images, batch.labels
        if values.randaugment:
            images = randaugment(images, magnitude=values.randaugment)
        mix = draw_mix(images, mixup=values.mixup, cutmix=values.cutmix, chance=chance)
        counted = batch.valid.to(torch.float32)
        total = group.sum(counted.sum())
        self._schedule()
        self._optimizer.zero_grad(set_to_none=True)
        loss = torch.zeros((), dtype=torch.float64, device=group.device)
        parts = torch.arange(len(images), device=group.device).tensor_split(math.ceil(len(images) / self._micro))
        for part in parts:
            with self._gradients_shared(part is parts[-1]):
                with observer.phase("forward"), autocast(group.device, self._precision):
                    logits = self._wrapped(mix.images(images, part) if mix else images[part])
                with observer.phase("forward"):
                    losses = (
                        mix.losses(logits, labels, part, label_smoothing=values.label_smoothing)
                        if mix
                        else functional.cross_entropy(
                            logits, labels[part], reduction="none", label_smoothing=values.label_smoothing
                        )
                    )
                    # Gradients are averaged over the processes, hence the factor: the mean is over all their images.
                    mean = (losses * counted[part]).sum() / total * group.size
                with observer.phase("backward"):
                    self._scaler.scale(mean).backward()  # type: ignore[no-untyped-call]
            loss += mean.detach().double() / group.size
        self._scaler.unscale_(self._optimizer)
        observer.after_backward(scaled=self._scaler.is_enabled())
        with observer.phase("optimizer"):
            nn.utils.clip_grad_norm_(self.network.parameters(), _LARGEST_GRADIENT)
            self._scaler.step(self._optimizer)
            self._scaler.update()
            if self._average:
                self._average.update()
        loss = group.sum(loss)
        self._loss += loss
        self._step += 1
        observer.end_step(loss=loss, logits=logits.detach(), labels=labels[parts[-1]])

    def _schedule(self) -> None:
        steps = self._values.epochs * self._steps
        warmup = min(round(self._values.warmup_epochs * self._steps), steps // 2)
        factor = learning_rate_factor((self._epoch - 1) * self._steps + self._step, steps=steps, warmup=warmup)
        for options in self._optimizer.param_groups:
            options["lr"] = options["peak"] * factor

    def _gradients_shared(self, now: bool) -> AbstractContextManager[Any]:
        """Only the last part of a batch sends the gradients round."""
        if now or self._group.size == 1:
            return nullcontext()
        context: AbstractContextManager[Any] = self._wrapped.no_sync()  # type: ignore[operator]
        return context

    def _validate(self) -> Predicted:
        self._group.share(buffer for buffer in self.network.buffers())
        with self._average.applied() if self._average else nullcontext():
            return predict(
                self.network, self._validation, group=self._group, precision=self._precision, between=self._boundary
            )

    def _boundary(self) -> None:
        """Between two steps: write a checkpoint if it is time, and stop if the job is to stop."""
        if self._group.agree(self._interruption.requested):
            self._save()
            self._interruption.stop(kept=self._checkpoints.kept, where=self.where)
        if self._checkpoints.due():
            self._save()

    def _save(self) -> None:
        if self._group.leads:
            with self._observer.phase("saving"), self._average.lifted() if self._average else nullcontext():
                self._checkpoints.save(self.state())


def _changing(network: nn.Module) -> dict[str, Tensor]:
    """What training changes: trained weights, and batch norm's statistics."""
    weights = {name: value.data for name, value in network.named_parameters() if value.requires_grad}
    return weights | {name: value for name, value in network.named_buffers() if "running_" in name}


def _steps_of_epoch(photos: PhotoLoader, *, world: int) -> int:
    """Batches of an epoch, without a last one that is less than half full: its gradient would be mostly noise.

    The order is another one each epoch, so that no photo is left out for good.
    """
    size = photos.batch_size * world
    rest = len(photos.records) % size
    return max(len(photos.records) // size + (2 * rest >= size), 1)
