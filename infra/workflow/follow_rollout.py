"""Part of phase 6: follow the endpoint until it serves the new configuration, or will not.

`infra.workflow.release` draws it.
"""

from __future__ import annotations

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn

from infra.endpoint_alarms import alarm_names
from infra.workflow.endpoint import LOOKUP, PATIENCE, describe_endpoint, is_busy, poll
from infra.workflow.payloads import RunParts
from infra.workflow.rolled_back import explain_rollout, reject_after_rollout
from infra.workflow.task import ANY_ERROR, FailureRoute, RunScope, sagemaker_task

__all__ = ["follow_rollout"]

_FAILED: Final = "Its rollout failed, so that it did not come into service: the run's report says why."
"""What the registry says of it, which takes 1,024 characters: SageMaker's own reason may have more."""


def follow_rollout(
    scope: RunScope, parts: RunParts, failure: FailureRoute, roll_back: sfn.State, following: sfn.IChainable
) -> sfn.Choice:
    """Wait until the new configuration serves → `following`, or until it is clear that it will not."""
    unfollowed = FailureRoute(roll_back)
    describe = describe_endpoint(scope, parts, "DescribeRollout", result_path="$.endpoint")
    unfollowed.catch(describe)
    late = unfollowed.fail(
        scope,
        "RolloutNotFinished",
        error="RolloutNotFinished",
        cause=f"The endpoint {parts.names.endpoint} did not finish its change to the new configuration within two "
        "hours beside its bakes. The new model is kept out of service. Look at the endpoint and its log "
        f"{parts.names.endpoint_log_group}; once it is InService, start the execution again.",
    )
    bakes = parts.settings.serving.mode == "realtime"
    baking = cdk.Duration.minutes(parts.settings.release.baking_minutes if bakes else 0)
    wait = poll(scope, "Rollout", member="rollout", look=describe, too_long=late, patience=PATIENCE.plus(baking))

    # why does it not serve? the registry would go on showing it as approved
    failed_rollout = FailureRoute(reject_after_rollout(scope, "RejectFailedRollout", said=_FAILED, failure=failure))
    explained = failed_rollout.fail(scope, "RolloutFailed", error="RolloutFailed", cause="$.endpoint.FailureReason")
    unexplained = failed_rollout.fail(
        scope,
        "RolloutLeftOldModel",
        error="RolloutFailed",
        cause="States.Format('The endpoint {} is {} with the configuration {} instead of the new {}: "
        "SageMaker rolled the update back, or another run came in between.', $.endpoint.EndpointName, "
        "$.endpoint.EndpointStatus, $.endpoint.EndpointConfigName, $.plan.name)",
    )
    reason = sfn.Choice(scope, "RolloutReason?")
    reason.when(sfn.Condition.is_present("$.endpoint.FailureReason"), explained)
    reason.otherwise(unexplained)
    failed: sfn.IChainable = reason
    if alarm_names(parts.settings, parts.names):
        failed = _unless_rolled_back(scope, parts, failure, following=failed)
    if parts.sleep_record.hours is not None:
        failed = _make_way(scope, parts, following=failed)

    # does it serve, with the new configuration?
    done = sfn.Choice(scope, "RolloutDone?")
    done.when(is_busy("$.endpoint.EndpointStatus"), wait)
    done.when(
        sfn.Condition.and_(
            sfn.Condition.string_equals("$.endpoint.EndpointStatus", "InService"),
            sfn.Condition.string_equals_json_path("$.endpoint.EndpointConfigName", "$.plan.name"),
        ),
        following,
    )
    done.otherwise(failed)
    describe.next(done)
    return wait


def _unless_rolled_back(
    scope: RunScope, parts: RunParts, failure: FailureRoute, *, following: sfn.IChainable
) -> sfn.Choice:
    """Return the choice that asks why, where SageMaker went back to the configuration before this run's update."""
    explain = explain_rollout(scope, parts, failure, unexplained=following)
    choice = sfn.Choice(scope, "RolledBackByItself?")
    choice.when(
        sfn.Condition.and_(
            sfn.Condition.string_equals("$.endpoint.EndpointStatus", "InService"),
            sfn.Condition.string_equals_json_path("$.endpoint.EndpointConfigName", "$.before.config"),
        ),
        explain,
    )
    choice.otherwise(following)
    return choice


def _make_way(scope: RunScope, parts: RunParts, *, following: sfn.IChainable) -> sfn.Choice:
    """Delete an endpoint that failed while it was created → `following`, since a model that sleeps needs its name."""
    delete = sagemaker_task(
        scope, "DeleteFailedEndpoint", call="deleteEndpoint", payload={"EndpointName": parts.names.endpoint}
    )
    delete.add_catch(following, errors=ANY_ERROR, result_path=LOOKUP)  # `whippet wake` deletes it, too
    delete.next(following)

    created = sfn.Choice(scope, "FailedAtCreation?")
    created.when(
        sfn.Condition.and_(
            sfn.Condition.string_equals("$.before.config", ""),
            sfn.Condition.string_equals("$.endpoint.EndpointStatus", "Failed"),
            sfn.Condition.string_equals_json_path("$.endpoint.EndpointConfigName", "$.plan.name"),
        ),
        delete,
    )
    created.otherwise(following)
    return created
