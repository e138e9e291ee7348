"""Phase 6: put the model into service, and delete what nothing can fall back to any more.

    CreateModel → CreateEndpointConfig → DescribeEndpoint ─ nothing there ─────────→ CreateEndpoint ─┐
                                          │   ↑                                                      │
                                          │   └ WaitForEndpoint (another run, or a deletion)         │
                                          ├ InService → RememberEndpoint → … → UpdateEndpoint ───────┤
                                          │    (… of a real-time one: `infra.workflow.before_rollout`)
                                          │    (to turn serverless: DeleteRealtimeEndpoint → WaitForEndpoint)
                                          ├ this run's configuration (its update's answer got lost) ─┤
                                          └ broken → DeleteBrokenEndpoint → WaitForEndpoint          │
    SmokeTest ← the new configuration serves ← DescribeRollout ⇄ WaitForRollout ←────────────────────┘
                                                   ├ the old one does → ExplainRollout (`infra.workflow.rolled_back`)
                                                   └ no end, or none to be seen → the rollback (`…smoke_test`)

With `serving.pause_after_hours`, an endpoint that failed at its creation is deleted, since a model may sleep behind it.
SageMaker leaves the old configuration in service when an update fails, so `DescribeRollout` compares names. Every name
that a run gives is its own, so what already exists under it was made by this run, by a call whose answer got lost.
Before an update, `infra.workflow.scaling` looks at what it does to automatic scaling.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn

import contract
from infra.endpoint_alarms import alarm_names
from infra.permissions import NO_RESOURCES, RUN_NAMES, Permission
from infra.settings import Settings
from infra.workflow.before_rollout import before_rollout, nothing_to_shadow
from infra.workflow.capture import capture_config
from infra.workflow.deployment import deployment_config
from infra.workflow.endpoint import (
    EXISTS,
    IN_PROGRESS,
    LOOKUP,
    NOT_THERE,
    PATIENCE,
    describe_endpoint,
    go_on_where_done,
    is_busy,
    poll,
    when_refused,
)
from infra.workflow.payloads import RunParts
from infra.workflow.rolled_back import explain_rollout, reject_after_rollout
from infra.workflow.scaling import before_update, end_scaling, retained_instances
from infra.workflow.task import ANY_ERROR, LOST_ANSWER, FailureRoute, RunScope, lambda_task, sagemaker_task

__all__ = ["release_phase", "retire_phase"]

_FAILED: Final = "Its rollout failed, so that it did not come into service: the run's report says why."
"""What the registry says of it, which takes 1,024 characters: SageMaker's own reason may have more."""

_REFUSED_PATIENCE: Final = cdk.Duration.minutes(5)
"""How long a description of the endpoint may be refused, apart from a missing endpoint."""


def release_phase(
    scope: RunScope,
    *,
    parts: RunParts,
    ending: FailureRoute,
    reject: sfn.State,
    roll_back: sfn.State,
    following: sfn.IChainable,
) -> sfn.CustomState:
    """CreateModel → … → `following` once the endpoint serves the new configuration; return CreateModel.

    `$.before` is then what the endpoint was before the release, with `""` for no configuration. `reject` takes a model
    whose rollout does not begin, `ending` one whose rollout failed, once its approval is taken back, and `roll_back` a
    rollout whose end the run does not see, since the model may come into service all the same.
    """
    failure = FailureRoute(reject)
    rollout = _follow_rollout(scope, parts, ending, roll_back, following)
    look = _enter_service(scope, parts, failure, reject, rollout)

    # the model and the configuration of this run, which carry its name
    model = sagemaker_task(
        scope,
        "CreateModel",
        call="createModel",
        payload={
            "ModelName.$": "$.plan.name",
            "PrimaryContainer": parts.serving_container,
            "ExecutionRoleArn": parts.endpoint_role_arn,
            **_isolation(parts.settings),
            "Tags": parts.tags,
        },
    )
    variant = {"VariantName": parts.names.variant, "ModelName.$": "$.plan.name", **_machines(parts.settings)}
    config = sagemaker_task(
        scope,
        "CreateEndpointConfig",
        call="createEndpointConfig",
        payload={
            "EndpointConfigName.$": "$.plan.name",
            "ProductionVariants": [variant],
            **capture_config(parts),
            "Tags": parts.tags,
        },
    )
    go_on_where_done(scope, model, failure, says=[EXISTS], following=config)
    go_on_where_done(scope, config, failure, says=[EXISTS], following=look)
    model.next(config).next(look)
    return model


