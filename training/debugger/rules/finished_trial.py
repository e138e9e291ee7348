"""Reads a training's saved tensors when the training is over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from smdebug.core.modes import ModeKeys
from smdebug.core.utils import get_worker_name_from_collection_file
from smdebug.exceptions import MissingCollectionFiles, TensorUnavailableForStep
from smdebug.trials.local_trial import LocalTrial

__all__ = ["FinishedTrial"]


class FinishedTrial(LocalTrial):  # type: ignore[misc]
    """smdebug's trial of a training that is over, whether or not the training could still mark its end.

    smdebug waits for files until it sees the marker `training_job_end.ts`, which neither a killed training nor a
    training job on SageMaker writes itself. This class never waits.

    It caches the tensors of one step. The rules walk through the steps together, so each tensor is read once for all of
    them.

    Raises:
        MissingCollectionFiles: there are no tensors in the folder.
    """

    def __init__(self, folder: Path):
        self._step_at_hand = -1
        self._read: dict[tuple[str, str, bool], NDArray[Any]] = {}
        self._by_collection: dict[str, frozenset[str]] = {}
        self._by_regex: dict[str, frozenset[str]] = {}
        super().__init__(name=folder.name, dirname=str(folder))
        self.index_reader.event_file_present_loop = _missing
        self.loaded_all_steps = True
        self.last_complete_step = max(self._global_to_mode, default=-1)

    def _load_collections(self) -> None:
        """Read the collections as smdebug does, but without waiting for their files."""
        files = self._get_collection_files()
        if not files:
            raise MissingCollectionFiles
        self._read_collections(files)
        self.worker_set = {get_worker_name_from_collection_file(file) for file in files}

    def maybe_refresh(self, name: str | None = None) -> None:
        """Do nothing: no tensors are added to a training that is over."""

    def wait_for_steps(self, required_steps: list[int], mode: ModeKeys = ModeKeys.GLOBAL) -> None:
        """Return at once: no steps are added to a training that is over."""

    def mode_at(self, step: int) -> ModeKeys:
        """Return whether a global step was one of training or of validation."""
        return self.mode(step)

    def optimizer_step(self, step: int) -> int | None:
        """Return the optimiser's step, from 0, at a global step or last before it; None before the first."""
        for earlier in range(step, -1, -1):
            if earlier in self._global_to_mode and self.mode(earlier) != ModeKeys.EVAL:
                return int(self.mode_step(earlier))
        return None

    def has_mode(self, names: frozenset[str], mode: ModeKeys) -> bool:
        """Return whether any of the tensors was saved in a mode."""
        return any(mode in self._tensors[name]._mode_steps for name in names)

    def saved(self, *, collections: list[str], regexes: list[str]) -> frozenset[str]:
        """Return the tensors that are in one of the collections or match one of the regular expressions."""
        found: frozenset[str] = frozenset()
        for collection in collections:
            if collection not in self._by_collection:
                known = collection in self.collections()
                names = self._tensors_in_collection(collection) if known else set()
                self._by_collection[collection] = frozenset(names & self._tensors.keys())
            found |= self._by_collection[collection]
        for regex in regexes:
            if regex not in self._by_regex:
                self._by_regex[regex] = frozenset(self._tensors_matching_regex([regex]))
            found |= self._by_regex[regex]
        return found

    def at_step(self, names: frozenset[str], step: int) -> list[str]:
        """Return those of the tensors that were saved at a global step, sorted by name."""
        return sorted(names & self.global_step_to_tensors_map.get(step, set()))

    def value_at(self, name: str, step: int) -> NDArray[Any] | None:
        """Return a tensor's value at a global step; None where only reductions of it were saved."""
        return self._cached(step, (name, "", False), lambda: self.tensor(name).value(step))

    def reduction_at(self, name: str, step: int, reduction: str, *, absolute: bool = False) -> float | None:
        """Return a reduction such as `mean`, saved or computed; None where it was not saved and cannot be computed."""
        value = self._cached(
            step,
            (name, reduction, absolute),
            lambda: self.tensor(name).reduction_value(step, reduction, abs=absolute),
        )
        return None if value is None else float(value.item())

    def reductions_at(self, name: str, step: int) -> dict[str, float]:
        """Return all saved reductions of a tensor, by names such as `abs_mean`."""
        saved = self.tensor(name).reduction_values(step)
        return {
            f"abs_{kind}" if absolute else kind: float(np.asarray(value).item())
            for (kind, absolute), value in saved.items()
        }

    def _cached(self, step: int, key: tuple[str, str, bool], read: Any) -> NDArray[Any] | None:
        if step != self._step_at_hand:
            self._step_at_hand, self._read = step, {}
        if key not in self._read:
            try:
                self._read[key] = np.asarray(read())
            except TensorUnavailableForStep:
                return None
        return self._read[key]


def _missing(location: Any) -> None:
    """Raise at once, where smdebug would wait for a file that the index names."""
    raise FileNotFoundError(
        f"{location.tensorname} of {location.mode.name} step {location.mode_step} was saved, but its file "
        f"{Path(location.event_file_name).name} is gone"
    )
