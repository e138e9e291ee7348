"""JudgeShadow: says by a shadow variant's metrics whether its model may answer callers.

The limits are those of the endpoint's alarms (infra/endpoint_alarms.py), over the whole time of the shadow.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from shared.patience import PATIENT

import contract

__all__ = ["handler"]

logger = Logger()
cloudwatch = boto3.client("cloudwatch", config=PATIENT)

_FEWEST_ERRORS: Final = 3
"""Fewer failed requests say nothing, as with the alarm."""

_MINUTE: Final = 60


@dataclass(frozen=True)
class _Seen:
    """What CloudWatch knows of the shadow; None where nothing was measured."""

    requests: int
    errors: int
    latency_ms: float | None
    """The slowest 1 % took longer."""
    unknown_percent: float | None


@logger.inject_lambda_context
def handler(event: contract.JudgeShadowInput, context: LambdaContext) -> contract.ShadowVerdict:
    """Return the verdict on the shadow that stood from `begun` until `until`."""
    seen = _look(datetime.fromisoformat(event["begun"]), datetime.fromisoformat(event["until"]))
    verdict = _judge(seen)
    logger.info("judged the shadow", extra={"seen": seen, "verdict": verdict})
    return verdict


def _judge(seen: _Seen) -> contract.ShadowVerdict:
    counted = f"As a shadow it got a copy of {seen.requests:,} requests"
    fewest, errors = int(os.environ["FEWEST_REQUESTS"]), _limit("MAX_ERROR_SHARE")
    share = seen.errors / max(1, seen.requests)
    if errors is not None and seen.errors >= _FEWEST_ERRORS and share > errors:
        said = (
            f"{counted}, and answered {seen.errors:,} of them with 5xx: {share:.1%}, and release.max_error_share "
            f"allows {errors:.1%}."
        )
        return contract.ShadowVerdict(outcome="failed", said=said)
    if seen.requests < fewest:
        said = f"{counted}, too few to judge it by: release.shadow_requests asks for {fewest:,}."
        return contract.ShadowVerdict(outcome="too few", said=said)
    if wrong := list(_beyond(seen)):
        return contract.ShadowVerdict(outcome="failed", said=f"{counted}: {'; '.join(wrong)}.")
    took = "" if seen.latency_ms is None else f", and 99 % of the answers took {seen.latency_ms:,.0f} ms or less"
    return contract.ShadowVerdict(outcome="passed", said=f"{counted}: {seen.errors:,} failed{took}.")


def _beyond(seen: _Seen) -> Iterator[str]:
    """Yield what is beyond a limit of the settings."""
    latency, unknown = _limit("MAX_LATENCY_MS"), _limit("MAX_UNKNOWN_SHARE")
    if latency is not None and seen.latency_ms is not None and seen.latency_ms > latency:
        yield (
            f"the slowest 1 % took longer than {seen.latency_ms:,.0f} ms, and release.max_latency_ms allows "
            f"{latency:,.0f}"
        )
    if unknown is not None and seen.unknown_percent is not None and seen.unknown_percent > 100 * unknown:
        yield (
            f"it took {seen.unknown_percent:.0f} % of the photos for unknown, and release.max_unknown_share allows "
            f"{unknown:.0%}"
        )


def _look(begun: datetime, until: datetime) -> _Seen:
    """Read the shadow's metrics of this time."""
    endpoint = os.environ["ENDPOINT_NAME"]
    variant = {"EndpointName": endpoint, "VariantName": contract.SHADOW_VARIANT}
    own = {contract.ENDPOINT_DIMENSION: contract.shadow_metrics(endpoint)}

    def read(namespace: str, metric: str, statistic: str, dimensions: dict[str, str]) -> list[float]:
        return _read(namespace, metric, statistic, dimensions, begun=begun, until=until)

    latency = read("AWS/SageMaker", "ModelLatency", "p99", variant)  # in microseconds
    unknown = read(contract.SERVING_NAMESPACE, contract.UNKNOWN_SHARE, "Average", own)
    return _Seen(
        requests=round(sum(read("AWS/SageMaker", "Invocations", "Sum", variant))),
        errors=round(sum(read("AWS/SageMaker", "Invocation5XXErrors", "Sum", variant))),
        latency_ms=max(latency) / 1000 if latency else None,
        unknown_percent=max(unknown) if unknown else None,
    )


def _read(
    namespace: str, metric: str, statistic: str, dimensions: dict[str, str], *, begun: datetime, until: datetime
) -> list[float]:
    """Return a statistic of the whole time: one value, or two where CloudWatch cuts it; none without a measurement."""
    start = begun.replace(second=0, microsecond=0)
    minutes = max(1, -int((start - until).total_seconds() // _MINUTE))
    percentile = statistic.startswith("p")
    answer = cloudwatch.get_metric_statistics(
        Namespace=namespace,
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=start,
        EndTime=start + timedelta(minutes=minutes),
        Period=_MINUTE * minutes,
        **({"ExtendedStatistics": [statistic]} if percentile else {"Statistics": [statistic]}),
    )
    return [
        float(point["ExtendedStatistics"][statistic] if percentile else point[statistic])
        for point in answer["Datapoints"]
    ]


def _limit(name: str) -> float | None:
    """Return a limit of the settings; None where it is empty."""
    value = os.environ[name]
    return float(value) if value else None
