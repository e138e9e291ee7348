"""Phase 5c: wait for this run's turn to release, and judge its model again where another one serves by then.

TakeReleaseLock ⇄ WaitForReleaseLock
    └ held → DescribeInService → SameInService? ─ yes → `following`
                                    └ another model serves by now → VerdictAgain ─ accepted → `following`
                                                                        └ Overtaken → RejectModel → …failed
"""

from __future__ import annotations

from aws_cdk import aws_stepfunctions as sfn

from infra.python_function import PythonFunction
from infra.workflow.endpoint import LOOKUP, NOT_THERE, describe_endpoint
from infra.workflow.lock import take_lock
from infra.workflow.payloads import RunParts
from infra.workflow.task import ANY_ERROR, LOST_ANSWER, FailureRoute, RunScope
from infra.workflow.verdict import verdict_task

__all__ = ["turn_phase"]


def turn_phase(
    scope: RunScope,
    *,
    parts: RunParts,
    judge: PythonFunction,
    lock: PythonFunction,
    reject: sfn.State,
    following: sfn.IChainable,
) -> sfn.CustomState:
    """Take the release lock, and compare the model with the one that serves then → `following`; return the first state.

    Days may have passed since the verdict where a person was asked, and hours where another run released meanwhile.
    `reject` takes a model that was overtaken, and one whose turn does not come.
    """
    look = _look_again(scope, parts, judge, following=following, reject=reject)
    return take_lock(scope, function=lock, reject=reject, following=look)


def _look_again(
    scope: RunScope, parts: RunParts, judge: PythonFunction, *, following: sfn.IChainable, reject: sfn.State
) -> sfn.CustomState:
    """Judge the model again where another configuration serves than at its verdict; return DescribeInService."""
    again = verdict_task(scope, "VerdictAgain", function=judge, failure=FailureRoute(reject))
    overtaken = FailureRoute(reject).fail(
        scope,
        "Overtaken",
        error="ModelRejected",
        cause="States.Format('The model had passed, but another model had come into service since its verdict, and "
        "beside that one it did not pass: {}', $.verdict.cause)",
    )
    accepted = sfn.Choice(scope, "StillAccepted?")
    accepted.when(sfn.Condition.boolean_equals("$.verdict.accepted", True), following).otherwise(overtaken)
    again.next(accepted)

    describe = describe_endpoint(
        scope,
        parts,
        "DescribeInService",
        result_path="$.now",
        result_selector={"status.$": "$.EndpointStatus", "config.$": "$.EndpointConfigName"},
        passing=LOST_ANSWER,
    )
    same = sfn.Choice(scope, "SameInService?")
    same.when(sfn.Condition.string_equals_json_path("$.now.config", "$.verdict.in_service"), following)
    same.otherwise(again)
    describe.next(same)

    # a model may sleep, which the verdict looks for
    if parts.sleep_record.hours is not None:
        describe.add_catch(again, errors=ANY_ERROR, result_path=LOOKUP)
        return describe

    # no endpoint: as at the verdict, or the verdict looks for itself
    none = sfn.Choice(scope, "StillNoneInService?")
    none.when(
        sfn.Condition.and_(
            sfn.Condition.string_matches(f"{LOOKUP}.Cause", NOT_THERE),
            sfn.Condition.string_equals("$.verdict.in_service", ""),
        ),
        following,
    )
    none.otherwise(again)
    describe.add_catch(none, errors=ANY_ERROR, result_path=LOOKUP)
    return describe
