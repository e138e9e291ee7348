"""Part of phase 6: look at the endpoint, and create, update, replace or delete it.

`infra.workflow.release` draws it.
"""

from __future__ import annotations

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn

from infra.endpoint_alarms import alarm_names
from infra.permissions import Permission
from infra.workflow.before_rollout import before_rollout, nothing_to_shadow
from infra.workflow.deployment import deployment_config
from infra.workflow.endpoint import (
    EXISTS,
    IN_PROGRESS,
    LOOKUP,
    NOT_THERE,
    describe_endpoint,
    is_busy,
    poll,
    when_refused,
)
from infra.workflow.payloads import RunParts
from infra.workflow.scaling import before_update, end_scaling, retained_instances
from infra.workflow.task import ANY_ERROR, LOST_ANSWER, FailureRoute, RunScope, sagemaker_task

__all__ = ["enter_service"]

_REFUSED_PATIENCE: Final = cdk.Duration.minutes(5)
"""How long a description of the endpoint may be refused, apart from a missing endpoint."""


def enter_service(
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
