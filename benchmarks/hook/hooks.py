"""The two hooks that are compared, and what importing ours costs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import smdebug.pytorch as smd
import torch
from torch import Tensor, nn

from benchmarks.timing import child_cpu_seconds
from training.debugger import hook
from training.debugger.collections import Collections, own_configuration
from training.runtime.observer import TensorHook

__all__ = ["PEER", "SAVE_INTERVAL", "SmdebugHook", "import_seconds", "our_hook", "smdebug_hook"]

SAVE_INTERVAL = 50
PEER = "smdebug's hook"
_LOSS_NAME = "CrossEntropyLoss_output_0"


@contextmanager
def our_hook(mode: str) -> Iterator[TensorHook]:
    """Our hook as a job of this mode configures it.

    Raises:
        RuntimeError: the hook did not save everything that it was asked to.
    """
    with tempfile.TemporaryDirectory() as folder:
        configured = own_configuration(mode, save_interval=SAVE_INTERVAL, output_dir=Path(folder))
        ours = hook.DebuggerHook(folder=Path(configured["LocalPath"]), collections=Collections(configured))
        yield ours
        ours.close()
        if ours.report()["failed"]:
            raise RuntimeError(f"the hook did not save everything: {ours.report()['failures']}")


class SmdebugHook:
    """smdebug's hook; it saves weights, biases and gradients at the interval, and the loss of every step."""

    def __init__(self, folder: Path, *, save_interval: int):
        collections = ["losses", "weights", "biases", "gradients"]
        config = smd.SaveConfig(save_interval=save_interval)
        self.hook = smd.Hook(out_dir=str(folder / "tensors"), save_config=config, include_collections=collections)
        self.hook.get_collection("losses").save_config = smd.SaveConfig(save_interval=1)

    def begin_training(
        self, model: nn.Module, *, epochs: int, steps: int, done: int, archives: Sequence[str] = ()
    ) -> None:
        self.hook.register_module(model)

    def begin_step(self, step: int) -> None:
        self.hook.set_mode(smd.modes.TRAIN)

    def after_backward(self, *, scaled: bool) -> None:
        """Do nothing: the hooks on the modules have seen the gradients."""

    def end_step(self, *, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        self.hook.record_tensor_value(_LOSS_NAME, loss)

    def validated(self, *, loss: float, logits: Tensor, labels: Tensor) -> None:
        self.hook.set_mode(smd.modes.EVAL)
        self.hook.record_tensor_value(_LOSS_NAME, torch.tensor(loss))

    def keep(self) -> list[str]:
        return []


@contextmanager
def smdebug_hook(save_interval: int = SAVE_INTERVAL) -> Iterator[TensorHook]:
    """smdebug's hook in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        peer = SmdebugHook(Path(folder), save_interval=save_interval)
        yield peer
        peer.hook.close()


def import_seconds() -> float:
    """Return the CPU seconds that importing the hook takes where the training's modules are imported already."""
    before, after = "import training.train", "import training.train, training.debugger.hook"
    return child_cpu_seconds(["-c", after], {}) - child_cpu_seconds(["-c", before], {})
