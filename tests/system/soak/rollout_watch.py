"""What is measured of a release under load: when the canary began and ended, and which fleet failed requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.system.system import ENDPOINT, System

__all__ = ["RolloutWatch", "errors_of", "watching"]


@dataclass
class RolloutWatch:
    """An endpoint, looked at again and again; moments are of the machine's clock."""

    begun: float = field(default_factory=time.monotonic)
    baking: float | None = None
    """When the new fleet had got its first share of the requests."""
    back: float | None = None
    """When it had lost it, or had got all of them."""
    new: str = ""
    """The configuration that was rolled out last."""

    def see(self, endpoint: dict[str, Any]) -> None:
        pending = endpoint.get("PendingDeploymentSummary", {})
        self.new = pending.get("EndpointConfigName", self.new)
        variants = pending.get("ProductionVariants", [{}])
        status = variants[0].get("VariantStatus", [{"Status": ""}])[0]["Status"]
        if self.baking is None and status == "Baking":
            self.baking = time.monotonic()
        if self.baking is not None and self.back is None and endpoint["EndpointStatus"] != "Updating":
            self.back = time.monotonic()


@contextmanager
def watching(system: System) -> Iterator[RolloutWatch]:
    """Look at the endpoint several times a second."""
    watch, done, sagemaker = RolloutWatch(), threading.Event(), system.client("sagemaker")

    def look() -> None:
        while not done.wait(0.2):
            watch.see(sagemaker.describe_endpoint(EndpointName=ENDPOINT))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield watch
    finally:
        done.set()
        thread.join()


def errors_of(system: System, config: str = "") -> float:
    """How many requests a configuration's fleet, or every one, has not answered well so far, by the metrics."""
    dimensions = {"EndpointName": ENDPOINT, "VariantName": "AllTraffic"}
    if config:
        dimensions["EndpointConfigName"] = config
    found = system.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=0,
        EndTime=time.time() + 30 * 24 * 3600,
        Period=86_400,
        Statistics=["Sum"],
    )
    return float(sum(point["Sum"] for point in found["Datapoints"]))
