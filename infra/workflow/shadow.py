"""Phase 6, the shadow: the new model gets a copy of the callers' requests, and is judged before they get its answers.

    Shadowed? ─ yes, it passed → UpdateEndpoint
        └ not yet → NameShadow → DescribeBeforeShadow → CanShadow? ─ no → NotShadowed → UpdateEndpoint
                        └ CreateShadowModel → CreateShadowConfig → AddShadow → WaitForShadow ⇄ DescribeShadow
    JudgeShadow ← ShadowTime ← BeginShadow ← the shadow stands ←─────────────────────────────────┘
        └ DescribeShadowEnd ⇄ RemoveShadow → DeleteShadowConfig → DeleteShadowModel → ShadowPassed?
                ├ it passed → DescribeEndpoint, and the release goes on
                └ it failed, or got too few requests → RejectModel → …failed

The endpoint's production variant stays the model in service all the time. Whatever fails on the way leads through
DescribeShadowEnd, which takes the shadow away; for a run that is stopped, the tidy-up does. An endpoint with a shadow
has one production variant (API reference, CreateEndpointConfig), and no documentation says what deployment guardrails
do with a shadow. So the shadow is gone before the rollout begins. It comes and goes by updates without guardrails,
which change nothing of what callers get and keep the number of instances that answer.
"""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn

