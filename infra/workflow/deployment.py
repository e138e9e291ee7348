"""UpdateEndpoint's DeploymentConfig: how the requests shift to a new model, and which alarms take them back."""

from __future__ import annotations

from typing import Any, Final

from infra.endpoint_alarms import alarm_names
from infra.names import Names
from infra.settings import Settings

__all__ = ["deployment_config"]

_PROVISIONING_SECONDS: Final = 3600
"""SageMaker gives a container an hour to download and start a model."""


def deployment_config(settings: Settings, names: Names) -> dict[str, Any]:
    """Return the member of UpdateEndpoint's request; an empty dict for a serverless endpoint.

    Deployment guardrails are for real-time and asynchronous endpoints ("Deployment guardrails for updating models in
    production"). Without an alarm nothing takes a model back, but its requests shift all the same.
    """
    if settings.serving.mode == "serverless":
        return {}
    release = settings.release
    policy = {
        "TrafficRoutingConfiguration": _routing(settings),
        "MaximumExecutionTimeoutInSeconds": 60 * release.baking_minutes + _PROVISIONING_SECONDS,
    }
    config: dict[str, Any] = {"BlueGreenUpdatePolicy": policy}
    if alarms := alarm_names(settings, names):
        config["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": name} for name in alarms]}
    return {"DeploymentConfig": config}


def _routing(settings: Settings) -> dict[str, Any]:
    release = settings.release
    routing: dict[str, Any] = {
        "Type": release.rollout.upper(),
        "WaitIntervalInSeconds": 60 * release.bake_minutes,
    }
    if release.rollout == "canary":
        routing["CanarySize"] = {"Type": "CAPACITY_PERCENT", "Value": release.canary_percent}
    if release.rollout == "linear":
        routing["LinearStepSize"] = {"Type": "CAPACITY_PERCENT", "Value": release.linear_percent}
    return routing
