"""`whippet history`: who served when, how good, why, and what can be put back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rich.console import Console

import contract
from cli.release_table import as_json, identity_name, show_releases
from cli.releases import find_releases
from infra.outputs import StackOutput
from tests.cli.released import IDENTITY, ReleasedStack, ServingSageMaker, record
from tests.fakes.ssm import RECORD, FakeParameter

STORY = (
    record(0, "released", "a-1", "", why="Accurate enough.")
    | record(1, "released", "b-1", "a-1", why="Not worse.")
    | record(2, "failed", "a-1", "b-1", why="the endpoint refused every photo")
    | record(3, "released", "c-1", "a-1")
    | record(4, "rolled-back", "a-1", "c-1", why="[red] shirts")
)


def rows(stack: Any, *, last: int = 20) -> list[str]:
    console = Console(record=True, width=300)
    show_releases(find_releases(stack), last=last, console=console)
    return [" ".join(line.split()) for line in console.export_text().splitlines()]


def shown(stack: Any, run: str) -> list[str]:
    """The rows of a run."""
    return [row for row in rows(stack) if f" {run} 0.9" in row]


def test_each_time_in_service_has_its_row_the_newest_first() -> None:
    told = rows(ReleasedStack(ServingSageMaker("a-1"), STORY))
    times = [row for row in told if row.startswith("2026")]
    assert times == sorted(times, reverse=True)
    assert len(times) == 5
    marks = [row for row in told if row[:1] in "↑↓" and row]
    assert marks == [
        "↑ put back by assumed-role/Admin/jo",
        "↑ released:",
        "↓ rolled back to run a-1 by assumed-role/Admin/jo: [red] shirts",
        "↑ back, as run b-1 did not pass its smoke test",
        "↓ replaced by run c-1",
        "↑ released: Not worse.",
        "↓ did not pass its smoke test: the endpoint refused every photo",
        "↑ released: Accurate enough.",
        "↓ replaced by run b-1",
    ]


def test_what_serves_and_what_can_be_put_back_is_marked_once() -> None:
    stack = ReleasedStack(ServingSageMaker("a-1", kept=("a-1", "c-1")), STORY)
    assert [row.endswith("serves") for row in shown(stack, "a-1")][:3] == [True, False, False]
    assert shown(stack, "c-1")[0].endswith("0.9000 (0.8256 to 0.9448) on 100 photos can be put back")
    assert shown(stack, "b-1")[0].endswith("on 100 photos")


TRIGGERS: dict[contract.Trigger, str] = {"ready": "the upload of READY", "schedule": "the schedule", "drift": "drift"}


@pytest.mark.parametrize(
    ("more", "kind", "words"),
    [
        ({"by": "arn:execution:a-1"}, "call", "↑ released: Good."),
        *(
            (
                {"by": f"arn:execution:{contract.triggered_name(trigger, 'an event')}"},
                trigger,
                f"↑ released, from a run that {what} started: Good.",
            )
            for trigger, what in TRIGGERS.items()
        ),
        ({"retry_of": "z-9"}, "retry", "↑ released, from a run that went on with run z-9: Good."),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_what_started_the_run_is_told(more: dict[str, str], kind: str, words: str) -> None:
    stack: Any = ReleasedStack(ServingSageMaker("a-1"), record(0, "released", "a-1", "", why="Good.", **more))
    assert words in rows(stack)
    assert json.loads(as_json(find_releases(stack), last=20))[0]["started_by"] == kind


def test_only_the_last_changes_are_read() -> None:
    stack = ReleasedStack(ServingSageMaker("a-1"), STORY)
    assert len([row for row in rows(stack, last=2) if row.startswith("20")]) == 2


def test_a_model_that_came_without_a_record_is_shown_with_what_its_run_says_of_it() -> None:
    decision = json.dumps({"test_accuracy": 0.75, "test_images": 8, "classes": []}).encode()
    stack = ReleasedStack(ServingSageMaker("z-1"), STORY | {"runs/z-1/decision.json": decision})
    newest, why, *_ = rows(stack)[1:]
    assert newest == "z-1 0.7500 on 8 photos serves"
    assert "no record says how it came into service" in why


def test_before_the_first_release_it_says_how_to_make_one() -> None:
    assert rows(ReleasedStack(ServingSageMaker(None, kept=()), {}))[0].endswith("release one with `whippet run`")


def test_a_model_that_sleeps_is_marked_so() -> None:
    stack = ReleasedStack(ServingSageMaker(None), ssm=FakeParameter("whippet-dev-c-1"))
    stack.outputs[StackOutput.SLEEP_RECORD] = RECORD
    assert shown(stack, "c-1")[0].endswith("sleeps")


def test_a_removed_first_endpoint_leaves_nobody_in_service() -> None:
    story = record(0, "released", "a-1", "") | record(1, "failed", "", "a-1", why="no")
    told = rows(ReleasedStack(ServingSageMaker(None, kept=()), story))
    assert [row for row in told if "serves" in row] == []
    assert "↓ did not pass its smoke test: no" in told


def test_what_a_failure_quotes_does_nothing_to_the_terminal() -> None:
    story = record(0, "released", "a-1", "") | record(1, "failed", "", "a-1", why="it says\n\x1b[2Jnothing")
    told = rows(ReleasedStack(ServingSageMaker(None, kept=()), story))
    assert "↓ did not pass its smoke test: it says \ufffd[2Jnothing" in told


def test_scripts_get_the_same_as_json() -> None:
    stack: Any = ReleasedStack(ServingSageMaker("a-1", kept=("a-1", "c-1")), STORY)
    found = json.loads(as_json(find_releases(stack), last=20))
    assert [(each["run"], each["can_be_put_back"]) for each in found[:2]] == [("a-1", False), ("c-1", True)]
    assert found[0]["until"] is None
    assert found[1]["until"] == found[0]["since"]
    assert found[1]["numbers"]["interval"]["low"] == 0.8256


@pytest.mark.parametrize(
    ("arn", "name"),
    [
        (IDENTITY, "assumed-role/Admin/jo"),
        ("arn:aws:iam::123456789012:root", "root"),
        ("somebody", "somebody"),
    ],
)
def test_an_identity_is_named_without_its_account(arn: str, name: str) -> None:
    assert identity_name(arn) == name