def _isolation(settings: Settings) -> dict[str, Any]:
    """Return what keeps the container, which decodes strangers' files, from the network and the role's credentials.

    SageMaker brings the model and takes the log itself. Serverless endpoints have no network isolation (developer
    guide, "Serverless Inference", feature exclusions).
    """
    return {} if settings.serving.mode == "serverless" else {"EnableNetworkIsolation": True}


def _machines(settings: Settings) -> dict[str, Any]:
    """Return what the endpoint's variant runs on."""
    if settings.serving.mode == "serverless":
        return {
            "ServerlessConfig": {
                "MemorySizeInMB": settings.serving.memory_mb,
                "MaxConcurrency": settings.serving.max_concurrency,
            }
        }
    return {
        "InstanceType": settings.release.instance_type,
        "InitialInstanceCount": settings.release.instance_count,
        "InitialVariantWeight": 1,
    }


def _enter_service(
    scope: RunScope, parts: RunParts, failure: FailureRoute, reject: sfn.State, rollout: sfn.IChainable
) -> sfn.CustomState:
    """Look at the endpoint and then create, update, delete or wait for it; return DescribeEndpoint."""
    describe = describe_endpoint(
        scope,
        parts,
        "DescribeEndpoint",
        result_path="$.now",
        result_selector={"status.$": "$.EndpointStatus", "config.$": "$.EndpointConfigName"},
        # A missing endpoint has the same name of an error as throttling, so what is refused comes back by a loop.
        passing=LOST_ANSWER,
    )
    busy = failure.fail(
        scope,
        "EndpointBusy",
        error="EndpointBusy",
        cause=f"The endpoint {parts.names.endpoint} did not come to rest within two hours: another run, a person or "
        "SageMaker keeps changing it. The model in service was left alone. Look at the endpoint in the SageMaker "
        "console, and start the execution again once it is InService, or deleted.",
    )
    wait = poll(scope, "Endpoint", member="endpoint", look=describe, too_long=busy)
    new_config = {"EndpointName": parts.names.endpoint, "EndpointConfigName.$": "$.plan.name"}

    # no endpoint: create it
    nothing = sfn.Pass(
        scope,
        "NothingInService",
        parameters={"status": "NotThere", "config": "", "at.$": "$$.State.EnteredTime"},
        result_path="$.before",
    )
    create = sagemaker_task(scope, "CreateEndpoint", call="createEndpoint", payload={**new_config, "Tags": parts.tags})
    nothing.next(nothing_to_shadow(scope, parts, following=create))
    create.next(rollout)
    is_serverless = parts.settings.serving.mode == "serverless"
    not_described = failure.fail(scope, "EndpointNotDescribed", error=f"{LOOKUP}.Error", cause=f"{LOOKUP}.Cause")
    missing = when_refused(
        scope,
        "EndpointMissing?",
        says=[NOT_THERE],
        then=_created_in_place(scope, create=create, nothing=nothing) if is_serverless else nothing,
        otherwise=poll(
            scope,
            "Description",
            member="refused",
            look=describe,
            too_long=not_described,
            patience=_REFUSED_PATIENCE,
        ),
        comment="Any other refusal may pass.",
    )
    describe.add_catch(missing, errors=ANY_ERROR, result_path=LOOKUP)

    # an endpoint in service: update it
    remember = sfn.Pass(
        scope,
        "RememberEndpoint",
        parameters={"status.$": "$.now.status", "config.$": "$.now.config", "at.$": "$$.State.EnteredTime"},
        result_path="$.before",
    )
    update = sagemaker_task(
        scope,
        "UpdateEndpoint",
        call="updateEndpoint",
        payload={**new_config, **retained_instances(parts), **deployment_config(parts.settings, parts.names)},
        implied=_see_alarms(parts),
    )
    update.next(rollout)

    # a broken endpoint: it cannot be updated, so delete it first
    delete = sagemaker_task(
        scope, "DeleteBrokenEndpoint", call="deleteEndpoint", payload={"EndpointName": parts.names.endpoint}
    )
    delete.next(wait)

    changes = [create, update, delete]
    if is_serverless:
        replace = sagemaker_task(
            scope, "DeleteRealtimeEndpoint", call="deleteEndpoint", payload={"EndpointName": parts.names.endpoint}
        )
        replace.next(wait)
        changes.append(replace)
        end = end_scaling(scope, parts, following=replace)
        remember.next(_unless_realtime(scope, update=update, replace=end))
    else:
        begin = before_update(scope, parts, update=update)
        remember.next(before_rollout(scope, parts, reject=reject, again=describe, following=begin))

    taken = when_refused(
        scope,
        "EndpointTaken?",
        says=[IN_PROGRESS, EXISTS, NOT_THERE],
        then=wait,
        otherwise=failure.fail(scope, "EndpointRefused", error=f"{LOOKUP}.Error", cause=f"{LOOKUP}.Cause"),
        comment="If another run was quicker, or a first call was carried out without an answer, look again.",
    )
    for state in changes:
        state.add_catch(taken, errors=ANY_ERROR, result_path=LOOKUP)

    status = sfn.Choice(scope, "EndpointStatus?")
    # `$.before` stays what it was before that update, for the way back
    status.when(sfn.Condition.string_equals_json_path("$.now.config", "$.plan.name"), rollout)
    status.when(sfn.Condition.string_equals("$.now.status", "InService"), remember)
    status.when(is_busy("$.now.status"), wait)
    status.otherwise(delete)
    describe.next(status)
    return describe


