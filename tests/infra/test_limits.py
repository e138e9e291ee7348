"""Limits and retries of the whole definition: each state as one of its kind, whatever the settings."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any

import pytest
from annotated_types import Le
from pydantic import ValidationError

from infra.settings import ReleaseSettings
from infra.settings.debugger import DebuggerSettings
from infra.settings.rollout import RolloutSettings
from infra.settings.section import Section
from tests.infra.app_process import EVERY_FUNCTION
from tests.infra.optimised_fields import SHOWN, UNSHOWN
from tests.infra.template import Template


def highest(section: type[Section], setting: str) -> int:
    """The highest value that a setting takes."""
    (bound,) = (each.le for each in section.model_fields[setting].metadata if isinstance(each, Le))
    assert isinstance(bound, int)
    return bound


def longest_rollout() -> dict[str, str]:
    """The settings with which a rollout bakes longest, of all that are accepted."""
    minutes = highest(RolloutSettings, "bake_minutes")
    accepted: list[RolloutSettings] = []
    for percent in range(1, highest(RolloutSettings, "linear_percent") + 1):
        with contextlib.suppress(ValidationError):
            accepted.append(RolloutSettings(rollout="linear", linear_percent=percent, bake_minutes=minutes))
    chosen = max(accepted, key=lambda each: each.baking_minutes)
    return {
        "release.rollout": "linear",
        "release.linear_percent": str(chosen.linear_percent),
        "release.bake_minutes": str(chosen.bake_minutes),
    }


SETTINGS: dict[str, dict[str, str]] = {
    "default": {},
    "approval": {"release.approval": "manual", "tuning.warm_start": "true", "debugger.max_minutes": "240"},
    "fine-tuning": {"training.mode": "finetune", "training.spot": "true", "training.max_minutes": "7200"},
    "managed": {"debugger.mode": "managed", "env": "prod"},
    "pausing": EVERY_FUNCTION,
    "longest": {
        **EVERY_FUNCTION,
        **longest_rollout(),
        "release.shadow_minutes": str(highest(RolloutSettings, "shadow_minutes")),
        "release.approval_hours": str(highest(ReleaseSettings, "approval_hours")),
        "debugger.max_minutes": str(highest(DebuggerSettings, "max_minutes")),
    },
}
"""The last has the longest waits that the settings take."""

YEAR = 365 * 24 * 3600
LONGEST_TUNING = 30 * 24 * 3600
"""SageMaker's quota for a tuning job."""
MAX_EVENTS = 25_000
"""Quota of Step Functions: the events of an execution's history."""
EVENTS_OF_A_LOOK = 13
"""A task has five events, each Choice, Pass and Wait has two."""

EXPECTED_REFUSALS = {"DescribeEndpoint", "DescribeInService", "DescribeShadowEnd", "RemoveShadow"}
"""States whose refusal is an answer, such as that there is no endpoint; they have a loop for the other refusals."""

TAKEN_ONCE = {"ShadowPassed?": "DescribeEndpoint"}
"""Ways back that nobody counts: the shadow's verdict, which is then there, leads past the shadow (`Shadowed?`)."""


@pytest.fixture(params=SETTINGS)
def chosen(request: pytest.FixtureRequest, synthesise: Callable[..., Template]) -> Template:
    """The template of each of the settings in turn."""
    return synthesise(**SETTINGS[request.param])


@pytest.fixture
def machine(chosen: Template) -> dict[str, Any]:
    """The definition of each of the settings in turn."""
    return chosen.definition()


