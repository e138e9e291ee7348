"""How the states of the release and of the rollback look at the endpoint, wait for it, and read its refusals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn

from infra.workflow.payloads import RunParts
from infra.workflow.task import ANY_ERROR, TRANSIENT, FailureRoute, RunScope, sagemaker_task

__all__ = [
    "EXISTS",
    "IN_PROGRESS",
    "LOOKUP",
    "NOT_THERE",
    "PATIENCE",
    "POLLED",
    "describe_endpoint",
    "go_on_where_done",
    "is_busy",
    "poll",
    "suited_pause",
    "when_refused",
]

NOT_THERE: Final = "*Could not find*"
"""How SageMaker words a missing endpoint; the exception itself is only a ValidationException."""

EXISTS: Final = "*Cannot create already existing*"
"""How SageMaker refuses to create a model, a configuration or an endpoint of a name that it has."""

IN_PROGRESS: Final = "*Cannot update in-progress*"
"""How SageMaker refuses a change of an endpoint that is changing."""

LOOKUP: Final = "$.lookup"
"""Where the error of a refused call on the endpoint stands."""

POLLED: Final = (
    *("lock", "endpoint", "refused", "alarms"),
    *("shadow", "shadow_end"),
    *("rollout", "settling", "rollback"),
)
"""What is asked for again and again, as members of `$.polls`, which count how often."""

PATIENCE: Final = cdk.Duration.hours(2)
"""How long an endpoint may take for a change: SageMaker gives a container an hour to download and start a model."""

_FIRST_LOOKS: Final = 6
_FIRST_PAUSE: Final = cdk.Duration.seconds(5)
"""Before each of the first looks: a deletion is quick, and so is everything in the local cloud."""

_PAUSE: Final = cdk.Duration.seconds(25)
"""Before every later look of a wait of `PATIENCE`. A longer wait has longer pauses, and so no more looks: all of a run
have to fit into an execution's history of 25,000 events (Step Functions quota)."""

_BUSY: Final = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")


def describe_endpoint(
    scope: RunScope,
    parts: RunParts,
    name: str,
    *,
    result_path: str,
    result_selector: Mapping[str, str] | None = None,
    passing: Sequence[str] = TRANSIENT,
) -> sfn.CustomState:
    """Return a state that describes the endpoint; `passing` is as in `sagemaker_task`."""
    return sagemaker_task(
        scope,
        name,
        call="describeEndpoint",
        payload={"EndpointName": parts.names.endpoint},
        result_path=result_path,
        result_selector=result_selector,
        passing=passing,
    )


def is_busy(status_path: str) -> sfn.Condition:
    """Return the condition that the endpoint status at this JSONPath is one that passes by itself."""
    return sfn.Condition.or_(*(sfn.Condition.string_equals(status_path, status) for status in _BUSY))


def poll(
    scope: RunScope,
    name: str,
    *,
    member: str,
    look: sfn.IChainable,
    too_long: sfn.IChainable,
    patience: cdk.Duration = PATIENCE,
    pause: cdk.Duration | None = None,
) -> sfn.Choice:
    """Return the first of the states that wait and `look` again, and go to `too_long` when patience is at its end.

    Args:
        scope: The scope of the run's states.
        name: What is waited for, as the states are named.
        member: The member of `$.polls` that counts.
        look: The state that looks again.
        too_long: The state that ends the wait.
        patience: How long to wait altogether.
        pause: How long to wait before every look but the first ones; None suits the patience.
    """
    pause = pause or suited_pause(patience, pause=_PAUSE, usual=PATIENCE)

    # wait, a short time at first, and count the looks
    times = f"$.polls.{member}.times"
    wait = sfn.Wait(scope, f"WaitFor{name}", time=sfn.WaitTime.duration(_FIRST_PAUSE))
    wait_longer = sfn.Wait(scope, f"WaitLongerFor{name}", time=sfn.WaitTime.duration(pause))
    count = sfn.Pass(
        scope,
        f"Count{name}",
        parameters={"times.$": f"States.MathAdd({times}, 1)"},
        result_path=f"$.polls.{member}",
    )
    wait.next(count).next(look)
    wait_longer.next(count)

    # as many looks as the patience lasts
    left = patience.to_seconds() - _FIRST_LOOKS * _FIRST_PAUSE.to_seconds()
    limit = _FIRST_LOOKS + int(left // pause.to_seconds())
    patient = sfn.Choice(scope, f"{name}Late?")
    patient.when(sfn.Condition.number_less_than(times, _FIRST_LOOKS), wait)
    patient.when(sfn.Condition.number_greater_than_equals(times, limit), too_long).otherwise(wait_longer)
    return patient


def suited_pause(patience: cdk.Duration, *, pause: cdk.Duration, usual: cdk.Duration) -> cdk.Duration:
    """Return the pause with which a wait takes no more looks than a wait of the `usual` length with this `pause`."""
    longer = max(1, patience.to_seconds() / usual.to_seconds())
    return cdk.Duration.seconds(math.ceil(pause.to_seconds() * longer))


def when_refused(
    scope: RunScope, name: str, *, says: Sequence[str], then: sfn.IChainable, otherwise: sfn.IChainable, comment: str
) -> sfn.Choice:
    """Return the choice that goes to `then` where a refusal at `LOOKUP` has one of these wordings."""
    choice = sfn.Choice(scope, name, comment=comment)
    for text in says:
        choice.when(sfn.Condition.string_matches(f"{LOOKUP}.Cause", text), then)
    choice.otherwise(otherwise)
    return choice


def go_on_where_done(
    scope: RunScope, state: sfn.CustomState, failure: FailureRoute, *, says: Sequence[str], following: sfn.IChainable
) -> None:
    """Go on where a refusal says that a first call, whose answer got lost, was carried out; else fail the run."""
    name = state.node.id
    done = when_refused(
        scope,
        f"{name}Done?",
        says=says,
        then=following,
        otherwise=failure.hand_on(scope, name, error_at=LOOKUP),
        comment="The first call may have been carried out without an answer.",
    )
    state.add_catch(done, errors=ANY_ERROR, result_path=LOOKUP)
