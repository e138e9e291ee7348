"""An account with what a run left that was ended from outside, and the function that tidies it up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

import contract
from tests.fakes.lambda_context import Context
from tests.fakes.s3 import FakeS3, client_error

__all__ = ["BEFORE", "DOCUMENT", "EXECUTION", "LOCK", "OLD", "OWN", "RUN", "EndedAccount"]

EXECUTION = "arn:aws:states:eu-west-1:123456789012:execution:whippet-dev:first"
STARTED, STOPPED = datetime(2026, 11, 29, 20, tzinfo=UTC), datetime(2026, 11, 29, 21, tzinfo=UTC)
RUN = contract.run_id("first", started=STARTED)
OWN, OLD = f"whippet-dev-{RUN}", "whippet-dev-old-1"
LOCK = contract.release_lock_key("whippet-dev")

DOCUMENT = {
    "overrides": {},
    "execution": "first",
    "started": STARTED.isoformat(),
    "failure": {},
    "polls": {},
    "before": {"status": "NotThere", "config": ""},
    "plan": {"run": RUN, "name": OWN},
}
BEFORE = {"before": {"status": "InService", "config": OLD}}


_VARIABLES = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "BUCKET": "data",
    "ENDPOINT_NAME": "whippet-dev",
    "ENVIRONMENT": "dev",
    "NAME_PREFIX": "whippet-dev",
    "SLEEP_RECORD": "",
    "TOPIC_ARN": "arn:aws:sns:eu-west-1:123456789012:topic",
}


class _SageMaker:
    """Jobs of this and of another run, the endpoint, and the registry."""

    def __init__(self, config: str | None = None, status: str = "InService") -> None:
        self.config, self.status = config, status
        self.pending: str | None = None
        self.jobs = {
            OWN: "HyperParameterTuningJob",
            f"{OWN}-train-2": "TrainingJob",
            f"{OWN}x-train": "TrainingJob",
            "whippet-dev-other": "HyperParameterTuningJob",
        }
        self.packages = {"arn:2": ["Run other", "Approved"], "arn:1": [f"Run {RUN}", "Approved"]}
        self.calls: list[str] = []
        self.stays = False
        """Whether SageMaker does not carry updates out."""

    def get_paginator(self, name: str) -> Any:
        account = self

        class Pages:
            def paginate(self, **asked: Any) -> Iterator[dict[str, Any]]:
                if name == "list_model_packages":
                    assert asked["ModelPackageGroupName"] == "whippet-dev"
                    yield {
                        "ModelPackageSummaryList": [
                            {"ModelPackageArn": arn, "ModelPackageDescription": said, "ModelApprovalStatus": status}
                            for arn, (said, status) in account.packages.items()
                        ]
                    }
                    return
                kind = {"hyper": "HyperParameterTuningJob", "train": "TrainingJob", "proce": "ProcessingJob"}[
                    name[5:10]
                ]
                running = asked["StatusEquals"] == "InProgress"
                found = [job for job, other in account.jobs.items() if other == kind and running]
                yield {f"{kind}Summaries": [{f"{kind}Name": job} for job in found if asked["NameContains"] in job]}

        return Pages()

    def _stop(self, **names: str) -> None:
        (name,) = names.values()
        del self.jobs[name]
        self.calls.append(f"stop {name}")

    stop_hyper_parameter_tuning_job = stop_training_job = stop_processing_job = _stop

    def describe_endpoint(self, *, EndpointName: str) -> dict[str, Any]:  # noqa: N803
        if self.config is None:
            raise client_error("ValidationException", f'Could not find endpoint "{EndpointName}".')
        seen = {"EndpointStatus": self.status, "EndpointConfigName": self.config}

        # a change is done at the next look
        if self.status == "Deleting":
            self.config = None
        elif self.status in ("Creating", "Updating"):
            self.config = self.pending if self.pending and not self.stays else self.config
            self.status, self.pending = "InService", None
        return seen

    def create_endpoint(self, *, EndpointName: str, EndpointConfigName: str, Tags: list[Any]) -> None:  # noqa: N803
        assert Tags == [{"Key": "whippet:environment", "Value": "dev"}]
        self.calls.append(f"create {EndpointConfigName}")
        self.config, self.status = EndpointConfigName, "Creating"

    def update_endpoint(
        self,
        *,
        EndpointName: str,  # noqa: N803
        EndpointConfigName: str,  # noqa: N803
        RetainAllVariantProperties: bool = False,  # noqa: N803
    ) -> None:
        self.calls.append(f"update to {EndpointConfigName}")
        self.status, self.pending = "Updating", EndpointConfigName

    def delete_endpoint(self, *, EndpointName: str) -> None:  # noqa: N803
        self.calls.append("delete endpoint")
        self.status = "Deleting"

    def delete_endpoint_config(self, *, EndpointConfigName: str) -> None:  # noqa: N803
        assert self.config != EndpointConfigName, "SageMaker needs the configuration of an endpoint that serves"
        self.calls.append(f"delete configuration {EndpointConfigName}")

    def delete_model(self, *, ModelName: str) -> None:  # noqa: N803
        self.calls.append(f"delete model {ModelName}")

    def update_model_package(
        self,
        *,
        ModelPackageArn: str,  # noqa: N803
        ModelApprovalStatus: str,  # noqa: N803
        ApprovalDescription: str,  # noqa: N803
    ) -> None:
        assert ApprovalDescription
        self.packages[ModelPackageArn][1] = ModelApprovalStatus


class EndedAccount:
    """The function in its environment, and what it did there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
        self.s3, self.sagemaker, self.mails = FakeS3(), _SageMaker(), list[dict[str, str]]()
        self.context: Any = context
        for variable, value in _VARIABLES.items():
            monkeypatch.setenv(variable, value)

        # a module that makes its clients needs a region
        from tidy_up import handler as tidy_up

        self.function = tidy_up.handler
        self.history: list[dict[str, Any]] = []
        for name in ("s3", "sagemaker"):
            monkeypatch.setattr(tidy_up, name, getattr(self, name))
        monkeypatch.setattr(tidy_up, "states", self)
        monkeypatch.setattr(tidy_up, "sns", self)
        self.hold(EXECUTION)

    def publish(self, **mail: str) -> None:
        self.mails.append(mail)

    def hold(self, holder: str) -> None:
        lock = contract.ReleaseLock(holder=holder, run=RUN, at=STARTED.isoformat(), until="")
        self.s3.put_object(Bucket="data", Key=LOCK, Body=json.dumps(lock).encode())

    def get_execution_history(self, *, nextToken: str = "0", **asked: Any) -> dict[str, Any]:  # noqa: N803
        """Two events a page, the newest first."""
        assert asked["reverseOrder"]
        assert asked["includeExecutionData"]
        first = int(nextToken)
        more = {"nextToken": str(first + 2)} if len(self.history) > first + 2 else {}
        return {"events": self.history[first : first + 2], **more}

    def end(
        self,
        state: str,
        document: dict[str, Any],
        *,
        status: contract.EndStatus = "ABORTED",
        error: str = "",
        cause: str = "",
    ) -> contract.TidiedRun | None:
        """End the run in a state, and invoke the function with the event."""
        kind = {"ABORTED": "Aborted", "FAILED": "Failed", "TIMED_OUT": "TimedOut"}[status]
        self.history = [
            {f"execution{kind}EventDetails": {"error": error, "cause": cause}},
            {"type": "TaskScheduled"},
            {"stateEnteredEventDetails": {"name": state, "input": json.dumps(document)}},
            {"stateExitedEventDetails": {"name": "Before", "output": json.dumps(document)}},
        ]
        start, stop = (int(moment.timestamp() * 1000) for moment in (STARTED, STOPPED))
        detail: Any = {
            "executionArn": EXECUTION,
            "name": "first",
            "status": status,
            "startDate": start,
            "stopDate": stop,
        }
        return self.function({"detail": detail}, self.context)

    def served(self) -> str | None:
        """The endpoint's configuration; None where there is no endpoint."""
        return self.sagemaker.config

    @property
    def serves(self) -> str | None:
        """The endpoint's configuration; None where there is no endpoint."""
        return self.sagemaker.config

    @property
    def holder(self) -> str:
        holder: str = json.loads(self.s3.objects[LOCK])["holder"]
        return holder

    @property
    def records(self) -> list[contract.ReleaseChange]:
        changes = (contract.ReleaseChange.of_key(key) for key in self.s3.objects)
        return [change for change in changes if change is not None]