def tasks(machine: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from ((name, state) for name, state in machine["States"].items() if state["Type"] == "Task")


def pauses(state: dict[str, Any], error: str) -> list[float]:
    """The longest pauses before the further attempts after an error."""
    for retrier in state["Retry"]:
        if error in retrier["ErrorEquals"]:
            interval, rate = retrier["IntervalSeconds"], retrier.get("BackoffRate", 2)
            longest = retrier.get("MaxDelaySeconds", float("inf"))
            return [min(interval * rate**number, longest) for number in range(retrier["MaxAttempts"])]
    return []


def test_every_sagemaker_call_waits_for_what_passes(machine: dict[str, Any]) -> None:
    seen = 0
    for name, state in tasks(machine):
        if "sagemaker:" not in state["Resource"]:
            continue
        seen += 1
        for error in ("ResourceLimitExceededException", "ResourceLimitExceeded"):
            waits = pauses(state, f"SageMaker.{error}")
            assert len(waits) >= 10, name
            assert waits[0] >= 60, name
        assert sum(pauses(state, "SageMaker.SdkClientException")) >= 60, name
        refused = EXPECTED_REFUSALS | ({"TrainManaged"} if "Train" in machine["States"] else set())
        for error in ("AmazonSageMakerException", "SageMakerException"):
            assert (sum(pauses(state, f"SageMaker.{error}")) >= 60) is (name not in refused), name
    assert seen >= 15


def test_every_function_is_called_again_where_it_was_throttled_for_a_minute(machine: dict[str, Any]) -> None:
    functions = [
        (name, state)
        for name, state in tasks(machine)
        if ":function:" in state["Resource"] or ":lambda:" in state["Resource"]
    ]
    assert {"CheckDataset", "Verdict", "SmokeTest", "Retire", "Report", "Notify"} <= {name for name, _ in functions}
    for name, state in functions:
        for error in ("TooManyRequestsException", "ServiceException", "SdkClientException"):
            assert sum(pauses(state, f"Lambda.{error}")) >= 60, name


def test_every_call_about_scaling_waits_for_what_passes(machine: dict[str, Any]) -> None:
    calls = [(name, state) for name, state in tasks(machine) if ":applicationautoscaling:" in state["Resource"]]
    assert calls
    for name, state in calls:
        for error in ("ApplicationAutoScalingException", "ConcurrentUpdateException", "SdkClientException"):
            assert sum(pauses(state, f"ApplicationAutoScaling.{error}")) >= 60, name


def test_every_job_may_take_longer_for_its_state_than_for_sagemaker_and_is_then_stopped(
    machine: dict[str, Any],
) -> None:
    states, jobs = machine["States"], 0
    for name, state in tasks(machine):
        if not state["Resource"].endswith(".sync"):
            continue
        jobs += 1
        payload = state["Parameters"]
        stopping = payload.get("StoppingCondition", {"MaxRuntimeInSeconds": LONGEST_TUNING})
        own = stopping.get("MaxWaitTimeInSeconds", stopping["MaxRuntimeInSeconds"])
        assert state["TimeoutSeconds"] >= own + 3600, f"{name}: SageMaker's own reason has to come first"

        # the first Catch that takes a time-out
        target = next(c["Next"] for c in state["Catch"] if {"States.Timeout", "States.ALL"} & set(c["ErrorEquals"]))
        (member,) = (key for key in payload if key.removesuffix(".$").endswith("JobName"))
        kind = member.removesuffix("Name.$")
        assert states[target]["Resource"] == f"arn:aws:states:::aws-sdk:sagemaker:stop{kind}", name
        assert states[target]["Parameters"] == {member: payload[member]}, name
    assert jobs >= 3


def test_the_machine_has_a_limit_that_no_way_through_it_reaches_and_that_aws_accepts(machine: dict[str, Any]) -> None:
    states, graph = machine["States"], without_counted_loops(machine)
    # a state comes after all that it leads to, so its way to the end is known
    longest: dict[str, int] = {}
    for name in TopologicalSorter(graph).static_order():
        rest = max((longest[item] for item in graph[name]), default=0)
        longest[name] = states[name].get("TimeoutSeconds", 0) + states[name].get("Seconds", 0) + rest
    again = sum(longest[target] for name, target in TAKEN_ONCE.items() if name in states)
    loops = sum(limit * 20 for limit in limits(machine))
    assert min(longest[machine["StartAt"]] + again + loops, YEAR) <= machine["TimeoutSeconds"] <= YEAR


def following(state: dict[str, Any]) -> list[str]:
    found = [state.get("Next"), state.get("Default")]
    found += [item["Next"] for key in ("Choices", "Catch") for item in state.get(key, [])]
    return [name for name in found if name]


def counted(state: dict[str, Any]) -> set[str]:
    """The paths that a Pass counts up."""
    texts = [value for value in state.get("Parameters", {}).values() if isinstance(value, str)]
    return {match[1] for text in texts if (match := re.fullmatch(r"States\.MathAdd\((\$[\w.]+), 1\)", text))}


def compared(rule: dict[str, Any]) -> Iterator[tuple[str, int]]:
    for part in (*rule.get("And", []), *rule.get("Or", []), *([rule["Not"]] if "Not" in rule else [])):
        yield from compared(part)
    for comparison in ("NumericGreaterThanEquals", "NumericGreaterThan"):
        if comparison in rule:
            yield rule["Variable"], rule[comparison]


def limits(machine: dict[str, Any]) -> list[int]:
    """How often each loop may run."""
    found = {
        path: limit
        for state in machine["States"].values()
        for rule in state.get("Choices", [])
        for path, limit in compared(rule)
    }
    return list(found.values())


def without_counted_loops(machine: dict[str, Any]) -> dict[str, list[str]]:
    """By state: the states that it leads to, without those that count."""
    without = {name: following(state) for name, state in machine["States"].items() if not counted(state)}
    for name, target in TAKEN_ONCE.items():
        if name in without:
            without[name].remove(target)
    return {name: [item for item in targets if item in without] for name, targets in without.items()}


def test_what_is_taken_once_leads_past_where_it_came_from(pausing: dict[str, Any]) -> None:
    verdict = {"Variable": "$.shadow.verdict", "IsPresent": True}
    (passed,) = pausing["States"]["Shadowed?"]["Choices"]
    assert passed == {**verdict, "Next": passed["Next"]}
    assert pausing["States"]["JudgeShadow"]["ResultPath"] == verdict["Variable"]
    (back,) = (rule for rule in pausing["States"]["ShadowPassed?"]["Choices"] if rule["Next"] == "DescribeEndpoint")
    assert verdict in back["And"]


def test_every_loop_counts_and_its_count_has_a_limit(machine: dict[str, Any]) -> None:
    states = machine["States"]
    counts = {name: counted(state) for name, state in states.items()}
    try:
        TopologicalSorter(without_counted_loops(machine)).prepare()
    except CycleError as error:
        pytest.fail(f"a loop that nobody counts: {error.args[1]}")

    limited = {path for state in states.values() for rule in state.get("Choices", []) for path, _ in compared(rule)}
    assert set().union(*counts.values()) == limited


def test_the_history_of_the_longest_run_fits_into_step_functions(machine: dict[str, Any]) -> None:
    assert sum(limits(machine)) * EVENTS_OF_A_LOOK + 1000 < MAX_EVENTS


def test_no_log_holds_the_token_of_a_question(chosen: Template) -> None:
    logging = chosen.only("AWS::StepFunctions::StateMachine")["LoggingConfiguration"]
    assert logging["IncludeExecutionData"] is False
    assert logging["Level"] == "ALL", "what happened is still told"


def fields(value: Any, path: str = "") -> Iterator[str]:
    """The paths of a request's members, without the positions in lists."""
    if isinstance(value, list):
        for item in value:
            yield from fields(item, path)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from fields(item, f"{path}.{key.removesuffix('.$')}".lstrip("."))
    if not isinstance(value, dict | list) or not value:
        yield path


def listed(field: str, paths: set[str]) -> bool:
    return any(field == path or field.startswith(f"{path}.") for path in paths)


def test_every_field_of_an_optimised_call_is_shown_in_public_or_argued(machine: dict[str, Any]) -> None:
    unknown, calls = set(), set()
    for _, state in tasks(machine):
        match = re.fullmatch(r"arn:aws:states:::sagemaker:(\w+)(\.sync)?", state["Resource"])
        if match is None:
            continue
        calls.add(match[1])
        known = SHOWN[match[1]] | UNSHOWN.get(match[1], set())
        unknown |= {f"{match[1]} {field}" for field in fields(state["Parameters"]) if not listed(field, known)}
    assert unknown == set()
    assert calls >= {"createTrainingJob", "createHyperParameterTuningJob", "createModel", "createEndpoint"}


def test_a_field_is_argued_only_while_it_is_used_and_unshown(synthesise: Callable[..., Template]) -> None:
    used: dict[str, set[str]] = {}
    for settings in SETTINGS.values():
        for _, state in tasks(synthesise(**settings).definition()):
            call = state["Resource"].rpartition(":")[2].removesuffix(".sync")
            used.setdefault(call, set()).update(fields(state["Parameters"]))
    for call, paths in UNSHOWN.items():
        assert not [path for path in paths if listed(path, SHOWN[call])]
        assert not [path for path in paths if not any(listed(field, {path}) for field in used[call])]
