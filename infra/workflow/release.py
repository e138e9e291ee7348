"""Phase 6: put the model into service, and delete what nothing can fall back to any more.

    CreateModel → CreateEndpointConfig → DescribeEndpoint ─ nothing there ─────────→ CreateEndpoint ─┐
                                          │   ↑                                                      │
                                          │   └ WaitForEndpoint (another run, or a deletion)         │
                                          ├ InService → UpdateEndpoint ──────────────────────────────┤
                                          └ broken → DeleteBrokenEndpoint → WaitForEndpoint          │
    SmokeTest ← the new configuration serves ← DescribeRollout ← WaitForRollout ←────────────────────┘

SageMaker leaves the old configuration in service when an update fails, so `DescribeRollout` compares names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn

from infra.permissions import NO_RESOURCES, RUN_NAMES, Permission
from infra.workflow.endpoint import POLL, describe_endpoint, is_busy
from infra.workflow.payloads import RunParts
from infra.workflow.task import ANY_ERROR, FailureRoute, RunScope, lambda_task, sagemaker_task

__all__ = ["release_phase", "retire_phase"]

_VARIANT = "AllTraffic"

_NOT_THERE = "*Could not find*"
"""How SageMaker words a missing endpoint; the exception itself is only a ValidationException."""

_TAKEN = ("*Cannot update in-progress*", "*Cannot create already existing*")
"""How SageMaker refuses a call because another run changed the endpoint since this run looked at it."""

_THROTTLED = ("*Rate exceeded*", "*Throttling*")


def release_phase(
    scope: RunScope, *, parts: RunParts, failure: FailureRoute, following: sfn.IChainable
) -> sfn.CustomState:
    """CreateModel → … → `following` once the endpoint serves the new configuration; return CreateModel.

    `$.before` is then what the endpoint was before the release, with `""` for no configuration.
    """
    rollout = _follow_rollout(scope, parts, failure, following)
    look = _enter_service(scope, parts, failure, rollout)

    # the model and the configuration of this run, which carry its name
    model = sagemaker_task(
        scope,
        "CreateModel",
        call="createModel",
        payload={
            "ModelName.$": "$.plan.name",
            "PrimaryContainer": {"Image": parts.serving_image_uri, "ModelDataUrl.$": "$.training.model"},
            "ExecutionRoleArn": parts.endpoint_role_arn,
            "Tags": parts.tags,
        },
    )
    variant = {
        "VariantName": _VARIANT,
        "ModelName.$": "$.plan.name",
        "InstanceType": parts.settings.release.instance_type,
        "InitialInstanceCount": parts.settings.release.instance_count,
        "InitialVariantWeight": 1,
    }
    config = sagemaker_task(
        scope,
        "CreateEndpointConfig",
        call="createEndpointConfig",
        payload={"EndpointConfigName.$": "$.plan.name", "ProductionVariants": [variant], "Tags": parts.tags},
    )
    for state in (model, config):
        failure.catch(state)
    model.next(config).next(look)
    return model


def _enter_service(scope: RunScope, parts: RunParts, failure: FailureRoute, rollout: sfn.IChainable) -> sfn.CustomState:
    """Look at the endpoint and then create, update, delete or wait for it; return DescribeEndpoint."""
    describe = describe_endpoint(
        scope,
        parts,
        "DescribeEndpoint",
        result_path="$.before",
        result_selector={"status.$": "$.EndpointStatus", "config.$": "$.EndpointConfigName"},
        retry=False,
    )
    wait = sfn.Wait(scope, "WaitForEndpoint", time=POLL)
    wait.next(describe)
    new_config = {"EndpointName": parts.names.endpoint, "EndpointConfigName.$": "$.plan.name"}

    # no endpoint: create it
    nothing = sfn.Pass(
        scope, "NothingInService", parameters={"status": "NotThere", "config": ""}, result_path="$.before"
    )
    create = sagemaker_task(scope, "CreateEndpoint", call="createEndpoint", payload={**new_config, "Tags": parts.tags})
    nothing.next(create).next(rollout)
    missing = sfn.Choice(scope, "EndpointMissing?")
    missing.when(_lookup_says(_NOT_THERE), nothing)
    for text in _THROTTLED:
        missing.when(_lookup_says(text), wait)
    missing.otherwise(failure.fail(scope, "EndpointNotDescribed", error="$.lookup.Error", cause="$.lookup.Cause"))
    describe.add_catch(missing, errors=ANY_ERROR, result_path="$.lookup")

    # an endpoint in service: update it
    update = sagemaker_task(scope, "UpdateEndpoint", call="updateEndpoint", payload=new_config)
    update.next(rollout)
    taken = sfn.Choice(scope, "EndpointTaken?", comment="If another run was quicker, this one waits for its turn.")
    for text in _TAKEN:
        taken.when(_lookup_says(text), wait)
    taken.otherwise(failure.fail(scope, "EndpointRefused", error="$.lookup.Error", cause="$.lookup.Cause"))
    for state in (create, update):
        state.add_catch(taken, errors=ANY_ERROR, result_path="$.lookup")

    # a broken endpoint: it cannot be updated, so delete it first
    delete = sagemaker_task(
        scope, "DeleteBrokenEndpoint", call="deleteEndpoint", payload={"EndpointName": parts.names.endpoint}
    )
    failure.catch(delete)
    delete.next(wait)

    status = sfn.Choice(scope, "EndpointStatus?")
    status.when(sfn.Condition.string_equals("$.before.status", "InService"), update)
    status.when(is_busy("$.before.status"), wait)
    status.otherwise(delete)
    describe.next(status)
    return describe


def _follow_rollout(scope: RunScope, parts: RunParts, failure: FailureRoute, following: sfn.IChainable) -> sfn.Wait:
    """Wait until the new configuration serves → `following`, or until it is clear that it will not."""
    wait = sfn.Wait(scope, "WaitForRollout", time=POLL)
    describe = describe_endpoint(scope, parts, "DescribeRollout", result_path="$.endpoint")
    failure.catch(describe)
    wait.next(describe)

    # why does it not serve?
    explained = failure.fail(scope, "RolloutFailed", error="RolloutFailed", cause="$.endpoint.FailureReason")
    unexplained = failure.fail(
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
    done.otherwise(reason)
    describe.next(done)
    return wait


def _lookup_says(text: str) -> sfn.Condition:
    return sfn.Condition.string_matches("$.lookup.Cause", text)


def retire_phase(scope: RunScope, *, parts: RunParts, following: sfn.State) -> sfn.CustomState:
    """Retire → `following`; return Retire.

    It deletes models and endpoint configurations, except the current ones and those before. Its failure does not undo
    the release; the notification mentions it.
    """
    function = scope.function(
        "Retire",
        name="retire",
        description="Deletes models and configurations that nothing can fall back to any more",
        permissions=[
            # Listing has no resources in IAM; the Lambda takes only what carries the environment's prefix.
            Permission(
                actions=["sagemaker:ListEndpointConfigs", "sagemaker:ListModels"],
                resources=["*"],
                reason=NO_RESOURCES,
            ),
            Permission(
                actions=["sagemaker:DeleteEndpointConfig", "sagemaker:DeleteModel"],
                resources=parts.names.of_runs("endpoint-config", "model"),
                reason=RUN_NAMES,
            ),
        ],
        timeout=cdk.Duration.minutes(5),
    )
    payload: Mapping[str, Any] = {"current.$": "$.plan.name", "previous.$": "$.before.config"}
    retire = lambda_task(scope, function, payload=payload, result_path="$.retired")
    retire.add_catch(following, errors=ANY_ERROR, result_path="$.retired")
    retire.next(following)
    return retire
