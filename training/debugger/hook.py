"""The debugger hook: saves the best-trial training's tensors for the rules, whoever evaluates them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

import contract
from training.debugger.activations import Activations
from training.debugger.collections import Collections, Wanted
from training.debugger.files import ModeKeys, SavedStep, TensorFiles
from training.debugger.kept_tensors import Kept, keep, take_back
from training.debugger.samples import to_arrays

__all__ = ["MAX_BYTES", "DebuggerHook"]

_LOSSES: Final = frozenset({"losses"})
"""The collection that alone is saved at most steps."""

MAX_BYTES: Final = 256 * 2**20
"""Of all files of a training, but for about 500 bytes a step for its loss. A saved step of a ResNet50 takes 8 MB."""

_MAX_FAILURES: Final = 20
_LOSSES_KEPT: Final = 500
"""Losses wait in memory for the epoch's end or the next step of which more is saved, but no longer than this."""


@dataclass
class _Taken:
    """A step that is to be written; its loss is still where it was computed."""

    saved: SavedStep
    loss: Tensor | None = None


class DebuggerHook:
    """See `training.observer.TensorHook`. What it could not save is in its report, and never ends the training.

    Global steps count optimiser steps and validations in the order they happen, from the position in the training
    alone: a resumed training goes on with the numbers the uninterrupted one would have used. With a folder of
    `checkpoints`, it also goes on with the tensors that the attempt before could still keep there.
    """

    def __init__(self, *, folder: Path, collections: Collections, checkpoints: Path | None = None):
        self._files, self._collections, self._checkpoints = TensorFiles(folder), collections, checkpoints
        self._earlier: contract.HookReport | None = None
        self._model: nn.Module = nn.Identity()
        self._activations = Activations(self._model, failed=self._failed)
        self._steps, self._epochs = 1, 1
        self._started_at, self._done = 0, 0
        self._due: frozenset[str] = frozenset()
        self._step: SavedStep | None = None
        """The one under way, if more than its loss is saved."""
        self._waiting: list[_Taken] = []
        self._largest = 0
        self._first: int | None = None
        self._saved_steps, self._saved_tensors, self._left_out, self._passed_over = 0, 0, 0, 0
        self._failures: dict[str, None] = {}
        self._failed_times = 0
        self._seconds, self._depth = 0.0, 0

    def begin_training(self, model: nn.Module, *, epochs: int, steps: int, done: int) -> None:
        """See `TensorHook`."""
        self._model, self._epochs, self._steps = model, epochs, steps
        self._done = self._started_at = done
        if self._checkpoints and done:
            with self._attempt("the tensors of the attempt before"):
                self._go_on_from(take_back(self._files.folder, self._checkpoints))
        with self._attempt("the collections"):
            self._activations = Activations(model, failed=self._failed)
            self._files.begin()
            self._files.write_collections(self._collections.to_json())

    def begin_step(self, step: int) -> None:
        """See `TensorHook`."""
        self._done = step + 1
        with self._attempt("the step's beginning"):
            last = step == self._epochs * self._steps - 1
            self._due = self._collections.due(ModeKeys.TRAIN, step, all_of_them=last)
            if self._due - _LOSSES and not self._affordable(step, last=last):
                self._due &= _LOSSES
                self._left_out += 1
            self._step = None
            if self._due - _LOSSES:
                self._step = SavedStep(number=step + step // self._steps, mode=ModeKeys.TRAIN, mode_step=step)
                due = self._due
                self._activations.watch(lambda name: self._collections.wanted(name, due) is not None)

    def after_backward(self, *, scaled: bool = False) -> None:
        """See `TensorHook`. The gradients of a step that a scaler passes over are not saved: they change no weight."""
        if self._step is None:
            return
        with self._attempt("activations"):
            self._keep(self._activations.stop().items(), sampled=True)
        trained = [(name, value) for name, value in self._model.named_parameters() if value.requires_grad]
        with self._attempt("gradients"):
            gradients = [
                (f"{contract.GRADIENT_PREFIX}{name}", value.grad) for name, value in trained if value.grad is not None
            ]
            if scaled and not _all_finite(gradient for _, gradient in gradients):
                self._passed_over += 1
            else:
                self._keep(gradients)
        with self._attempt("weights"):
            self._keep((name, value.detach()) for name, value in trained)

    def end_step(self, *, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """See `TensorHook`."""
        with self._attempt("the step"):
            number = self._done - 1
            saved = self._step or SavedStep(
                number=number + number // self._steps, mode=ModeKeys.TRAIN, mode_step=number
            )
            detailed, self._step = self._step is not None, None
            wanted = self._collections.wanted(contract.LOSS_TENSOR, self._due)
            if wanted or detailed:
                self._waiting.append(_Taken(saved, loss.detach() if wanted else None))
            if detailed:
                with self._attempt("labels and predictions"):
                    self._keep_answers(saved, logits=logits, labels=labels)
            if detailed or len(self._waiting) >= _LOSSES_KEPT:
                self._flush()

    def validated(self, *, loss: float, logits: Tensor, labels: Tensor) -> None:
        """See `TensorHook`."""
        with self._attempt("the validation"):
            epoch = max(self._done // self._steps, 1) - 1
            saved = SavedStep(number=self._done + epoch, mode=ModeKeys.EVAL, mode_step=epoch)
            self._due = self._collections.due(ModeKeys.EVAL, epoch, all_of_them=epoch == self._epochs - 1)
            wanted = self._collections.wanted(contract.LOSS_TENSOR, self._due)
            self._waiting.append(_Taken(saved, torch.tensor(loss) if wanted else None))
            with self._attempt("labels and predictions"):
                self._keep_answers(saved, logits=logits, labels=labels)
            self._flush()

    def close(self, *, ended: bool = True) -> None:
        """Write what is left, and the collections with their tensors' names.

        Where the training has not `ended`, since another attempt goes on with it, evaluators shall wait on.
        """
        with self._attempt("the last steps"):
            self._activations.stop()
            self._flush()
        with self._attempt("the collections"):
            self._files.write_collections(self._collections.to_json())
        if ended:
            with self._attempt("the mark of the training's end"):
                self._files.end()
        if self._checkpoints:
            with self._attempt("the tensors for the next attempt"):
                keep(self._files.folder, self._checkpoints, Kept(self.report(), self._collections.tensors()))

    def report(self) -> contract.HookReport:
        """What was saved so far."""
        notes, earlier = [], self._earlier
        if earlier:
            notes.append(
                f"the training went on at step {self._started_at}, with the tensors that the attempt before had kept"
            )
        elif self._started_at:
            notes.append(
                f"the training went on at step {self._started_at}, where an earlier attempt was interrupted; "
                f"this report is of the steps from there on"
            )
        if self._left_out:
            notes.append(
                f"{self._left_out} steps were left out to stay below {MAX_BYTES // 2**20} MB, but for their loss"
            )
        if self._passed_over:
            notes.append(
                f"the gradients of {self._passed_over} steps were too large for float16, as they may be until the "
                f"scaler has found its scale; these steps changed no weight, and their gradients were not saved"
            )
        report = contract.HookReport(
            steps=self._saved_steps,
            first_step=self._started_at if self._first is None else self._first,
            tensors=self._saved_tensors,
            bytes=self._files.bytes,
            seconds=self._seconds,
            failures=list(self._failures)[:_MAX_FAILURES],
            failed=self._failed_times,
        )
        if earlier:
            report["first_step"] = earlier["first_step"]
            report["steps"] += earlier["steps"]
            report["tensors"] += earlier["tensors"]
            report["seconds"] += earlier["seconds"]
            report["failures"] = list(dict.fromkeys(earlier["failures"] + report["failures"]))[:_MAX_FAILURES]
            report["failed"] += earlier["failed"]
        if notes:
            report["note"] = "; ".join(notes)
        return report

    def _go_on_from(self, kept: Kept | None) -> None:
        """Count in what lies in the folder already."""
        if kept is None:
            return
        self._earlier, self._files.bytes = kept.report, kept.report["bytes"]
        for name in kept.tensors:
            self._collections.wanted(name, frozenset())

    def _keep(self, tensors: Iterable[tuple[str, Tensor]], *, sampled: bool = False) -> None:
        """Take the wanted ones of these float tensors into the step."""
        if self._step is None:
            return
        wanted: list[tuple[str, Tensor, Wanted]] = []
        for name, tensor in tensors:
            what = self._collections.wanted(name, self._due)
            if what is not None:
                wanted.append((name, tensor, what))
        self._step.tensors |= to_arrays(wanted, sampled=sampled)

    def _keep_answers(self, saved: SavedStep, *, logits: Tensor, labels: Tensor) -> None:
        for name, classes in (
            (contract.LABELS_TENSOR, labels),
            (contract.PREDICTIONS_TENSOR, logits.argmax(dim=1)),
        ):
            wanted = self._collections.wanted(name, self._due)
            if wanted and len(classes):
                saved.tensors[name] = classes[: contract.MAX_SAMPLE].to(torch.int64).cpu().numpy().copy()

    def _affordable(self, step: int, *, last: bool) -> bool:
        """Whether the bound allows a step in detail: the steps in between may take what the training's progress allows.

        Room is kept for the first steps, on which a rule of its own rests, and for the last.
        """
        if self._files.bytes + self._largest > MAX_BYTES:
            return False
        if last or step < contract.FIRST_STEPS:
            return True
        room = MAX_BYTES - (contract.FIRST_STEPS + 1) * self._largest
        spent = self._files.bytes - contract.FIRST_STEPS * self._largest
        return spent + self._largest <= room * (step + 1) / (self._epochs * self._steps)

    def _flush(self) -> None:
        """Write all that waits; what cannot be written is lost, and its memory free again."""
        waiting, self._waiting = self._waiting, []
        losses = [taken for taken in waiting if taken.loss is not None]
        if losses:
            values = torch.stack([taken.loss.float().reshape(1) for taken in losses if taken.loss is not None])
            for taken, value in zip(losses, values.cpu().numpy(), strict=True):
                taken.saved.tensors[contract.LOSS_TENSOR] = value
        steps = [taken.saved for taken in waiting if taken.saved.tensors]
        before = self._files.bytes
        self._files.write(steps)
        trained = [step for step in steps if step.mode == ModeKeys.TRAIN]
        if self._first is None and trained:
            self._first = trained[0].mode_step
        self._saved_steps += sum(contract.LOSS_TENSOR in step.tensors for step in trained)
        self._saved_tensors += sum(len(step.tensors) for step in steps)
        self._largest = max(self._largest, self._files.bytes - before)

    @contextmanager
    def _attempt(self, what: str) -> Iterator[None]:
        """What fails inside is noted and passed over; the time is the hook's."""
        start = time.perf_counter()
        self._depth += 1
        try:
            yield
        except Exception as error:  # whatever it is, a training is worth more than a look at it
            self._failed(what, error)
        finally:
            self._depth -= 1
            if not self._depth:
                self._seconds += time.perf_counter() - start

    def _failed(self, what: str, error: Exception) -> None:
        self._failed_times += 1
        reason = error.strerror if isinstance(error, OSError) else str(error)  # without the name of each step's file
        failure = f"{what}: {type(error).__name__}: {reason}"[: contract.MAX_ERROR_CHARACTERS]
        if failure not in self._failures and len(self._failures) < _MAX_FAILURES:
            self._failures[failure] = None
            # Not the error's name: SageMaker's toolkit would take this line for the reason of a job that fails later.
            print(f"the debugger hook could not save {what}; the training goes on, and hook.json says why", flush=True)


def _all_finite(tensors: Iterable[Tensor]) -> bool:
    """In one transfer from the device."""
    return bool(torch.stack([tensor.isfinite().all() for tensor in tensors]).all())
