"""Decides which tensors are due at a step, by the collections of a hook's configuration, with smdebug's own code."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smdebug.analysis.utils import parse_bool
from smdebug.core.config_constants import CONFIG_FILE_PATH_ENV_STR, DEFAULT_SAGEMAKER_OUTDIR
from smdebug.core.json_config import add_collections_to_manager, collect_hook_config_params, get_include_collections
from smdebug.core.modes import ModeKeys
from smdebug.core.utils import match_inc
from smdebug.pytorch.collection import CollectionManager

import contract

__all__ = ["Collections", "Wanted", "managed_configuration", "own_configuration"]


@dataclass(frozen=True)
class Wanted:
    """The parts of a tensor that are saved: its values, reductions of them, or both."""

    values: bool
    reductions: tuple[tuple[str, bool], ...]
    """The name of each reduction, and whether it is taken of the absolute values."""


def managed_configuration() -> dict[str, Any] | None:
    """Return SageMaker Debugger's configuration of the hook; None where the job was created without one.

    SageMaker writes `DebugHookConfig` to `/opt/ml/input/config/debughookconfig.json`; smdebug's own variable may name
    another place.
    """
    base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
    file = Path(os.environ.get(CONFIG_FILE_PATH_ENV_STR, base / "input" / "config" / "debughookconfig.json"))
    if not file.is_file():
        return None
    managed: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return {"LocalPath": DEFAULT_SAGEMAKER_OUTDIR, **managed}


def own_configuration(mode: str, *, save_interval: int, output_dir: Path) -> dict[str, Any]:
    """Return this project's own configuration in the same form; the tensors become part of the job's output."""
    return {
        "LocalPath": str(output_dir / contract.Artefact.TENSORS),
        "CollectionConfigurations": contract.hook_collections(mode, save_interval),
    }


class Collections:
    """The collections that a configuration asks for."""

    def __init__(self, configuration: Mapping[str, Any]):
        self._manager = CollectionManager()
        parameters = collect_hook_config_params(configuration)
        add_collections_to_manager(self._manager, _with_truth_values(configuration), parameters)
        self._asked = [self._manager.get(name) for name in get_include_collections(configuration) or []]
        self._schedules = {mode: _schedules(self._asked, mode) for mode in ModeKeys}
        self._of_tensor: dict[str, list[Any]] = {}
        self._wanted: dict[tuple[str, frozenset[str]], Wanted | None] = {}

    def due(self, mode: ModeKeys, step: int, *, all_of_them: bool = False) -> frozenset[str]:
        """Return the names of the collections that are due at a step of a mode."""
        of_the_step = [names for steps, names in self._schedules[mode] if all_of_them or steps.should_save_step(step)]
        return frozenset().union(*of_the_step)

    def wanted(self, tensor: str, due: frozenset[str]) -> Wanted | None:
        """Return what is saved of a tensor when these collections are due; None for nothing."""
        known = (tensor, due)
        if known not in self._wanted:
            self._wanted[known] = self._found(tensor, due)
        return self._wanted[known]

    def tensors(self) -> list[str]:
        """Return the names of all tensors that were asked about so far."""
        return list(self._of_tensor)

    def to_json(self) -> dict[str, object]:
        """Return the collections as smdebug's readers take them, each with its tensors so far."""
        described: dict[str, object] = self._manager.to_json_dict()
        return described

    def _found(self, tensor: str, due: frozenset[str]) -> Wanted | None:
        # find the tensor's collections once, and list the tensor in them
        if tensor not in self._of_tensor:
            self._of_tensor[tensor] = [one for one in self._asked if match_inc(tensor, one.include_regex)]
            for collection in self._of_tensor[tensor]:
                collection.add_tensor_name(tensor)

        # join what the due ones of them want
        configs = [one.reduction_config for one in self._of_tensor[tensor] if one.name in due]
        if not configs:
            return None
        reductions: dict[tuple[str, bool], None] = {}
        for config in configs:
            if config is not None:
                reductions |= dict.fromkeys((name, False) for name in [*config.reductions, *config.norms])
                reductions |= dict.fromkeys((name, True) for name in [*config.abs_reductions, *config.abs_norms])
        return Wanted(
            values=any(config is None or config.save_raw_tensor for config in configs), reductions=tuple(reductions)
        )


def _schedules(collections: list[Any], mode: ModeKeys) -> list[tuple[Any, frozenset[str]]]:
    """Return the few different schedules of a mode, each with its collections; they are asked at every step."""
    schedules: list[tuple[Any, frozenset[str]]] = []
    for collection in collections:
        steps = collection.save_config.mode_save_configs[mode]
        same = next((place for place, (known, _) in enumerate(schedules) if known == steps), None)
        if same is None:
            schedules.append((steps, frozenset({collection.name})))
        else:
            schedules[same] = (steps, schedules[same][1] | {collection.name})
    return schedules


def _with_truth_values(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Convert `save_raw_tensor` from the API's text, the only parameter that smdebug does not convert itself."""
    collections = []
    for collection in configuration.get("CollectionConfigurations") or []:
        parameters = dict(collection.get("CollectionParameters") or {})
        if "save_raw_tensor" in parameters:
            parameters["save_raw_tensor"] = parse_bool(parameters["save_raw_tensor"], False)
        collections.append({**collection, "CollectionParameters": parameters})
    return {**configuration, "CollectionConfigurations": collections}
