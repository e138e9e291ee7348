"""The observer of the best trial's training: put together before it, closed after it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import contract
from training.data.manifest import read_summary
from training.profiler.profiler import Profiler
from training.runtime import environment
from training.runtime.distributed import Group
from training.runtime.observer import Observer, TensorHook

if TYPE_CHECKING:
    from training.debugger.hook import DebuggerHook

__all__ = ["instrumented_training"]


@contextmanager
def instrumented_training(
    hyperparameters: contract.Hyperparameters, *, profiler: Profiler, group: Group | None = None
) -> Iterator[Observer]:
    """Give an observer to the training inside the `with` statement, alone or in a group.

    Time is measured in every process; tensors are saved by the main one.
    """
    is_main = group is None or group.is_main
    interval = os.environ.get(contract.JobVariable.SAVE_INTERVAL) if is_main else None
    with (
        profiler,
        _hooked(hyperparameters.mode, interval=interval) if interval else nullcontext() as hook,
    ):
        yield Observer(clock=profiler.clock, hook=hook)


@contextmanager
def _hooked(mode: str, *, interval: str) -> Iterator[TensorHook | None]:
    """Give the debugger hook and close it however the training ends; without one, write a report that says why."""
    output = environment.output_dir()
    made = _hook(mode, interval=interval, output=output)
    if isinstance(made, str):
        # The error's name is not printed: the toolkit would make the job's FailureReason of it.
        print("there is no debugger hook; the training goes on without it, and hook.json says why", flush=True)
        report = contract.HookReport(steps=0, first_step=0, tensors=0, bytes=0, seconds=0.0, failures=[made], failed=1)
        _write(report, output)
        yield None
        return

    hook, managed = made
    try:
        yield hook
    finally:
        # SageMaker Debugger marks the end itself: our mark could reach S3 before the last tensors, and would end the
        # evaluation of a spot training after its first attempt.
        hook.close(mark_end=not managed)
        _write(hook.report(), output)


def _hook(mode: str, *, interval: str, output: Path) -> tuple[DebuggerHook, bool] | str:
    """Return the hook and whether SageMaker Debugger configured it; or the reason why there is none."""
    try:
        from training.debugger.collections import Collections, managed_configuration, own_configuration
        from training.debugger.hook import DebuggerHook  # imports smdebug, which takes most of a second

        managed = managed_configuration()
        configured = managed or own_configuration(mode, save_interval=int(interval), output_dir=output)
        hook = DebuggerHook(
            folder=Path(configured["LocalPath"]),
            collections=Collections(configured),
            checkpoints=None if managed else environment.checkpoint_dir(),
            classes=_class_names(),
        )
    except Exception as error:  # as with a tensor that cannot be saved: the training is worth more
        return f"there is no debugger hook: {type(error).__name__}: {error}"[: contract.MAX_ERROR_CHARACTERS]
    return hook, managed is not None


def _class_names() -> list[str]:
    manifest = environment.optional_channel(contract.Channel.MANIFEST)
    return [entry["name"] for entry in read_summary(manifest)["classes"]] if manifest else []


def _write(report: contract.HookReport, output: Path) -> None:
    try:
        (output / contract.Artefact.HOOK_REPORT).write_text(json.dumps(report, indent=1), encoding="utf-8")
    except OSError as error:
        print(
            f"cannot write {contract.Artefact.HOOK_REPORT} ({error}), which would say {json.dumps(report)}", flush=True
        )
