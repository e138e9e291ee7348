"""The endpoint's alarms: they take a new model back during its rollout, and watch the model in service.

They watch the variant, where both fleets of an update count ("Auto-Rollback Configuration and Monitoring", SageMaker
developer guide): the run cannot make alarms of its own configuration, and what callers see is what counts. A share of
unknown answers is told by each instance, so that the new fleet's is not drowned in the old one's.
"""

from __future__ import annotations

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

import contract
from contract import Alarm
from infra.names import Names
from infra.settings import Settings
from infra.settings.rollout import RolloutSettings

__all__ = ["EndpointAlarms", "alarm_names"]

_MINUTE: Final = cdk.Duration.minutes(1)
"""The finest step of SageMaker's metrics by default."""

_FEWEST_ERRORS: Final = 3
"""Errors of a minute that are no alarm yet: with few callers, one failed request is a large share."""


def alarm_names(settings: Settings, names: Names) -> list[str]:
    """Return the names of the alarms; a serverless endpoint has none."""
    release = settings.release
    limits = {
        Alarm.ENDPOINT_ERRORS: release.max_error_share,
        Alarm.ENDPOINT_LATENCY: release.max_latency_ms,
        Alarm.ENDPOINT_UNKNOWN: release.max_unknown_share,
    }
    if settings.serving.mode == "serverless":
        return []
    return [contract.alarm_name(names.prefix, alarm) for alarm, limit in limits.items() if limit is not None]


class EndpointAlarms(Construct):
    """The alarms, by `contract.Alarm`."""

    def __init__(self, scope: Construct, construct_id: str, *, names: Names, settings: RolloutSettings) -> None:
        super().__init__(scope, construct_id)
        self._names = names
        made = {
            Alarm.ENDPOINT_ERRORS: self._errors(settings.max_error_share),
            Alarm.ENDPOINT_LATENCY: self._latency(settings.max_latency_ms),
            Alarm.ENDPOINT_UNKNOWN: self._unknown(settings.max_unknown_share),
        }
        self.alarms = {kind: alarm for kind, alarm in made.items() if alarm is not None}

    def _errors(self, share: float | None) -> cloudwatch.Alarm | None:
        if share is None:
            return None
        rate = cloudwatch.MathExpression(
            expression=f"IF(errors >= {_FEWEST_ERRORS}, 100 * errors / requests, 0)",
            using_metrics={
                "errors": self._metric("Invocation5XXErrors", "Sum"),
                "requests": self._metric("Invocations", "Sum"),
            },
            label="percent of requests with 5xx",
            period=_MINUTE,
        )
        return self._alarm(
            Alarm.ENDPOINT_ERRORS,
            rate,
            threshold=round(100 * share, 6),
            description=f"More than {share:.1%} of the requests of a minute were answered with 5xx.",
        )

    def _latency(self, milliseconds: int | None) -> cloudwatch.Alarm | None:
        if milliseconds is None:
            return None
        return self._alarm(
            Alarm.ENDPOINT_LATENCY,
            self._metric("ModelLatency", "p99"),
            threshold=1000 * milliseconds,  # the metric is in microseconds
            description=f"The model took longer than {milliseconds} ms for the slowest 1 % of the requests.",
            periods=3,
            needed=2,
        )

    def _unknown(self, share: float | None) -> cloudwatch.Alarm | None:
        if share is None:
            return None
        metric = cloudwatch.Metric(
            namespace=contract.SERVING_NAMESPACE,
            metric_name=contract.UNKNOWN_SHARE,
            dimensions_map={contract.ENDPOINT_DIMENSION: self._names.endpoint},
            statistic="Maximum",
            period=_MINUTE,
        )
        return self._alarm(
            Alarm.ENDPOINT_UNKNOWN,
            metric,
            threshold=round(100 * share, 6),
            description=f"An instance took more than {share:.0%} of the photos for unknown.",
        )

    def _metric(self, name: str, statistic: str) -> cloudwatch.Metric:
        dimensions = {"EndpointName": self._names.endpoint, "VariantName": self._names.variant}
        return cloudwatch.Metric(
            namespace="AWS/SageMaker",
            metric_name=name,
            dimensions_map=dimensions,
            statistic=statistic,
            period=_MINUTE,
        )

    def _alarm(
        self,
        kind: Alarm,
        metric: cloudwatch.IMetric,
        *,
        threshold: float,
        description: str,
        periods: int = 1,
        needed: int = 1,
    ) -> cloudwatch.Alarm:
        return cloudwatch.Alarm(
            self,
            kind.rpartition("-")[2].capitalize(),
            alarm_name=contract.alarm_name(self._names.prefix, kind),
            alarm_description=description,
            metric=metric,
            threshold=threshold,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=periods,
            datapoints_to_alarm=needed,
            # an endpoint that nobody asks is well
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
