"""Phase 6b: try the new model with a held-out photo, and roll the release back if it does not answer well.

SmokeTest ─ passed → `following`
    └ failed → DescribeBeforeRollback → StillOurModel? ─ another model serves → RejectFailedModel → …failed
                │ ↑ ⇅                    ├ nothing served before → RemoveEndpoint ─→ Tried? ─ no ───↑
                │ │ WaitForEndOfChange   └ RestoreEndpoint → WaitForRollback ⇄ DescribeRollback     │
                │ └ a rollout without an end                             └→ Tried? → RecordRollback ┘
                └ refused, or changing for hours → RejectFailedModel

A rollout whose end the run does not see takes the same way (`infra.workflow.release`), without a record: its model was
never recorded as released. SageMaker neither updates nor deletes an endpoint that is changing, so the end of a change
is waited for.
"""

from __future__ import annotations

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn

from infra.permissions import OBJECTS, Permission
from infra.python_function import PythonFunction
from infra.workflow.endpoint import (
    IN_PROGRESS,
    LOOKUP,
    NOT_THERE,
    describe_endpoint,
    go_on_where_done,
    is_busy,
    poll,
    when_refused,
)
from infra.workflow.payloads import RunParts
from infra.workflow.record import record_task
from infra.workflow.rolled_back import reject_after_rollout
from infra.workflow.scaling import retained_instances
from infra.workflow.task import ANY_ERROR, FailureRoute, RunScope, lambda_task, sagemaker_task

__all__ = ["roll_back_phase", "smoke_test_phase"]

_PAUSE: Final = cdk.Duration.minutes(2)
"""Before every look at a change that is hours late but the first ones, so that all of a run fit into an execution's
history."""

_UNFINISHED: Final = (
    "Look at the endpoint in the SageMaker console: it may still serve the model that no smoke test has passed. The "
    "configuration to go back to is {}, with UpdateEndpoint."
)
"""What remains to be done by hand; `{}` is the configuration."""


def smoke_test_phase(
    scope: RunScope, *, parts: RunParts, roll_back: sfn.State, following: sfn.IChainable
) -> sfn.CustomState:
    """SmokeTest → `following`, or `roll_back`; return SmokeTest.

    `$.smoke_test` is then the photo and the model's answer.
    """
    state = lambda_task(
        scope,
        _function(scope, parts),
        payload={"run.$": "$.plan.run", "dataset_uri.$": "$.plan.dataset_uri"},
        result_path="$.smoke_test",
    )
    FailureRoute(roll_back).catch(state)
    state.next(following)
    return state


def roll_back_phase(
    scope: RunScope, *, parts: RunParts, recorder: PythonFunction, failure: FailureRoute
) -> sfn.CustomState:
    """DescribeBeforeRollback → … → failed; return DescribeBeforeRollback.

    It takes out of service what this run put there, and nothing else: another run may have come in between. `recorder`
    writes down that a model was taken back.
    """
    reject = reject_after_rollout(
        scope,
        "RejectFailedModel",
        said="No smoke test has passed it: it was taken out of service, or the run's report says why it could not be.",
        failure=failure,
    )
    record = record_task(
        scope,
        "RecordRollback",
        function=recorder,
        kind="failed",
        config="$.before.config",
        replaced="$.plan.name",
        why="$.failure.SmokeTest.Cause",
        following=reject,
    )
    tried = sfn.Choice(scope, "Tried?", comment="Only a model that was tried was recorded as released.")
    tried.when(sfn.Condition.is_present("$.failure.SmokeTest"), record).otherwise(reject)
    return _roll_back(scope, parts, FailureRoute(reject), reject=reject, following=tried)


def _function(scope: RunScope, parts: RunParts) -> PythonFunction:
    dataset = parts.dataset
    return scope.function(
        "SmokeTest",
        name="smoke_test",
        description="Asks the new model about a photo it has not seen",
        environment={"ENDPOINT_NAME": parts.names.endpoint},
        permissions=[
            Permission(
                actions=["s3:GetObject"],
                # the test photos' list and the photos, which a run may name anywhere in a bucket that the stack owns
                resources=[dataset.arn("*")]
                if dataset.owned
                else [dataset.arn("runs/*"), dataset.arn(f"{dataset.prefix}*")],
                reason=OBJECTS,
            ),
            Permission(actions=["sagemaker:InvokeEndpoint"], resources=[parts.names.endpoint_arn]),
        ],
        timeout=cdk.Duration.minutes(5),
    )


