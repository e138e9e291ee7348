"""What CloudWatch learns of each request to an endpoint.

Source: "Amazon SageMaker AI metrics in Amazon CloudWatch" (developer guide), endpoint invocation metrics. Every metric
comes twice, as on AWS: for the variant, where both fleets of an update count, and for the variant of one endpoint
configuration, by which the new fleet can be watched alone ("Auto-Rollback Configuration and Monitoring").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from local.sagemaker.context import Context
from local.sagemaker.endpoints.instance import Instance

__all__ = ["Timing", "measure"]

_MICROSECONDS: Final = 1_000_000


@dataclass
class Timing:
    """Seconds of the machine's clock that a request took: all of it, and the model's part, None where none answered."""

    whole: float = 0.0
    model: float | None = None


def measure(context: Context, *, endpoint: str, config: str, instance: Instance, status: int, timing: Timing) -> None:
    """Count a request. Latencies are in microseconds, and only those of requests that the model answered count."""
    metrics: dict[str, float] = {
        "Invocations": 1,
        "InvocationsPerInstance": 1 / instance.count,
        "Invocation4XXErrors": int(400 <= status < 500),
        "Invocation5XXErrors": int(status >= 500),
    }
    if timing.model is not None:
        metrics["ModelLatency"] = _MICROSECONDS * timing.model
        metrics["OverheadLatency"] = _MICROSECONDS * max(0.0, timing.whole - timing.model)

    names = {"EndpointName": endpoint, "VariantName": instance.variant["VariantName"]}
    for dimensions in (names, {**names, "EndpointConfigName": config}):
        context.host.measure(namespace="AWS/SageMaker", metrics=metrics, dimensions=dimensions)
