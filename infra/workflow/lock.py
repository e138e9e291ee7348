"""The release lock as states: runs release one after another (contract/lock.py).

A run that is killed cannot give it back: the tidy-up does (infra/tidy_up.py), or else the next run takes it over.
"""

from __future__ import annotations

from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn

import contract
from infra.names import Names
from infra.permissions import Permission
from infra.python_function import PythonFunction
from infra.workflow.endpoint import poll
from infra.workflow.payloads import RunParts
from infra.workflow.task import ANY_ERROR, FailureRoute, RunScope, lambda_task

__all__ = ["LOCK_PATIENCE", "give_lock_back", "lock_function", "take_lock", "use_lock"]

LOCK_PATIENCE: Final = cdk.Duration.hours(6)
"""How long a run waits for its turn: a release that waits for the endpoint, rolls out and rolls back takes as long."""

_PAUSE: Final = cdk.Duration.minutes(5)
"""Before every look but the first ones, so that all of a run fit into an execution's history."""


def use_lock(parts: RunParts) -> Permission:
    """Return the permission to read and write the lock."""
    key = contract.release_lock_key(parts.names.prefix)
    return Permission(actions=["s3:GetObject", "s3:PutObject"], resources=[parts.dataset.arn(key)])


def lock_function(scope: RunScope, parts: RunParts) -> PythonFunction:
    """Make the function that takes the lock and gives it back."""
    return scope.function(
        "ReleaseLock",
        name="release_lock",
        description="Lets one run after another release its model",
        permissions=[
            use_lock(parts),
            # does the run that holds it still go on?
            Permission(
                actions=["states:DescribeExecution"],
                resources=[parts.names.executions_arn],
                reason=Names.EXECUTIONS,
            ),
        ],
        timeout=cdk.Duration.minutes(1),
    )


def take_lock(
    scope: RunScope, *, function: PythonFunction, reject: sfn.State, following: sfn.IChainable
) -> sfn.CustomState:
    """TakeReleaseLock ⇄ WaitForReleaseLock → `following`, or `reject` where it does not come; return TakeReleaseLock.

    `$.lock.held` then says whether this run holds it.
    """
    take = _task(scope, "TakeReleaseLock", function=function, action="take")
    FailureRoute(reject).catch(take)
    late = FailureRoute(reject).fail(
        scope,
        "ReleaseLockTaken",
        error="ReleaseLockTaken",
        cause="States.Format('For six hours others put models into service, at last {}. The model of this run was not "
        "released, and the one in service stays.', $.lock.holder)",
    )
    wait = poll(scope, "ReleaseLock", member="lock", look=take, too_long=late, patience=LOCK_PATIENCE, pause=_PAUSE)
    held = sfn.Choice(scope, "ReleaseLockHeld?", comment="Releases go one after another.")
    held.when(sfn.Condition.boolean_equals("$.lock.held", True), following).otherwise(wait)
    take.next(held)
    return take


def give_lock_back(scope: RunScope, *, function: PythonFunction, following: sfn.State) -> sfn.Choice:
    """GiveBack? → GiveLockBack → `following`, also where that fails; return GiveBack?."""
    give = _task(scope, "GiveLockBack", function=function, action="give-back")
    give.add_catch(following, errors=ANY_ERROR, result_path="$.lock")  # the next run takes it over
    give.next(following)
    held = sfn.Choice(scope, "GiveBack?")
    holds = sfn.Condition.and_(
        sfn.Condition.is_present("$.lock.held"), sfn.Condition.boolean_equals("$.lock.held", True)
    )
    held.when(holds, give).otherwise(following)
    return held


def _task(scope: RunScope, name: str, *, function: PythonFunction, action: contract.LockAction) -> sfn.CustomState:
    payload: dict[str, Any] = {
        "action": action,
        "execution.$": "$$.Execution.Id",
        "run.$": "$.plan.run",
        "at.$": "$$.State.EnteredTime",
    }
    return lambda_task(scope, function, name=name, payload=payload, result_path="$.lock")