import contract
from infra.permissions import NO_RESOURCES, Permission
from infra.workflow.capture import capture_config
from infra.workflow.endpoint import (
    EXISTS,
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
from infra.workflow.task import ANY_ERROR, LOST_ANSWER, FailureRoute, RunScope, lambda_task, sagemaker_task

__all__ = ["shadow_phase"]

_SHADOW = "$.shadow"


def shadow_phase(
    scope: RunScope, parts: RunParts, *, reject: sfn.State, again: sfn.CustomState, following: sfn.State
) -> sfn.IChainable:
    """Return the first state of the shadow → `following`; `following` itself where the settings ask for none.

    Args:
        scope: The scope of the run's states.
        parts: The stack's parts.
        reject: Takes a model that is refused.
        again: Looks at the endpoint anew, once the shadow has gone.
        following: Updates the endpoint to the new model.
    """
    minutes = parts.settings.release.shadow_minutes
    if minutes is None:
        return following
    refused = FailureRoute(reject)
    end = _take_away(scope, parts, refused, following=_passed(scope, refused, again))
    stand = _judge(scope, parts, minutes, end)
    add = _add(scope, parts, end, following=stand)

    # may the model in service have a shadow?
    name = sfn.Pass(
        scope,
        "NameShadow",
        parameters={
            "config.$": f"States.Format('{contract.SHADOW_CONFIG_FORMAT}', $.before.config, $.plan.run)",
            "model.$": f"States.Format('{contract.SHADOW_MODEL_FORMAT}', $.plan.name)",
            "said": "",
        },
        result_path=_SHADOW,
    )
    describe = sagemaker_task(
        scope,
        "DescribeBeforeShadow",
        call="describeEndpointConfig",
        payload={"EndpointConfigName.$": "$.before.config"},
        result_path=f"{_SHADOW}.served",
    )
    refused.catch(describe)
    not_shadowed = sfn.Pass(
        scope,
        "NotShadowed",
        parameters={
            "config": "",
            "model": "",
            "said": "It was no shadow before: only a model that serves alone, on instances, can have one.",
        },
        result_path=_SHADOW,
    )
    not_shadowed.next(following)
    variants = f"{_SHADOW}.served.ProductionVariants"
    able = sfn.Choice(scope, "CanShadow?", comment="Shadow tests exclude serverless and further production variants.")
    able.when(sfn.Condition.is_present(f"{variants}[0].ServerlessConfig"), not_shadowed)
    able.when(sfn.Condition.is_present(f"{variants}[1]"), not_shadowed)
    # the shadow of an earlier run could not be taken away, which the update does
    able.when(sfn.Condition.string_matches("$.before.config", contract.shadow_config("*", "*")), not_shadowed)
    able.otherwise(add)
    name.next(describe).next(able)

    shadowed = sfn.Choice(scope, "Shadowed?", comment="After the shadow the endpoint is looked at anew.")
    shadowed.when(sfn.Condition.is_present(f"{_SHADOW}.verdict"), following).otherwise(name)
    return shadowed


def _add(scope: RunScope, parts: RunParts, end: sfn.CustomState, *, following: sfn.Pass) -> sfn.CustomState:
    """CreateShadowModel → … → `following` once the endpoint has the shadow; return CreateShadowModel."""
    ending = FailureRoute(end)
    container = parts.serving_container
    told = {contract.ServingVariable.METRICS_ENDPOINT: contract.shadow_metrics(parts.names.endpoint)}
    model = sagemaker_task(
        scope,
        "CreateShadowModel",
        call="createModel",
        payload={
            "ModelName.$": f"{_SHADOW}.model",
            "PrimaryContainer": {**container, "Environment": {**container["Environment"], **told}},
            "ExecutionRoleArn": parts.endpoint_role_arn,
            "EnableNetworkIsolation": True,
            "Tags": parts.tags,
        },
    )
    config = sagemaker_task(
        scope,
        "CreateShadowConfig",
        call="createEndpointConfig",
        payload={
            "EndpointConfigName.$": f"{_SHADOW}.config",
            "ProductionVariants.$": f"{_SHADOW}.served.ProductionVariants",
            "ShadowProductionVariants": [_variant(parts)],
            **capture_config(parts),
            "Tags": parts.tags,
        },
    )
    add = sagemaker_task(
        scope,
        "AddShadow",
        call="updateEndpoint",
        payload=_update(parts, f"{_SHADOW}.config"),
    )
    wait = _follow(scope, parts, ending, following=following)
    go_on_where_done(scope, model, ending, says=[EXISTS], following=config)
    go_on_where_done(scope, config, ending, says=[EXISTS], following=add)
    go_on_where_done(scope, add, ending, says=[IN_PROGRESS], following=wait)
    model.next(config).next(add).next(wait)
    return model


def _variant(parts: RunParts) -> dict[str, Any]:
    """Return the shadow variant: the machines that the model is to have in service.

    Its weight is the share of the requests that are copied, beside the production variant's of 1.
    """
    release = parts.settings.release
    return {
        "VariantName": contract.SHADOW_VARIANT,
        "ModelName.$": f"{_SHADOW}.model",
        "InstanceType": release.instance_type,
        "InitialInstanceCount": release.instance_count,
        "InitialVariantWeight": release.shadow_percent / 100,
    }


def _update(parts: RunParts, config: str) -> dict[str, Any]:
    """Return the request of an update that leaves as many instances as scaling has made of them."""
    return {
        "EndpointName": parts.names.endpoint,
        "EndpointConfigName.$": config,
        "RetainAllVariantProperties": True,
    }


def _follow(scope: RunScope, parts: RunParts, ending: FailureRoute, *, following: sfn.Pass) -> sfn.Choice:
    """Wait until the shadow stands → `following`, or until it is clear that it will not."""
    describe = describe_endpoint(scope, parts, "DescribeShadow", result_path="$.endpoint")
    ending.catch(describe)
    late = ending.fail(
        scope,
        "ShadowNotFinished",
        error="ShadowNotFinished",
        cause=f"The endpoint {parts.names.endpoint} did not get its shadow variant within two hours. The model in "
        "service stays. Look at the endpoint in the SageMaker console.",
    )
    wait = poll(scope, "Shadow", member="shadow", look=describe, too_long=late)

    explained = ending.fail(scope, "ShadowNotStarted", error="ShadowFailed", cause="$.endpoint.FailureReason")
    unexplained = ending.fail(
        scope,
        "ShadowLeftOut",
        error="ShadowFailed",
        cause="States.Format('The endpoint is {} with {} and not with the shadow variant of {}.', "
        f"$.endpoint.EndpointStatus, $.endpoint.EndpointConfigName, {_SHADOW}.config)",
    )
    stands = sfn.Choice(scope, "ShadowStands?")
    stands.when(is_busy("$.endpoint.EndpointStatus"), wait)
    stands.when(sfn.Condition.and_(_has_shadow(), _in_service()), following)
    stands.when(sfn.Condition.is_present("$.endpoint.FailureReason"), explained)
    stands.otherwise(unexplained)
    describe.next(stands)
    return wait


def _judge(scope: RunScope, parts: RunParts, minutes: int, end: sfn.CustomState) -> sfn.Pass:
    """BeginShadow → ShadowTime → JudgeShadow → `end`, also where it cannot be judged; return BeginShadow."""
    # who judges, and by what
    release = parts.settings.release
    limits = {
        "MAX_ERROR_SHARE": release.max_error_share,
        "MAX_LATENCY_MS": release.max_latency_ms,
        "MAX_UNKNOWN_SHARE": release.max_unknown_share,
    }
    function = scope.function(
        "JudgeShadow",
        name="judge_shadow",
        description="Says by a shadow variant's metrics whether its model may answer callers",
        environment={
            "ENDPOINT_NAME": parts.names.endpoint,
            "FEWEST_REQUESTS": str(release.shadow_requests),
            # empty: no such limit
            **{name: "" if limit is None else str(limit) for name, limit in limits.items()},
        },
        permissions=[
            Permission(actions=["cloudwatch:GetMetricStatistics"], resources=["*"], reason=NO_RESOURCES),
        ],
        timeout=cdk.Duration.minutes(5),
    )
    judge = lambda_task(
        scope,
        function,
        payload={"begun.$": f"{_SHADOW}.begun.at", "until.$": "$$.State.EnteredTime"},
        result_path=f"{_SHADOW}.verdict",
    )
    FailureRoute(end).catch(judge)
    judge.next(end)

    # when it does
    wait = sfn.Wait(
        scope,
        "ShadowTime",
        time=sfn.WaitTime.duration(cdk.Duration.minutes(minutes)),
        comment=f"for {minutes} minutes the new model is a shadow: it gets copies of the requests, and nobody gets its "
        "answers",
    )
    begin = sfn.Pass(scope, "BeginShadow", parameters={"at.$": "$$.State.EnteredTime"}, result_path=f"{_SHADOW}.begun")
    begin.next(wait).next(judge)
    return begin


def _take_away(
    scope: RunScope, parts: RunParts, refused: FailureRoute, *, following: sfn.IChainable
) -> sfn.CustomState:
    """DescribeShadowEnd ⇄ RemoveShadow → … → `following` once the shadow has gone; return DescribeShadowEnd.

    What is refused here is asked again: the shadow costs as long as it stands.
    """
    describe = describe_endpoint(scope, parts, "DescribeShadowEnd", result_path="$.endpoint", passing=LOST_ANSWER)
    late = refused.fail(
        scope,
        "ShadowNotRemoved",
        error="ShadowNotRemoved",
        cause="States.Format('The shadow variant could not be taken away within two hours; its instances cost as long "
        "as it stands. The model in service answers. The tidy-up tries again; by hand: aws sagemaker update-endpoint "
        f"--endpoint-name {parts.names.endpoint} --endpoint-config-name {{}}', $.before.config)",
    )
    wait = poll(scope, "ShadowEnd", member="shadow_end", look=describe, too_long=late)
    remove = sagemaker_task(
        scope,
        "RemoveShadow",
        call="updateEndpoint",
        payload=_update(parts, "$.before.config"),
        passing=LOST_ANSWER,
    )
    remove.add_catch(wait, errors=ANY_ERROR, result_path=LOOKUP)
    remove.next(wait)

    # its entries cost nothing: Retire takes what stays of them
    config = sagemaker_task(
        scope,
        "DeleteShadowConfig",
        call="deleteEndpointConfig",
        payload={"EndpointConfigName.$": f"{_SHADOW}.config"},
    )
    model = sagemaker_task(scope, "DeleteShadowModel", call="deleteModel", payload={"ModelName.$": f"{_SHADOW}.model"})
    config.add_catch(model, errors=ANY_ERROR, result_path=LOOKUP)
    model.add_catch(following, errors=ANY_ERROR, result_path=LOOKUP)
    config.next(model).next(following)

    missing = when_refused(
        scope,
        "ShadowEndpointGone?",
        says=[NOT_THERE],
        then=config,
        otherwise=wait,
        comment="An endpoint that somebody deleted took its shadow along.",
    )
    describe.add_catch(missing, errors=ANY_ERROR, result_path=LOOKUP)
    gone = sfn.Choice(scope, "ShadowGone?")
    gone.when(is_busy("$.endpoint.EndpointStatus"), wait)
    gone.when(sfn.Condition.and_(_has_shadow(), _in_service()), remove)
    gone.when(_has_shadow(), late)
    gone.otherwise(config)
    describe.next(gone)
    return describe


def _passed(scope: RunScope, refused: FailureRoute, again: sfn.CustomState) -> sfn.Choice:
    """Return the choice that goes `again` to the release with a model that passed, and refuses any other."""
    verdict = f"{_SHADOW}.verdict"

    def judged(outcome: str) -> sfn.Condition:
        present = sfn.Condition.is_present(verdict)
        return sfn.Condition.and_(present, sfn.Condition.string_equals(f"{verdict}.outcome", outcome))

    failed = refused.fail(scope, "ShadowFailed", error="ShadowFailed", cause=f"{verdict}.said")
    too_few = refused.fail(scope, "TooFewRequests", error="TooFewShadowRequests", cause=f"{verdict}.said")
    choice = sfn.Choice(scope, "ShadowPassed?", comment="Without a verdict, what failed stands in the run already.")
    choice.when(judged("passed"), again)
    choice.when(judged("failed"), failed)
    choice.when(judged("too few"), too_few)
    choice.otherwise(refused.handler)
    return choice


def _has_shadow() -> sfn.Condition:
    return sfn.Condition.string_equals_json_path("$.endpoint.EndpointConfigName", f"{_SHADOW}.config")


def _in_service() -> sfn.Condition:
    return sfn.Condition.string_equals("$.endpoint.EndpointStatus", "InService")
