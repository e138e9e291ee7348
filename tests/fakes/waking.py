"""SageMaker with an endpoint that sleeps, wakes, or fails to."""

from __future__ import annotations

from typing import Any

from tests.fakes.s3 import client_error

__all__ = ["SLEPT", "WakingSageMaker"]

SLEPT = "whippet-dev-run-7"


class WakingSageMaker:
    """An endpoint with the statuses that it has at one look after the other; the last one stays."""

    def __init__(self, *statuses: str | None, refusal: Exception | None = None, machine: str = "ml.m5.large") -> None:
        self.statuses = list(statuses)
        self.refusal = refusal
        self.machine = machine
        self.no_deletion: Exception | None = None
        self.calls: list[Any] = []
        self.after_creation: list[str | None] = ["Creating", "InService"]

    def describe_endpoint(self, *, EndpointName: str) -> dict[str, Any]:  # noqa: N803
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if status is None:
            raise client_error("ValidationException", f'Could not find endpoint "{EndpointName}".')
        reason = {"FailureReason": "no ping"} if status == "Failed" else {}
        return {"EndpointConfigName": SLEPT, "EndpointStatus": status, **reason}

    def describe_endpoint_config(self, *, EndpointConfigName: str) -> dict[str, Any]:  # noqa: N803
        if self.machine == "deleted":
            raise client_error("ValidationException", "Could not find endpoint configuration.")
        assert EndpointConfigName == SLEPT
        return {"ProductionVariants": [{"InstanceType": self.machine, "InitialInstanceCount": 2}]}

    def create_endpoint(self, **request: Any) -> None:
        self.statuses = list(self.after_creation)
        if self.refusal:
            raise self.refusal
        self.calls.append(request)

    def delete_endpoint(self, *, EndpointName: str) -> None:  # noqa: N803
        self.statuses = ["Deleting", "Deleting", None]
        if self.no_deletion:
            raise self.no_deletion
        self.calls.append(f"delete {EndpointName}")
