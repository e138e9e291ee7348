"""The state machine's border to the Lambdas: every JSONPath of the definition against the types of the document."""

from __future__ import annotations

import copy
import importlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import contract
from tests.contract.document_types import Types
from tests.contract.document_walk import DocumentWalk
from tests.infra.template import Template

SETTINGS: dict[str, dict[str, str]] = {
    "default": {},
    "manual approval and warm start": {"release.approval": "manual", "tuning.warm_start": "true"},
    "fine-tuning": {"training.mode": "finetune", "training.spot": "true"},
    "fine-tuning with own rules": {"training.mode": "finetune", "debugger.mode": "own"},
    "several backbones": {"tuning.backbones": "resnet50,resnet18"},
    "managed rules": {"debugger.mode": "managed"},
    "no rules": {"debugger.mode": "off"},
    "guarded rollout": {"serving.mode": "realtime"},
    "scaling": {"serving.mode": "realtime", "scaling.max_instances": "4"},
    "shadow": {"serving.mode": "realtime", "release.shadow_minutes": "30"},
    "no debug rule": {"debugger.rules": "CPUBottleneck", "debugger.block": ""},
}
RENAMED = ("manual approval and warm start", "fine-tuning")
"""Settings whose paths and fields are renamed one by one; together they have all states but those of other rules."""

ONLY_READ_BY_LAMBDAS = {
    (contract.Plan, "classes"),
    (contract.Plan, "images"),
    (contract.ReportLocation, "console"),
    (contract.ReportLocation, "uri"),
    (contract.RecordedChange, "key"),
    (contract.ReusedWork, "run"),
    (contract.RetiredModels, "configs"),
    (contract.RetiredModels, "models"),
    (contract.SmokeTestResult, "photo"),
    (contract.SmokeTestResult, "predicted"),
    (contract.SmokeTestResult, "score"),
    (contract.SmokeTestResult, "truth"),
    (contract.Verdict, "reasons"),
    (contract.Verdict, "test_accuracy_interval"),
}
"""Fields that no path of the state machine needs; mypy sees both sides of them, which are Lambdas."""

PATH = re.compile(r"(?<!\$)\$(?:\.\w+|\[(?:\*|\d+)\])+")
"""A path of the document; those of the context object begin with two dollar signs."""

DOCUMENT_TYPES = [
    kind
    for module in ("contract.plan", "contract.run", "contract.task_inputs")
    for kind in vars(importlib.import_module(module)).values()
    if hasattr(kind, "__required_keys__")
    and kind not in (contract.RunOverrides, contract.LearningRateRange, contract.Interval)
]


def walk(template: Template, *, definition: Any = None, types: Types | None = None) -> DocumentWalk:
    def handler_of(arn: str) -> Callable[..., Any]:
        handler = template.resources[arn.rsplit(":", 1)[1]]["Properties"]["Handler"]
        module, _, name = handler.rpartition(".")
        found: Callable[..., Any] = getattr(importlib.import_module(module), name)
        return found

    return DocumentWalk(definition or template.definition(), handler_of=handler_of, types=types or Types())


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Every text of a definition that holds a path of the document, and where it stands."""
    if isinstance(value, str) and PATH.search(value):
        yield place, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*place, key))


def misspelt(text: str) -> Iterator[str]:
    """The text with one part of one of its paths renamed, for every part in turn."""
    for path in PATH.finditer(text):
        for part in re.finditer(r"\.\w+", path[0]):
            end = path.start() + part.end()
            yield f"{text[:end]}_renamed{text[end:]}"


def with_text(value: Any, place: tuple[Any, ...], text: str) -> Any:
    """A copy of a definition with another text at one place."""
    if not place:
        return text
    changed = copy.copy(value)
    changed[place[0]] = with_text(value[place[0]], place[1:], text)
    return changed


@pytest.mark.parametrize("settings", SETTINGS)
def test_every_path_is_written_before_it_is_read_and_is_what_its_type_says(synthesise: Any, settings: str) -> None:
    assert walk(synthesise(**SETTINGS[settings])).problems == []


@pytest.mark.parametrize("settings", RENAMED)
def test_a_renamed_field_is_noticed(synthesise: Any, settings: str) -> None:
    template = synthesise(**SETTINGS[settings])
    used = walk(template).types.used
    assert len(used) > 50
    unnoticed = [
        f"{kind.__name__}.{name}" for kind, name in used if not walk(template, types=Types((kind, name))).problems
    ]
    assert unnoticed == []


@pytest.mark.parametrize("settings", RENAMED)
def test_a_renamed_path_is_noticed(synthesise: Any, settings: str) -> None:
    template = synthesise(**SETTINGS[settings])
    definition = template.definition()
    types = Types()
    # states that are alike in both settings are renamed in the first one
    tried = {} if settings == RENAMED[0] else synthesise(**SETTINGS[RENAMED[0]]).definition()["States"]
    own = {name: state for name, state in definition["States"].items() if state != tried.get(name)}
    # the same path in the same role is renamed at the first of its places only
    changes: dict[tuple[str, bool], tuple[Any, ...]] = {}
    for place, text in places({"States": own}):
        for wrong in misspelt(text):
            changes.setdefault((wrong, place[-1] == "ResultPath"), place)
    assert len(changes) > (100 if not tried else 10)
    unnoticed = [
        f"{place}: {wrong}"
        for (wrong, _), place in changes.items()
        if not walk(template, definition=with_text(definition, place, wrong), types=types).problems
    ]
    assert unnoticed == []


def test_every_field_is_needed_by_some_path_or_is_known_to_be_the_lambdas_own(synthesise: Any) -> None:
    used = {field for settings in SETTINGS.values() for field in walk(synthesise(**settings)).types.used}
    declared = {(kind, name) for kind in DOCUMENT_TYPES for name in kind.__annotations__}
    assert declared - used == ONLY_READ_BY_LAMBDAS
