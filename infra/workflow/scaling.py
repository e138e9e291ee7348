"""Phase 6c: automatic scaling as states: what an update of the endpoint does to it, and where it begins again.

    RememberEndpoint → DescribeFleet → SameMachines?
        ├ of the same type ──────────────────────────────→ KeepInstances ─┐
        ├ serverless ────────────────────────────────────→ SetInstances ──┤→ UpdateEndpoint
        └ of another type → EndScaling → ScalingEnded → KeepInstances ─┘
    Retire, or a failure after ScalingEnded → BeginScaling → PutScalingPolicy → the run's end

SageMaker goes on to scale through an update that changes the model, holds it back meanwhile, and refuses one that
changes the instance type of what scales (developer guide, "Update endpoints that use auto scaling"). So only such an
update ends the scaling first, and a run that is killed in any other leaves it as it was. Without the setting, an update
ends what an earlier deployment's setting began.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn

import contract
from infra.permissions import Permission
from infra.workflow.endpoint import LOOKUP
from infra.workflow.payloads import RunParts
from infra.workflow.task import ANY_ERROR, RunScope, sagemaker_task

__all__ = ["Endings", "before_update", "end_scaling", "retained_instances", "scaling_phase"]

_NOT_REGISTERED: Final = ["ApplicationAutoScaling.ObjectNotFoundException"]
_TRANSIENT: Final = [
    "ApplicationAutoScaling.ApplicationAutoScalingException",
    "ApplicationAutoScaling.ConcurrentUpdateException",
    "ApplicationAutoScaling.InternalServiceException",
    "ApplicationAutoScaling.SdkClientException",
]
"""What passes: the service's general exception is also that of throttling. Every one of the calls may be repeated."""

_TIMEOUT_SECONDS: Final = 120
_ATTEMPTS: Final = 5
_STATE: Final = "$.scaling"
_FLEET: Final = "$.fleet"
_VARIANT: Final = f"{_FLEET}.ProductionVariants[0]"


class Endings(NamedTuple):
    """The states that follow a release and a failure, before the run gives the release lock back."""

    released: sfn.State
    failed: sfn.State


def scaling_phase(scope: RunScope, *, parts: RunParts, following: sfn.State) -> Endings:
    """BeginScaling → PutScalingPolicy → `following`; without the setting nothing but `following`.

    A failure does not undo the release: `$.scaling` is then the error, which the notification mentions.
    """
    plan = parts.scaling.plan
    if plan is None:
        return Endings(following, following)
    register = _task(
        scope,
        "BeginScaling",
        call="registerScalableTarget",
        payload=contract.scalable_range(plan),
        permissions=parts.scaling.begin(),
    )
    policy = _task(scope, "PutScalingPolicy", call="putScalingPolicy", payload=contract.scaling_policy(plan))
    for state in (register, policy):
        state.add_catch(following, errors=ANY_ERROR, result_path=_STATE)
    register.next(policy).next(following)

    again = sfn.Choice(scope, "ScaleAgain?", comment="Whatever serves after a failure scales as before the run.")
    again.when(sfn.Condition.is_present(f"{_STATE}.ended"), register).otherwise(following)
    return Endings(register, again)


def before_update(scope: RunScope, parts: RunParts, *, update: sfn.CustomState) -> sfn.State:
    """Return the first state before the update of a real-time endpoint → … → `update`."""
    if parts.scaling.plan is None:
        return end_scaling(scope, parts, following=update)

    # does the update keep the instances that scaling chose?
    keep, fresh = (
        sfn.Pass(scope, name, parameters={"keep": kept}, result_path="$.instances")
        for name, kept in (("KeepInstances", True), ("SetInstances", False))
    )
    keep.next(update)
    fresh.next(update)
    ended = sfn.Pass(scope, "ScalingEnded", parameters={"ended.$": "$$.State.EnteredTime"}, result_path=_STATE)
    ended.next(keep)
    # where it goes on all the same, SageMaker refuses the update and says why
    end = _deregister(scope, parts)
    end.add_catch(ended, errors=ANY_ERROR, result_path=LOOKUP)
    end.next(ended)

    # what serves?
    describe = sagemaker_task(
        scope,
        "DescribeFleet",
        call="describeEndpointConfig",
        payload={"EndpointConfigName.$": "$.before.config"},
        result_path=_FLEET,
    )
    describe.add_catch(end, errors=ANY_ERROR, result_path=LOOKUP)  # a configuration that somebody deleted
    machines = sfn.Choice(scope, "SameMachines?")
    instance_type = f"{_VARIANT}.InstanceType"
    machines.when(sfn.Condition.is_present(f"{_VARIANT}.ServerlessConfig"), fresh)
    machines.when(
        sfn.Condition.and_(
            sfn.Condition.is_present(instance_type),
            sfn.Condition.string_equals(instance_type, parts.settings.release.instance_type),
        ),
        keep,
    )
    machines.otherwise(end)
    describe.next(machines)
    return describe


def end_scaling(scope: RunScope, parts: RunParts, *, following: sfn.State) -> sfn.CustomState:
    """EndScaling → `following`, also where nothing scales or AWS refuses; return EndScaling.

    Only an earlier deployment's setting can have begun what is ended here. What remains is told by the notification.
    """
    end = _deregister(scope, parts)
    end.add_catch(following, errors=_NOT_REGISTERED, result_path=LOOKUP)
    end.add_catch(following, errors=ANY_ERROR, result_path=_STATE)
    end.next(following)
    return end


def retained_instances(parts: RunParts) -> dict[str, Any]:
    """Return the members of UpdateEndpoint's request that keep the instances which scaling chose; none without it."""
    if parts.scaling.plan is None:
        return {}
    kept: dict[str, Any] = {**contract.retained_properties()}
    del kept["RetainAllVariantProperties"]
    return {**kept, "RetainAllVariantProperties.$": "$.instances.keep"}


def _deregister(scope: RunScope, parts: RunParts) -> sfn.CustomState:
    return _task(
        scope,
        "EndScaling",
        call="deregisterScalableTarget",
        payload=contract.scalable_target(parts.names.endpoint),
        permissions=parts.scaling.end(),
    )


def _task(
    scope: RunScope, name: str, *, call: str, payload: Mapping[str, Any], permissions: Sequence[Permission] = ()
) -> sfn.CustomState:
    """Return the state of a call to Application Auto Scaling, whose answer is dropped."""
    for permission in permissions:
        scope.role.may(permission)
    state = sfn.CustomState(
        scope,
        name,
        state_json={
            "Type": "Task",
            "Resource": f"arn:{cdk.Aws.PARTITION}:states:::aws-sdk:applicationautoscaling:{call}",
            "Parameters": dict(payload),
            "ResultPath": sfn.JsonPath.DISCARD,
            "TimeoutSeconds": _TIMEOUT_SECONDS,
        },
    )
    state.add_retry(
        errors=_TRANSIENT,
        interval=cdk.Duration.seconds(2),
        max_attempts=_ATTEMPTS,
        backoff_rate=2,
        jitter_strategy=sfn.JitterType.FULL,
    )
    return state
