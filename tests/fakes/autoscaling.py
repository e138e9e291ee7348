"""Application Auto Scaling with at most one scalable target."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Final

from botocore.session import Session
from botocore.validate import ParamValidator

import contract

__all__ = ["PLAN", "FakeAutoscaling"]

PLAN: Final[contract.ScalingPlan] = {
    "endpoint": "whippet-dev",
    "min_instances": 1,
    "max_instances": 4,
    "invocations": 400.0,
    "in_cooldown": 300,
    "out_cooldown": 300,
}


class NotFoundError(Exception):
    """No scalable target is registered."""


class FakeAutoscaling:
    """Its calls are held against botocore's model, and noted in `calls`."""

    def __init__(self, calls: list[str] | None = None) -> None:
        self.calls = [] if calls is None else calls
        self.registered: dict[str, Any] | None = None
        self.policy: dict[str, Any] | None = None
        self.refusal: Exception | None = None
        """What every call is answered with, if given."""
        self.exceptions = SimpleNamespace(ObjectNotFoundException=NotFoundError)
        self._model = Session().get_service_model("application-autoscaling")

    def register_scalable_target(self, **request: Any) -> dict[str, Any]:
        self._check("RegisterScalableTarget", request)
        self.calls.append(f"scale {request['MinCapacity']} to {request['MaxCapacity']}")
        self.registered = request
        return {"ScalableTargetARN": "arn"}

    def put_scaling_policy(self, **request: Any) -> dict[str, Any]:
        self._check("PutScalingPolicy", request)
        if self.registered is None:
            raise NotFoundError
        self.policy = request
        return {"PolicyARN": "arn"}

    def deregister_scalable_target(self, **request: Any) -> dict[str, Any]:
        self._check("DeregisterScalableTarget", request)
        if self.registered is None or self.registered["ResourceId"] != request["ResourceId"]:
            raise NotFoundError
        self.calls.append("scale no more")
        self.registered = self.policy = None
        return {}

    def describe_scalable_targets(self, **request: Any) -> dict[str, Any]:
        self._check("DescribeScalableTargets", request)
        found = self.registered
        return {"ScalableTargets": [found] if found and found["ResourceId"] in request["ResourceIds"] else []}

    def _check(self, operation: str, request: dict[str, Any]) -> None:
        shape = self._model.operation_model(operation).input_shape
        assert shape is not None
        report = ParamValidator().validate(request, shape)
        assert not report.has_errors(), report.generate_report()
        if self.refusal is not None:
            raise self.refusal
