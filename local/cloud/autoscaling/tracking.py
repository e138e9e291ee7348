"""Target tracking: the two alarms of a policy, and the number of instances that follows them.

Application Auto Scaling says of target tracking only what its alarms are and that it adds instances at once and removes
them gradually. The numbers of the alarms are those that AWS makes for SageMaker's variants: more than the target in
three of three minutes, and less than nine tenths of it in fifteen of fifteen.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from local import clock
from local.cloud import seam
from local.cloud.autoscaling.targets import Policy, Target, Targets
from local.sagemaker import SageMaker, SageMakerError

__all__ = ["Tracking"]

_LOGGER = logging.getLogger(__name__)

_PERIOD: Final = 60
_HIGH: Final = ("GreaterThanThreshold", 1.0, 3)
_LOW: Final = ("LessThanThreshold", 0.9, 15)
"""Comparison, share of the target value, and minutes of an alarm."""

_LOOK_SECONDS: Final = 10.0
"""Seconds of the cloud's clock between two looks at the alarms."""

_SHORTEST_LOOK: Final = 0.2
"""The same in the machine's seconds, however fast the clock runs."""


class Tracking:
    """Makes and removes the alarms of policies in ministack's CloudWatch, and changes the endpoints."""

    def __init__(self, targets: Targets, sagemaker: SageMaker) -> None:
        self._targets = targets
        self._sagemaker = sagemaker
        self._cloudwatch = seam.module("services.cloudwatch")
        provisioners = seam.module("services.cloudformation.provisioners")
        self._alarm_record: Callable[..., dict[str, Any]] = seam.expect(
            provisioners, "_cw_metric_alarm_record", "name", "props"
        )
        self._bucket = seam.expect(self._cloudwatch, "_metric_bucket", "key")
        seam.expect(self._cloudwatch, "_dims_key", "dims")
        seam.expect(self._cloudwatch, "_alarms")

    def put_alarms(self, target: Target, policy: Policy) -> None:
        """Make the policy's alarms, or change those that it has."""
        for name, (comparison, share, minutes) in zip(policy.alarms, (_HIGH, _LOW), strict=True):
            properties = {
                "AlarmDescription": f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {policy.arn}.",
                "Namespace": "AWS/SageMaker",
                "MetricName": "InvocationsPerInstance",
                "Dimensions": [{"Name": name, "Value": value} for name, value in _dimensions(target).items()],
                "Statistic": "Sum",
                "Period": _PERIOD,
                "EvaluationPeriods": minutes,
                "ComparisonOperator": comparison,
                "Threshold": share * policy.target_value,
                "AlarmActions": [policy.arn],
            }
            self._cloudwatch._alarms[name] = self._alarm_record(name, properties)

    def remove_alarms(self, policy: Policy) -> None:
        """Delete the policy's alarms; that somebody has done so already does no harm."""
        for name in policy.alarms:
            self._cloudwatch._alarms.pop(name, None)

    def instances(self, target: Target) -> int | None:
        """Return how many instances the variant has; None where it cannot be changed at the moment.

        Raises:
            SageMakerError: there is no such endpoint.
        """
        described = self._sagemaker.call("DescribeEndpoint", {"EndpointName": target.endpoint})
        if described["EndpointStatus"] != "InService":
            return None
        counts = {each["VariantName"]: each.get("DesiredInstanceCount") for each in described["ProductionVariants"]}
        return counts.get(target.variant)

    def bring_into_range(self, target: Target) -> None:
        """Change a number of instances that is outside of the target's range, as a registration does."""
        count = self.instances(target)
        if count is not None and not target.minimum <= count <= target.maximum:
            self._resize(target, min(max(count, target.minimum), target.maximum))

    def watch(self) -> None:
        """Follow the alarms in a thread that ends with the process."""

        def look() -> None:
            while True:
                time.sleep(max(_SHORTEST_LOOK, clock.real(_LOOK_SECONDS)))
                for target in self._targets.all():
                    try:
                        self._follow(target)
                    except SageMakerError as error:
                        # it has been deleted or changed since
                        _LOGGER.info("%s was not scaled: %s", target.resource, error)
                    except Exception:
                        _LOGGER.exception("%s was not scaled", target.resource)

        threading.Thread(target=look, name="target tracking", daemon=True).start()

    def _follow(self, target: Target) -> None:
        count = self.instances(target)
        if count is None:
            return  # an endpoint that is being changed is left alone
        self._count_silence(target)
        now = clock.time()
        for policy in list(target.policies.values()):
            high, low = (self._cloudwatch._alarms.get(name, {}).get("StateValue") for name in policy.alarms)
            asked = self._last_minute(target)
            wanted = math.ceil(count * asked / policy.target_value) if asked is not None else count
            if high == "ALARM" and now - policy.added_at >= policy.cooldown("Out"):
                wanted = min(max(wanted, count + 1), target.maximum)
                if wanted > count:
                    policy.added_at = now
                    self._resize(target, wanted)
            elif low == "ALARM" and now - max(policy.added_at, policy.removed_at) >= policy.cooldown("In"):
                if policy.configuration.get("DisableScaleIn"):
                    continue
                wanted = max(min(wanted, count - 1), target.minimum)
                if wanted < count:
                    policy.removed_at = now
                    self._resize(target, wanted)

    def _count_silence(self, target: Target) -> None:
        """Let a whole minute without a request count as zero, as SageMaker does for what scales.

        Source: developer guide, "Instructions for editing a scaling policy": scale in when there is no traffic.
        """
        if self._last_minute(target) is None:
            begin = math.floor(clock.time() / _PERIOD) * _PERIOD - _PERIOD
            if begin > target.created:
                self._points(target).append(
                    {"Timestamp": begin, "Value": 0.0, "Unit": "None", "Dimensions": _dimensions(target)}
                )

    def _last_minute(self, target: Target) -> float | None:
        """Return the requests that an instance got in the last whole minute; None where no datapoint tells."""
        begin = math.floor(clock.time() / _PERIOD) * _PERIOD - _PERIOD
        values = [
            float(point["Value"]) for point in self._points(target) if begin <= point["Timestamp"] < begin + _PERIOD
        ]
        return sum(values) if values else None

    def _points(self, target: Target) -> Any:
        key = ("AWS/SageMaker", "InvocationsPerInstance", self._cloudwatch._dims_key(_dimensions(target)))
        return self._bucket(key)

    def _resize(self, target: Target, count: int) -> None:
        wanted = [{"VariantName": target.variant, "DesiredInstanceCount": count}]
        request = {"EndpointName": target.endpoint, "DesiredWeightsAndCapacities": wanted}
        self._sagemaker.call("UpdateEndpointWeightsAndCapacities", request)
        _LOGGER.info("%s has %d instances", target.resource, count)


def _dimensions(target: Target) -> dict[str, str]:
    return {"EndpointName": target.endpoint, "VariantName": target.variant}