def _see_alarms(parts: RunParts) -> list[Permission]:
    """Return what a guarded update asks of its caller ("Auto-Rollback Configuration and Monitoring")."""
    alarms = [parts.names.alarm_arn(name) for name in alarm_names(parts.settings, parts.names)]
    return [Permission(actions=["cloudwatch:DescribeAlarms"], resources=alarms)] if alarms else []


def _unless_realtime(scope: RunScope, *, update: sfn.CustomState, replace: sfn.CustomState) -> sfn.CustomState:
    """DescribeServedConfig → `update`, or `replace` where instances serve; return DescribeServedConfig.

    SageMaker refuses to make a real-time endpoint serverless; the other way goes (developer guide, "Serverless
    Inference", feature exclusions).
    """
    describe = sagemaker_task(
        scope,
        "DescribeServedConfig",
        call="describeEndpointConfig",
        payload={"EndpointConfigName.$": "$.before.config"},
        result_path="$.served",
    )
    describe.add_catch(update, errors=ANY_ERROR, result_path=LOOKUP)  # a configuration that somebody deleted
    choice = sfn.Choice(scope, "ServesServerless?")
    choice.when(sfn.Condition.is_present("$.served.ProductionVariants[0].ServerlessConfig"), update).otherwise(replace)
    describe.next(choice)
    return describe


def _created_in_place(scope: RunScope, *, create: sfn.CustomState, nothing: sfn.Pass) -> sfn.Choice:
    """Return the choice that remembers what a deleted real-time endpoint served, so that a rollback finds it."""
    choice = sfn.Choice(scope, "ReplacesRealtime?")
    choice.when(sfn.Condition.string_equals("$.before.config", ""), nothing).otherwise(create)
    return choice


def _follow_rollout(
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


def retire_phase(scope: RunScope, *, parts: RunParts, following: sfn.State) -> sfn.CustomState:
    """Retire → `following`; return Retire.

    It deletes models and endpoint configurations, except the current ones and those of the last releases before, by
    the setting `release.kept`. Its failure does not undo the release; the notification mentions it.
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
            # the keys of the records say which releases were the last ones
            Permission(
                actions=["s3:ListBucket"],
                resources=[parts.dataset.bucket.bucket_arn],
                conditions={"StringLike": {"s3:prefix": [f"{contract.RELEASES_PREFIX}*"]}},
            ),
            *parts.sleep_record.read(),
        ],
        environment={
            "SLEEP_RECORD": parts.sleep_record.name,
            "RELEASES_KEPT": str(parts.settings.release.kept),
        },
        timeout=cdk.Duration.minutes(5),
    )
    payload: Mapping[str, Any] = {"current.$": "$.plan.name", "previous.$": "$.before.config"}
    retire = lambda_task(scope, function, payload=payload, result_path="$.retired")
    retire.add_catch(following, errors=ANY_ERROR, result_path="$.retired")
    retire.next(following)
    return retire
