"""Phase 6: put the model into service.

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

The first two states are here, those up to the endpoint's change in `infra.workflow.enter_service`, and those after it
in `infra.workflow.follow_rollout`.

With `serving.pause_after_hours`, an endpoint that failed at its creation is deleted, since a model may sleep behind it.
SageMaker leaves the old configuration in service when an update fails, so `DescribeRollout` compares names. Every name
that a run gives is its own, so what already exists under it was made by this run, by a call whose answer got lost.
Before an update, `infra.workflow.scaling` looks at what it does to automatic scaling.
"""

from __future__ import annotations

from typing import Any

from aws_cdk import aws_stepfunctions as sfn

from infra.settings import Settings
from infra.workflow.capture import capture_config
from infra.workflow.endpoint import EXISTS, go_on_where_done
from infra.workflow.enter_service import enter_service
from infra.workflow.follow_rollout import follow_rollout
from infra.workflow.payloads import RunParts
from infra.workflow.task import FailureRoute, RunScope, sagemaker_task

__all__ = ["release_phase"]


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
    rollout = follow_rollout(scope, parts, ending, roll_back, following)
    look = enter_service(scope, parts, failure, reject, rollout)

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
