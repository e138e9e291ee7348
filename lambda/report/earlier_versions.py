"""Files of runs of earlier versions: what they lack is filled in with what says that nothing is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import contract

__all__ = ["complete"]


def complete(value: dict[str, Any], kind: type) -> None:
    """Add the members that earlier versions did not write to the content of a file of this kind."""
    if kind in _COMPLETIONS:
        _COMPLETIONS[kind](value)


def _evaluation(value: dict[str, Any]) -> None:
    for name in ("near_copies", "by_group", "unknown", "validation_images", "mirror_averaging", "fine_tuning"):
        value.setdefault(name, None)
    value.setdefault("coverage", [])
    for scores in _dictionaries(value.get("per_class")):
        scores.setdefault("recall_interval", None)


def _decision(value: dict[str, Any]) -> None:
    value.setdefault("undecided", False)
    for comparison in _dictionaries([value.get("in_service")]):
        for name in ("images", "old_accuracy", "new_accuracy"):
            comparison.setdefault(name, None)
        for name in ("gained", "lost"):
            comparison.setdefault(name, [])


def _dataset_summary(value: dict[str, Any]) -> None:
    for name in ("left_out", "in_two_classes", "remarks"):
        value.setdefault(name, [])


def _dictionaries(values: object) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


_COMPLETIONS: Final[dict[type, Callable[[dict[str, Any]], None]]] = {
    contract.Evaluation: _evaluation,
    contract.Decision: _decision,
    contract.DatasetSummary: _dataset_summary,
}
