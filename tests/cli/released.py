"""An environment with three releases: its records, its endpoint, its registry, and what else a rollback asks."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from contract import ChangeKind, Release, ReleaseChange
from infra.outputs import StackOutput
from tests.cli.stack import STARTED, FakeStack
from tests.fakes.s3 import client_error

__all__ = ["BEGIN", "IDENTITY", "Execution", "ReleasedStack", "ServingSageMaker", "record"]

BEGIN = datetime(2026, 11, 28, 22, tzinfo=UTC)
RUNS = ("a-1", "b-1", "c-1")
IDENTITY = "arn:aws:sts::123456789012:assumed-role/Admin/jo"


def record(hours: float, kind: ChangeKind, run: str, replaced: str, *, why: str = "", **more: str) -> dict[str, bytes]:
    """A record in the bucket; a released model has 0.9 of 100 test photos right."""
    change = ReleaseChange(BEGIN + timedelta(hours=hours), kind, run, replaced)
    by = IDENTITY if kind == "rolled-back" else f"arn:execution:{run}"
    content = Release(at=change.at.isoformat(), kind=kind, run=run, replaced=replaced, by=by, why=why)
    content.update(more)  # type: ignore[typeddict-item]
    if kind == "released":
        content["test_accuracy"], content["test_images"] = 0.9, 100
        content["test_accuracy_interval"] = {"low": 0.8256, "high": 0.9448, "level": 0.95}
    return {change.key: json.dumps(content).encode()}


class ServingSageMaker:
    """An endpoint with earlier configurations and models, and the registry of their packages."""

    def __init__(
        self, run: str | None, *, status: str = "InService", kept: tuple[str, ...] = ("a-1", "b-1", "c-1")
    ) -> None:
        self.config = None if run is None else f"whippet-dev-{run}"
        self.status = status
        self.pending: str | None = None
        self.kept = kept
        self.models = list(kept)
        """The runs whose model is there; `kept` are those whose configuration is."""
        self.real_time: tuple[str, ...] = ()
        """The runs whose configuration has instances."""
        self.machines: dict[str, str] = {}
        """Their instance types, where they are others than ml.m5.large."""
        self.retained: dict[str, Any] = {}
        """What the last update kept of the variant."""
        self.fails: str | None = None
        """Why SageMaker does not carry an update out."""
        self.refusal: Exception | None = None
        self.changed = BEGIN + timedelta(hours=10)
        self.calls: list[str] = []
        self.approvals = dict.fromkeys(RUNS, "Approved")
        self.said: dict[str, str] = {}

    def describe_endpoint(self, *, EndpointName: str) -> dict[str, Any]:  # noqa: N803
        if self.config is None:
            raise client_error("ValidationException", f'Could not find endpoint "{EndpointName}".')
        seen = {
            "EndpointName": EndpointName,
            "EndpointConfigName": self.config,
            "EndpointStatus": self.status,
            "LastModifiedTime": self.changed,
        }
        if self.pending is not None:
            seen["PendingDeploymentSummary"] = {"EndpointConfigName": self.pending}
        if self.status == "InService" and self.fails:
            seen["FailureReason"] = self.fails

        # the change is done at the next look
        if self.status == "Updating":
            self.config = self.config if self.fails or self.pending is None else self.pending
            self.status, self.pending = "InService", None
        return seen

    def update_endpoint(self, *, EndpointName: str, EndpointConfigName: str, **retained: Any) -> None:  # noqa: N803
        self.retained = retained
        assert EndpointName == "whippet-dev"
        if self.refusal is not None:
            raise self.refusal
        self.calls.append(f"update to {EndpointConfigName}")
        self.status, self.pending = "Updating", EndpointConfigName

    def describe_endpoint_config(self, *, EndpointConfigName: str) -> dict[str, Any]:  # noqa: N803
        run = EndpointConfigName.removeprefix("whippet-dev-")
        machines: dict[str, Any] = (
            {"InstanceType": self.machines.get(run, "ml.m5.large")}
            if run in self.real_time
            else {"ServerlessConfig": {}}
        )
        return {"ProductionVariants": [machines]}

    def get_paginator(self, name: str) -> Any:
        configs, models = ([f"whippet-dev-{run}" for run in runs] for runs in (self.kept, self.models))
        pages = {
            "list_endpoint_configs": {"EndpointConfigs": [{"EndpointConfigName": each} for each in configs]},
            "list_models": {"Models": [{"ModelName": each} for each in [*models, "not-whippet-dev-a-1"]]},
            "list_model_packages": {
                "ModelPackageSummaryList": [
                    {"ModelPackageArn": run, "ModelPackageDescription": f"Run {run}", "ModelApprovalStatus": status}
                    for run, status in self.approvals.items()
                ]
            },
        }

        class Pages:
            def paginate(self, **_: Any) -> Iterator[dict[str, Any]]:
                yield pages[name]

        return Pages()

    def update_model_package(
        self,
        *,
        ModelPackageArn: str,  # noqa: N803
        ModelApprovalStatus: str,  # noqa: N803
        ApprovalDescription: str,  # noqa: N803
    ) -> None:
        self.approvals[ModelPackageArn] = ModelApprovalStatus
        self.said[ModelPackageArn] = ApprovalDescription


class Runtime:
    """The endpoint's answers, which name the model."""

    def __init__(self, sagemaker: ServingSageMaker) -> None:
        self.sagemaker = sagemaker
        self.failures: list[Exception] = []
        self.answer: Any = None
        """What it answers instead."""

    def invoke_endpoint(self, *, Body: bytes, **_: str) -> dict[str, Any]:  # noqa: N803
        assert Body.startswith(b"\x89PNG")
        if self.failures:
            raise self.failures.pop(0)
        answer = self.answer or {"model": {"release": self.sagemaker.config}}
        return {"Body": io.BytesIO(json.dumps(answer).encode())}


