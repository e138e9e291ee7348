"""Writes trials with smdebug's own writer, tensor by tensor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from smdebug.core.collection_manager import CollectionManager
from smdebug.core.modes import ModeKeys
from smdebug.core.reductions import get_numpy_reduction, get_reduction_tensor_name
from smdebug.core.writer import FileWriter

import contract
from training.debugger.rules.evaluation import evaluate

WORKER = "worker_0"


class Recorder:
    """Saves what a training would have saved, without a mark of its end, as when a training is killed."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._collections = CollectionManager()
        for name in ("losses", "gradients", "weights"):
            self._collections.create_collection(name)
        self.classes: list[str] = []
        """The names of the classes, as the hook's report would give them."""
        self._next = 0
        self._mode_steps = {ModeKeys.TRAIN: 0, ModeKeys.EVAL: 0, ModeKeys.GLOBAL: 0}
        self._export()

    def training(self, step: int | None = None, *, only: str = "", **collections: dict[str, Any]) -> None:
        """Save an optimiser step's tensors: gradients={"gradient/w": …}; `only` names a reduction to save instead."""
        self._save(ModeKeys.TRAIN, step, only, collections)

    def validation(self, **collections: dict[str, Any]) -> None:
        """Save a validation's tensors."""
        self._save(ModeKeys.EVAL, None, "", collections)

    def losses(self, *values: float) -> None:
        """Save a step of training for each loss."""
        for value in values:
            self.training(losses={"loss": value})

    def validated(self, *values: float) -> None:
        """Save a validation for each loss."""
        for value in values:
            self.validation(losses={"loss": value})

    def _save(self, mode: Any, step: int | None, only: str, collections: dict[str, dict[str, Any]]) -> None:
        mode_step = self._mode_steps[mode] if step is None else step
        self._mode_steps[mode] = mode_step + 1
        writer = FileWriter(trial_dir=str(self.folder), worker=WORKER, step=self._next)
        for collection, tensors in collections.items():
            for name, value in tensors.items():
                self._collections.get(collection).add_tensor_name(name)
                values = np.asarray(value, dtype=np.int64 if collection in ("labels", "predictions") else np.float32)
                tag = name
                if only:
                    absolute, reduction = only.startswith("abs_"), only.removeprefix("abs_")
                    tag = get_reduction_tensor_name(name, reduction, absolute)
                    values = np.asarray(get_numpy_reduction(reduction, values, absolute))
                writer.write_tensor(
                    values.reshape(-1) if values.ndim == 0 else values, tag, mode=mode, mode_step=mode_step
                )
        writer.close()
        self._next += 1
        self._export()

    def _export(self) -> None:
        self._collections.export(str(self.folder), f"{WORKER}_collections.json")

    def result(self, rule: str, *, of: str = "features", **parameters: Any) -> contract.RuleResult:
        """Return the result of a rule on what was saved."""
        hook = contract.HookReport(
            steps=1, first_step=0, tensors=1, bytes=1, seconds=0.0, failures=[], failed=0, classes=self.classes
        )
        (result,) = evaluate(self.folder, {rule: parameters}, mode=of, evaluator="own", hook=hook)
        return result


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path / "tensors")
