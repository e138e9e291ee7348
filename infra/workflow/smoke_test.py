"""Phase 6b: try the new model with a held-out photo, and roll the release back if it does not answer well.

SmokeTest ─ passed → `following`
    └ failed → DescribeBeforeRollback → StillOurModel? ─ another run's model serves ────────────────→ …failed
                   ├ nothing served before → RemoveEndpoint ─→ RecordRollback → RejectFailedModel ──→ …failed
                   └ RestoreEndpoint → WaitForRollback ⇄ DescribeRollback ─↑
"""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn

from infra.permissions import OBJECTS, Permission
from infra.python_function import PythonFunction
from infra.workflow.endpoint import (
    IN_PROGRESS,
    NOT_THERE,
    describe_endpoint,
    go_on_where_done,
    is_busy,
    poll,
)
from infra.workflow.payloads import RunParts
from infra.workflow.record import record_task
from infra.workflow.scaling import retained_instances
from infra.workflow.task import ANY_ERROR, FailureRoute, RunScope, lambda_task, sagemaker_task

__all__ = ["smoke_test_phase"]


def smoke_test_phase(
    scope: RunScope,
    *,
    parts: RunParts,
    recorder: PythonFunction,
    failure: FailureRoute,
    following: sfn.IChainable,
) -> sfn.CustomState:
    """SmokeTest → `following`; return SmokeTest. `$.smoke_test` is then the photo and the model's answer.

    `recorder` writes down that a model was taken back.
    """
    state = lambda_task(
        scope,
        _function(scope, parts),
        payload={"run.$": "$.plan.run", "dataset_uri.$": "$.plan.dataset_uri"},
        result_path="$.smoke_test",
    )
    record = record_task(
        scope,
        "RecordRollback",
        function=recorder,
        kind="failed",
        config="$.before.config",
        replaced="$.plan.name",
        why="$.failure.SmokeTest.Cause",
        following=_reject(scope, failure),
    )
    state.add_catch(_roll_back(scope, parts, failure, record), errors=ANY_ERROR, result_path="$.failure.SmokeTest")
    state.next(following)
    return state


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


def _reject(scope: RunScope, failure: FailureRoute) -> sfn.CustomState:
    """Return the state that takes the approval back which the registry shows, so that nobody deploys the model."""
    reject = sagemaker_task(
        scope,
        "RejectFailedModel",
        call="updateModelPackage",
        payload={
            "ModelPackageArn.$": "$.package.arn",
            "ModelApprovalStatus": "Rejected",
            "ApprovalDescription": "It failed its smoke test, and was taken out of service.",
        },
    )
    failure.catch(reject)
    reject.next(failure.handler)
    return reject


def _roll_back(scope: RunScope, parts: RunParts, failure: FailureRoute, record: sfn.State) -> sfn.CustomState:
    """Take out of service what this run put there, and nothing else: another run may have come in between."""
    describe = describe_endpoint(scope, parts, "DescribeBeforeRollback", result_path="$.endpoint")
    failure.catch(describe)
    remove = sagemaker_task(
        scope, "RemoveEndpoint", call="deleteEndpoint", payload={"EndpointName": parts.names.endpoint}
    )
    remove.next(record)
    go_on_where_done(scope, remove, failure, says=[NOT_THERE, IN_PROGRESS], following=record)

    # back to the configuration before, and wait until it serves
    watched = _follow_rollback(scope, parts, failure, record)
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
    still_ours.when(sfn.Condition.not_(serves_this_run), failure.handler)
    still_ours.when(sfn.Condition.string_equals("$.before.config", ""), remove)
    still_ours.otherwise(restore)
    describe.next(still_ours)
    return describe


def _follow_rollback(scope: RunScope, parts: RunParts, failure: FailureRoute, record: sfn.State) -> sfn.Choice:
    """Wait until the configuration before serves again → `record`."""
    look = describe_endpoint(scope, parts, "DescribeRollback", result_path="$.endpoint")
    failure.catch(look)
    unfinished = (
        "Look at the endpoint in the SageMaker console: it may still serve the model that failed its smoke test. The "
        "configuration to go back to is {}, with UpdateEndpoint."
    )
    late = failure.fail(
        scope,
        "RollbackNotFinished",
        error="RollbackNotFinished",
        cause=f"States.Format('The endpoint did not come to rest within two hours. {unfinished}', $.before.config)",
    )
    other = failure.fail(
        scope,
        "RollbackFailed",
        error="RollbackFailed",
        cause="States.Format('The endpoint is {} with the configuration {}. "
        f"{unfinished}', $.endpoint.EndpointStatus, $.endpoint.EndpointConfigName, $.before.config)",
    )
    wait = poll(scope, "Rollback", member="rollback", look=look, too_long=late)

    restored = sfn.Choice(scope, "RolledBack?")
    restored.when(is_busy("$.endpoint.EndpointStatus"), wait)
    serves = sfn.Condition.string_equals("$.endpoint.EndpointStatus", "InService")
    as_before = sfn.Condition.string_equals_json_path("$.endpoint.EndpointConfigName", "$.before.config")
    restored.when(sfn.Condition.and_(serves, as_before), record)
    restored.otherwise(other)
    look.next(restored)
    return wait
