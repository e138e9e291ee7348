"""The loop heads and fine-tuning share: resume, train, validate, keep the settled epoch, save, stop at SIGTERM."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.loop.history import Epoch, History, Scores
from training.runtime.checkpoints import Checkpoints
from training.runtime.distributed import ALONE, Agreement, Group
from training.runtime.interruption import Interruption
from training.runtime.observer import Observer

__all__ = ["Training", "Validation", "run_epochs"]


@dataclass(frozen=True)
class Validation:
    """A model's answers to the validation photos."""

    logits: NDArray[np.float32]
    """(images, classes)"""
    labels: NDArray[np.int64]
    """(images,)"""
    scores: Scores


class Training(Protocol):
    """What `run_epochs` asks of a training: its position, its steps, its validation and its state."""

    @property
    def model(self) -> nn.Module:
        """The model that learns."""

    @property
    def steps(self) -> int:
        """Optimiser steps of an epoch."""

    epoch: int
    """The epoch at hand, from 1."""
    step: int
    """Steps of the epoch that are done."""

    def begin_epoch(self, epoch: int) -> None:
        """Go to the first step of an epoch."""

    def take_steps(self) -> Iterator[None]:
        """Take the steps of the epoch that are left; yield after each."""

    def train_loss(self) -> float:
        """Return the mean loss of the epoch's steps; raise JobError if the training diverged."""

    def validate(self, *, between: Callable[[], None]) -> Validation:
        """Return the model's answers to the validation photos; call `between` wherever the job may stop."""

    def weights(self) -> Mapping[str, Tensor]:
        """Return the weights that were validated."""

    def state(self) -> dict[str, Any]:
        """Return everything that a process that starts anew needs to end with the same weights."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint's `state`."""


def run_epochs(
    training: Training,
    *,
    epochs: int,
    history: History,
    checkpoints: Checkpoints | None,
    state: Mapping[str, Any] | None,
    observer: Observer,
    group: Group = ALONE,
) -> Iterator[Epoch]:
    """Train for the given epochs and yield each one's results as it ends.

    On SIGTERM it finishes the step, writes a checkpoint and exits; without `checkpoints`, the signal is not caught.

    Args:
        training: trained in place.
        epochs: how many there are in all, those of earlier attempts included.
        history: gathers the epochs and the weights of the one to keep.
        checkpoints: where the training's state is kept; None for a training too short to be kept.
        state: that of an earlier attempt's checkpoint, to go on from; the epochs that are left are yielded.
        observer: measures the phases and saves tensors.
        group: the processes that train together, each of which runs this loop.
    """
    interruption, agreed = Interruption(), Agreement(group)
    kept = checkpoints or Checkpoints(None, identity={})

    def where() -> str:
        return f"epoch {training.epoch}, step {training.step} of {training.steps}"

    def save() -> None:
        if group.is_main:
            with observer.phase("saving"):
                # the tensors before the checkpoint: one that is whole names archives that are
                archives = observer.keep() if kept.kept else []
                kept.save({"training": training.state(), "history": history.state(), "archives": archives})

    def between_steps() -> None:
        """Write a checkpoint if it is time, and stop if the job is to stop: in all processes at once."""
        if agreed(interruption.requested):
            save()
            interruption.stop(kept=kept.kept, where=where())
        if kept.due():
            save()

    # go on where an earlier attempt of the job was interrupted
    if state is not None:
        training.restore(state["training"])
        history.restore(state["history"])
        if group.is_main:
            print(f"resumed at {where()}", flush=True)

    done = (training.epoch - 1) * training.steps + training.step
    archives = state.get("archives", ()) if state is not None else ()
    observer.begin_training(training.model, epochs=epochs, steps=training.steps, done=done, archives=archives)

    with interruption if checkpoints is not None else nullcontext():
        while training.epoch <= epochs:
            # train: a checkpoint or a stop may follow any step
            for _ in training.take_steps():
                between_steps()
            train_loss = training.train_loss()

            # validate with the weights that would be kept
            with observer.phase("validation"):
                seen = training.validate(between=between_steps)
            observer.validated(
                loss=seen.scores.loss, logits=torch.from_numpy(seen.logits), labels=torch.from_numpy(seen.labels)
            )

            # keep the weights of the settled epoch
            epoch = Epoch(number=training.epoch, train_loss=train_loss, validation=seen.scores)
            history.add(epoch, training.weights())

            # save at the start of the next epoch, so that what was validated is not validated again
            training.begin_epoch(epoch.number + 1)
            if kept.due() or epoch.number == epochs:
                save()
            yield epoch