def _roll_back(
    scope: RunScope, parts: RunParts, failure: FailureRoute, *, reject: sfn.State, following: sfn.Choice
) -> sfn.CustomState:
    """Wait until the endpoint rests, and bring it back where it serves this run's model → `following`."""
    describe = describe_endpoint(scope, parts, "DescribeBeforeRollback", result_path="$.endpoint")
    nothing = when_refused(
        scope,
        "NothingToRollBack?",
        says=[NOT_THERE],
        then=reject,
        otherwise=failure.hand_on(scope, "DescribeBeforeRollback", error_at=LOOKUP),
        comment="Somebody may have deleted the endpoint.",
    )
    describe.add_catch(nothing, errors=ANY_ERROR, result_path=LOOKUP)
    late = failure.fail(
        scope,
        "RollbackNotBegun",
        error="RollbackNotBegun",
        cause="States.Format('The endpoint was changing for two further hours, in which SageMaker lets nobody bring it "
        f"back. {_UNFINISHED}', $.before.config)",
    )
    wait = poll(scope, "EndOfChange", member="settling", look=describe, too_long=late, pause=_PAUSE)
    remove = sagemaker_task(
        scope, "RemoveEndpoint", call="deleteEndpoint", payload={"EndpointName": parts.names.endpoint}
    )
    remove.next(following)
    go_on_where_done(scope, remove, failure, says=[NOT_THERE, IN_PROGRESS], following=following)

    # back to the configuration before, and wait until it serves
    watched = _follow_rollback(scope, parts, failure, following)
    restore = sagemaker_task(
        scope,
        "RestoreEndpoint",
        call="updateEndpoint",
        payload={
            "EndpointName": parts.names.endpoint,
            "EndpointConfigName.$": "$.before.config",
            **retained_instances(parts),
        },
    )
    restore.next(watched)
    go_on_where_done(scope, restore, failure, says=[IN_PROGRESS], following=watched)

    serves_this_run = sfn.Condition.string_equals_json_path("$.endpoint.EndpointConfigName", "$.plan.name")
    still_ours = sfn.Choice(scope, "StillOurModel?")
    still_ours.when(is_busy("$.endpoint.EndpointStatus"), wait)
    still_ours.when(sfn.Condition.not_(serves_this_run), reject)
    still_ours.when(sfn.Condition.string_equals("$.before.config", ""), remove)
    still_ours.otherwise(restore)
    describe.next(still_ours)
    return describe


def _follow_rollback(scope: RunScope, parts: RunParts, failure: FailureRoute, following: sfn.Choice) -> sfn.Choice:
    """Wait until the configuration before serves again → `following`."""
    look = describe_endpoint(scope, parts, "DescribeRollback", result_path="$.endpoint")
    failure.catch(look)
    late = failure.fail(
        scope,
        "RollbackNotFinished",
        error="RollbackNotFinished",
        cause=f"States.Format('The endpoint did not come to rest within two hours. {_UNFINISHED}', $.before.config)",
    )
    other = failure.fail(
        scope,
        "RollbackFailed",
        error="RollbackFailed",
        cause="States.Format('The endpoint is {} with the configuration {}. "
        f"{_UNFINISHED}', $.endpoint.EndpointStatus, $.endpoint.EndpointConfigName, $.before.config)",
    )
    wait = poll(scope, "Rollback", member="rollback", look=look, too_long=late)

    restored = sfn.Choice(scope, "RolledBack?")
    restored.when(is_busy("$.endpoint.EndpointStatus"), wait)
    serves = sfn.Condition.string_equals("$.endpoint.EndpointStatus", "InService")
    as_before = sfn.Condition.string_equals_json_path("$.endpoint.EndpointConfigName", "$.before.config")
    restored.when(sfn.Condition.and_(serves, as_before), following)
    restored.otherwise(other)
    look.next(restored)
    return wait
