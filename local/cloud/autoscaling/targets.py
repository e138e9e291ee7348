"""The scalable targets and policies of the account, as Application Auto Scaling keeps them.

Played are instance counts of endpoint variants with target tracking on InvocationsPerInstance. Everything else is
refused with a message that says so.
"""

from __future__ import annotations

import re
import secrets
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from local import clock

__all__ = ["DIMENSION", "NAMESPACE", "AutoscalingError", "Policy", "Target", "Targets"]

NAMESPACE: Final = "sagemaker"
DIMENSION: Final = "sagemaker:variant:DesiredInstanceCount"
_METRIC: Final = "SageMakerVariantInvocationsPerInstance"
_RESOURCE: Final = re.compile(r"endpoint/([^/]+)/variant/([^/]+)")
_COOLDOWN: Final = 300
"""Seconds, if the request gives none ("TargetTrackingScalingPolicyConfiguration")."""


class AutoscalingError(Exception):
    """An error of the API."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass
class Policy:
    """A target tracking policy, and what it has done last."""

    name: str
    arn: str
    configuration: Mapping[str, Any]
    alarms: tuple[str, str]
    """Names of the alarms: that of too many requests, and that of few."""
    created: float
    added_at: float = -1e9
    removed_at: float = -1e9

    @property
    def target_value(self) -> float:
        """Requests a minute that an instance is meant to get."""
        return float(self.configuration["TargetValue"])

    def cooldown(self, way: str) -> float:
        """Seconds after a change; `way` is In or Out."""
        return float(self.configuration.get(f"Scale{way}Cooldown", _COOLDOWN))


@dataclass
class Target:
    """A scalable target."""

    endpoint: str
    variant: str
    minimum: int
    maximum: int
    arn: str
    created: float
    policies: dict[str, Policy] = field(default_factory=dict)

    @property
    def resource(self) -> str:
        """`ResourceId`."""
        return f"endpoint/{self.endpoint}/variant/{self.variant}"


class Targets:
    """The targets by resource; any thread may use them."""

    def __init__(self, *, region: str, account_id: str) -> None:
        self.region, self.account_id = region, account_id
        self.lock = threading.RLock()
        self._targets: dict[str, Target] = {}

    def of_endpoint(self, name: str) -> list[Target]:
        """Return the targets of an endpoint."""
        with self.lock:
            return [target for target in self._targets.values() if target.endpoint == name]

    def all(self) -> list[Target]:
        """Return every target."""
        with self.lock:
            return list(self._targets.values())

    def arn(self, resource: str) -> str:
        """Return the ARN that a permission on a target must name; a new target's id is not known before."""
        with self.lock:
            found = self._targets.get(resource)
        return found.arn if found else self._new_arn()

    def find(self, parameters: Mapping[str, Any]) -> Target:
        """Return the target that a request names.

        Raises:
            AutoscalingError: there is none, or it is of a kind that is not played.
        """
        check_kind(parameters)
        found = self._targets.get(parameters["ResourceId"])
        if found is None:
            raise AutoscalingError(
                "ObjectNotFoundException",
                f"No scalable target registered for service namespace: {NAMESPACE}, resource ID: "
                f"{parameters['ResourceId']}, scalable dimension: {DIMENSION}",
            )
        return found

    def register(self, parameters: Mapping[str, Any]) -> Target:
        """Return the target with the request's range; a new one is not among the others yet (`keep`).

        Raises:
            AutoscalingError: the request is wrong.
        """
        endpoint, variant = check_kind(parameters)
        found = self._targets.get(parameters["ResourceId"])
        low = parameters.get("MinCapacity", found.minimum if found else None)
        high = parameters.get("MaxCapacity", found.maximum if found else None)
        if low is None or high is None:
            raise AutoscalingError("ValidationException", "MinCapacity and MaxCapacity must be given at registration.")
        if not 1 <= low <= high:
            raise AutoscalingError(
                "ValidationException",
                f"Maximum capacity {high} must not be less than minimum capacity {low}, at least 1.",
            )
        arn, created = (found.arn, found.created) if found else (self._new_arn(), clock.time())
        policies = found.policies if found else {}
        return Target(endpoint, variant, int(low), int(high), arn, created, policies)

    def keep(self, target: Target) -> None:
        """Put a target among the others, in place of its earlier self."""
        with self.lock:
            self._targets[target.resource] = target

    def forget(self, target: Target) -> None:
        """Take a target away."""
        with self.lock:
            self._targets.pop(target.resource, None)

    def policy(self, target: Target, parameters: Mapping[str, Any]) -> Policy:
        """Return the policy of a request.

        Raises:
            AutoscalingError: it is of a kind that is not played.
        """
        configuration = parameters.get("TargetTrackingScalingPolicyConfiguration", {})
        metric = configuration.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
        if parameters.get("PolicyType") != "TargetTrackingScaling" or metric != _METRIC:
            raise AutoscalingError(
                "ValidationException",
                f"The local cloud plays PolicyType=TargetTrackingScaling with the predefined metric {_METRIC} only.",
            )
        found = target.policies.get(parameters["PolicyName"])
        place = f"{self.region}:{self.account_id}"
        arn = (
            f"arn:aws:autoscaling:{place}:scalingPolicy:{uuid.uuid4()}:resource/{NAMESPACE}/{target.resource}:"
            f"policyName/{parameters['PolicyName']}"
        )
        names = tuple(f"TargetTracking-{target.resource}-Alarm{end}-{uuid.uuid4()}" for end in ("High", "Low"))
        return Policy(
            name=parameters["PolicyName"],
            arn=found.arn if found else arn,
            configuration=configuration,
            alarms=found.alarms if found else (names[0], names[1]),
            created=found.created if found else clock.time(),
        )

    def _new_arn(self) -> str:
        place = f"{self.region}:{self.account_id}"
        return f"arn:aws:application-autoscaling:{place}:scalable-target/{secrets.token_hex(18)}"


def check_kind(parameters: Mapping[str, Any]) -> tuple[str, str]:
    """Return the endpoint and the variant of a request.

    Raises:
        AutoscalingError: it is about something else.
    """
    match = _RESOURCE.fullmatch(str(parameters.get("ResourceId", "")))
    if parameters.get("ServiceNamespace") != NAMESPACE or parameters.get("ScalableDimension") != DIMENSION or not match:
        raise AutoscalingError(
            "ValidationException",
            f"The local cloud scales ServiceNamespace={NAMESPACE}, ScalableDimension={DIMENSION} and ResourceId="
            "endpoint/NAME/variant/NAME only.",
        )
    return match[1], match[2]