class Execution:
    """Step Functions with at most one execution that goes on, and the state that it is in."""

    def __init__(self, state: str | None = None) -> None:
        self.state = state

    def list_executions(self, *, nextToken: str | None = None, **_: Any) -> dict[str, Any]:  # noqa: N803
        # a page may be empty and not be the last
        if nextToken is None:
            return {"executions": [], "nextToken": "second"}
        running = [{"executionArn": "arn:9", "name": "run-9", "startDate": STARTED}]
        return {"executions": running if self.state else []}

    def describe_state_machine_for_execution(self, **_: str) -> dict[str, str]:
        states = {
            "Train": {"Next": "CreateModel"},
            "CreateModel": {"Next": "Rollout?"},
            "Rollout?": {"Choices": [{"Next": "SmokeTest"}], "Default": "Report"},
            "SmokeTest": {"Next": "Report", "Catch": [{"Next": "RestoreEndpoint"}]},
            "RestoreEndpoint": {"Next": "Report"},
            "Report": {"End": True},
        }
        return {"definition": json.dumps({"States": states})}

    def get_execution_history(self, **_: Any) -> dict[str, Any]:
        entered = {"stateEnteredEventDetails": {"name": self.state}}
        return {"events": [{"type": "TaskScheduled"}, entered, {"stateEnteredEventDetails": {"name": "Before"}}]}


class _Sts:
    def get_caller_identity(self) -> dict[str, str]:
        return {"Arn": IDENTITY}


class ReleasedStack(FakeStack):
    """A stack whose endpoint serves one of three releases."""

    def __init__(self, sagemaker: ServingSageMaker, objects: dict[str, bytes] | None = None, **clients: Any) -> None:
        released = record(0, "released", "a-1", "") | record(1, "released", "b-1", "a-1", why="Good enough.")
        released |= record(2, "released", "c-1", "b-1")
        self.runtime = Runtime(sagemaker)
        made = {"sagemaker": sagemaker, "sagemaker-runtime": self.runtime, "sts": _Sts(), "stepfunctions": Execution()}
        super().__init__(released if objects is None else objects, **(made | clients))

    def output(self, name: StackOutput) -> str:
        return "whippet-dev" if name == StackOutput.ENDPOINT_NAME else super().output(name)
