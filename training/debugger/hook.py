"""The debugger hook: saves the best-trial training's tensors for the rules, whoever evaluates them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

import contract
from training.debugger.activations import Activations
from training.debugger.byte_budget import ByteBudget
from training.debugger.collections import Collections, Wanted
from training.debugger.failures import MAX_FAILURES, Failures
from training.debugger.files import ModeKeys, SavedStep, TensorFiles
from training.debugger.kept_tensors import Kept, TensorArchives
from training.debugger.samples import to_arrays

__all__ = ["MAX_BYTES", "DebuggerHook"]

_LOSSES: Final = frozenset({"losses"})
"""The only collection that is saved at most steps."""

MAX_BYTES: Final = 256 * 2**20
"""The most bytes of all files of a training, except about 500 bytes a step for its loss. A saved step of a ResNet50
takes 8 MB."""

_LOSSES_KEPT: Final = 500
"""The most losses that wait in memory for the epoch's end or for the next step that is saved in detail."""


@dataclass
class _WaitingStep:
    """A step that is to be written, with its loss still on the device where it was computed."""

    saved: SavedStep
    loss: Tensor | None = None


class DebuggerHook:
    """A `training.runtime.observer.TensorHook`. An error in it is noted in its report and never ends the training.

    Global steps count optimiser steps and validations in the order in which they happen, by the position in the
    training alone: a resumed training continues with the numbers that the uninterrupted one would have used. With a
    folder of `checkpoints`, it also continues with the tensors that the previous attempts kept there.
    """

    def __init__(
        self,
        *,
        folder: Path,
        collections: Collections,
        checkpoints: Path | None = None,
        classes: Sequence[str] = (),
    ):
        """Set the hook up; nothing is written yet.

        Args:
            folder: gets the tensors.
            collections: which tensors are saved, and when.
            checkpoints: where tensors are kept for the next attempt of an interrupted training.
            classes: the names of the classes, which the report hands on to the rules.
        """
        self._files, self._collections = TensorFiles(folder), collections
        self._archives = TensorArchives(folder, checkpoints=checkpoints) if checkpoints else None
        self._failures, self._budget = Failures(), ByteBudget(MAX_BYTES)
        self._classes = list(classes)
        self._model: nn.Module = nn.Identity()
        self._activations = Activations(self._model, failed=self._failures.add)

        # the position in the training
        self._steps, self._epochs = 1, 1
        self._started_at, self._done = 0, 0

        # the current step
        self._due: frozenset[str] = frozenset()
        self._step: SavedStep | None = None
        """The current step, if more than its loss is saved."""
        self._waiting: list[_WaitingStep] = []

        # what the report says
        self._earlier: Kept | None = None
        """What the previous attempts had saved, if their tensors are here."""
        self._first: int | None = None
        self._saved_steps, self._saved_tensors, self._left_out, self._skipped = 0, 0, 0, 0

    def begin_training(
        self, model: nn.Module, *, epochs: int, steps: int, done: int, archives: Sequence[str] = ()
    ) -> None:
        """See `TensorHook`."""
        self._model, self._epochs, self._steps = model, epochs, steps
        self._done = self._started_at = done
        if self._archives:
            with self._failures.attempt("the tensors of the attempt before"):
                self._continue_from(self._archives.take_back(archives, failed=self._failures.add))
        with self._failures.attempt("the collections"):
            self._activations = Activations(model, failed=self._failures.add)
            self._files.begin()
            self._files.write_collections(self._collections.to_json())

    def begin_step(self, step: int) -> None:
        """See `TensorHook`."""
        self._done = step + 1
        with self._failures.attempt("the step's beginning"):
            # decide what is saved of this step
            steps = self._epochs * self._steps
            self._due = self._collections.due(ModeKeys.TRAIN, step, all_of_them=step == steps - 1)
            if self._due - _LOSSES and not self._budget.allows(step, steps=steps, written=self._files.bytes):
                self._due &= _LOSSES
                self._left_out += 1

            # if more than the loss is, catch the activations in the forward pass
            self._step = None
            if self._due - _LOSSES:
                self._step = SavedStep(number=step + step // self._steps, mode=ModeKeys.TRAIN, mode_step=step)
                due = self._due
                self._activations.watch(lambda name: self._collections.wanted(name, due) is not None)

    def after_backward(self, *, scaled: bool = False) -> None:
        """See `TensorHook`. The gradients of a step that the scaler skips are not saved: they change no weight."""
        if self._step is None:
            return
        with self._failures.attempt("activations"):
            self._keep(self._activations.stop().items(), sampled=True)

        trained = [(name, value) for name, value in self._model.named_parameters() if value.requires_grad]
        with self._failures.attempt("gradients"):
            gradients = [
                (f"{contract.GRADIENT_PREFIX}{name}", value.grad) for name, value in trained if value.grad is not None
            ]
            if scaled and not _all_finite(gradient for _, gradient in gradients):
                self._skipped += 1
            else:
                self._keep(gradients)
        with self._failures.attempt("weights"):
            self._keep((name, value.detach()) for name, value in trained)

    def end_step(self, *, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """See `TensorHook`."""
        with self._failures.attempt("the step"):
            number = self._done - 1
            saved = self._step or SavedStep(
                number=number + number // self._steps, mode=ModeKeys.TRAIN, mode_step=number
            )
            detailed, self._step = self._step is not None, None

            # the loss stays on the device: reading it here would wait for the step
            wanted = self._collections.wanted(contract.LOSS_TENSOR, self._due)
            if wanted or detailed:
                self._waiting.append(_WaitingStep(saved, loss.detach() if wanted else None))
            if detailed:
                with self._failures.attempt("labels and predictions"):
                    self._keep_predictions(saved, logits=logits, labels=labels)
            if detailed or len(self._waiting) >= _LOSSES_KEPT:
                self._flush()

    def validated(self, *, loss: float, logits: Tensor, labels: Tensor) -> None:
        """See `TensorHook`."""
        with self._failures.attempt("the validation"):
            epoch = max(self._done // self._steps, 1) - 1
            saved = SavedStep(number=self._done + epoch, mode=ModeKeys.EVAL, mode_step=epoch)
            self._due = self._collections.due(ModeKeys.EVAL, epoch, all_of_them=epoch == self._epochs - 1)
            wanted = self._collections.wanted(contract.LOSS_TENSOR, self._due)
            self._waiting.append(_WaitingStep(saved, torch.tensor(loss) if wanted else None))
            with self._failures.attempt("labels and predictions"):
                self._keep_predictions(saved, logits=logits, labels=labels)
            self._flush()

    def keep(self) -> list[str]:
        """See `TensorHook`."""
        if self._archives is None:
            return []
        with self._failures.attempt("the tensors for the next attempt"):
            self._flush()
            if places := self._files.written:
                self._archives.pack(places, Kept(self._done, self.report(), self._collections.tensors()))
                places.clear()
        return self._archives.names

    def close(self, *, mark_end: bool = True) -> None:
        """Write what is left, and the collections with their tensors' names.

        With `mark_end`, also write the mark for which smdebug's evaluators wait. SageMaker Debugger writes it itself,
        once all tensors are in S3.
        """
        with self._failures.attempt("the last steps"):
            self._activations.stop()
            self._flush()
        with self._failures.attempt("the collections"):
            self._files.write_collections(self._collections.to_json())
        if mark_end:
            with self._failures.attempt("the mark of the training's end"):
                self._files.end()

    def report(self) -> contract.HookReport:
        """Return what was saved so far, that of the previous attempt included where its tensors are here."""
        report = contract.HookReport(
            steps=self._saved_steps,
            first_step=self._started_at if self._first is None else self._first,
            tensors=self._saved_tensors,
            bytes=self._files.bytes,
            seconds=self._failures.seconds,
            failures=self._failures.messages,
            failed=self._failures.count,
            classes=self._classes,
        )
        if self._earlier:
            earlier = self._earlier.report
            report["first_step"] = earlier["first_step"]
            report["steps"] += earlier["steps"]
            report["tensors"] += earlier["tensors"]
            report["seconds"] += earlier["seconds"]
            report["failures"] = list(dict.fromkeys(earlier["failures"] + report["failures"]))[:MAX_FAILURES]
            report["failed"] += earlier["failed"]
        if notes := self._notes():
            report["note"] = "; ".join(notes)
        return report

    def _notes(self) -> list[str]:
        notes = []
        if self._earlier:
            notes.append(
                f"the training went on at step {self._started_at}, with the tensors that the attempt before had kept"
            )
            if self._earlier.done < self._started_at:
                notes.append(f"the tensors from step {self._earlier.done} to there were lost")
        elif self._started_at:
            notes.append(
                f"the training went on at step {self._started_at}, where an earlier attempt was interrupted; "
                f"this report is of the steps from there on"
            )
        if self._left_out:
            notes.append(
                f"{self._left_out} steps were left out to stay below {MAX_BYTES // 2**20} MB, but for their loss"
            )
        if self._skipped:
            notes.append(
                f"the gradients of {self._skipped} steps were too large for float16, as they may be until the "
                f"scaler has found its scale; these steps changed no weight, and their gradients were not saved"
            )
        return notes

    def _continue_from(self, kept: Kept | None) -> None:
        """Count in the tensors that were unpacked into the folder."""
        if kept is None:
            return
        self._earlier, self._files.bytes = kept, kept.report["bytes"]
        for name in kept.tensors:
            self._collections.wanted(name, frozenset())

    def _keep(self, tensors: Iterable[tuple[str, Tensor]], *, sampled: bool = False) -> None:
        """Add those of these float tensors that are due to the current step."""
        if self._step is None:
            return
        wanted: list[tuple[str, Tensor, Wanted]] = []
        for name, tensor in tensors:
            what = self._collections.wanted(name, self._due)
            if what is not None:
                wanted.append((name, tensor, what))
        self._step.tensors |= to_arrays(wanted, sampled=sampled)

    def _keep_predictions(self, saved: SavedStep, *, logits: Tensor, labels: Tensor) -> None:
        for name, classes in (
            (contract.LABELS_TENSOR, labels),
            (contract.PREDICTIONS_TENSOR, logits.argmax(dim=1)),
        ):
            wanted = self._collections.wanted(name, self._due)
            if wanted and len(classes):
                saved.tensors[name] = classes[: contract.MAX_SAMPLE].to(torch.int64).cpu().numpy().copy()

    def _flush(self) -> None:
        """Write all waiting steps. What cannot be written is lost, but its memory is free again."""
        waiting, self._waiting = self._waiting, []

        # bring all losses from the device in one transfer
        losses = [step for step in waiting if step.loss is not None]
        if losses:
            values = torch.stack([step.loss.float().reshape(1) for step in losses if step.loss is not None])
            for step, value in zip(losses, values.cpu().numpy(), strict=True):
                step.saved.tensors[contract.LOSS_TENSOR] = value

        steps = [step.saved for step in waiting if step.saved.tensors]
        before = self._files.bytes
        self._files.write(steps)

        # count what was written, for the report and the budget
        trained = [step for step in steps if step.mode == ModeKeys.TRAIN]
        if self._first is None and trained:
            self._first = trained[0].mode_step
        self._saved_steps += sum(contract.LOSS_TENSOR in step.tensors for step in trained)
        self._saved_tensors += sum(len(step.tensors) for step in steps)
        self._budget.note_write(self._files.bytes - before)
        if self._archives is None:
            self._files.written.clear()


def _all_finite(tensors: Iterable[Tensor]) -> bool:
    """Return whether all values are finite, in one transfer from the device."""
    return bool(torch.stack([tensor.isfinite().all() for tensor in tensors]).all())
