"""A deployed stack in memory: its bucket, and answers to the few calls that the commands make."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from infra.outputs import StackOutput
from infra.settings import Settings
from tests.fakes.autoscaling import FakeAutoscaling
from tests.fakes.s3 import FakeS3, client_error

__all__ = ["EXECUTION", "RUN", "STARTED", "FakeLogs", "FakeStack", "FakeStepFunctions", "GroupedLogs", "question"]

EXECUTION = "0ab1c2d3-e4f5-6789-abcd-ef0123456789"
RUN = "0ab1c2d3-e4"
"""What `contract.run_id` makes of that name."""
STARTED = datetime(2026, 11, 25, 9, tzinfo=UTC)


class FakeStack:
    """Stands in for `cli.target.Target`, of a local cloud."""

    cloud: Any = object()
    dataset = ("data", "dataset/")
    region = "us-east-1"

    def __init__(self, objects: dict[str, bytes] | None = None, **clients: Any) -> None:
        self.settings = Settings()
        self.place = "on this machine"
        self.outputs: dict[str, str] = {}
        self.autoscaling = FakeAutoscaling()
        self.clients = {
            "s3": FakeS3(objects),
            "stepfunctions": FakeStepFunctions(),
            "application-autoscaling": self.autoscaling,
            **clients,
        }

    def client(self, service: str) -> Any:
        return self.clients[service]

    def output(self, name: StackOutput) -> str:
        return {StackOutput.DATA_BUCKET: "data", StackOutput.STATE_MACHINE_ARN: "arn:machine"}[name]


class FakeStepFunctions:
    """A state machine with its executions, one of which waits until it is answered."""

    def __init__(self, *, error: str | None = None, executions: tuple[str, ...] = (EXECUTION,)) -> None:
        self.error = error
        self.executions = executions
        self.running: tuple[str, ...] = ()
        self.answers: list[dict[str, str]] = []
        self.inputs: list[str] = []

    def start_execution(self, *, stateMachineArn: str, name: str, input: str) -> dict[str, Any]:  # noqa: N803, A002
        assert stateMachineArn == "arn:machine"
        assert name, "without a name, a request that is made again starts a second run"
        self.inputs.append(input)
        return {"executionArn": "arn:execution"}

    def list_executions(
        self,
        *,
        stateMachineArn: str,  # noqa: N803
        maxResults: int = 1000,  # noqa: N803
        statusFilter: str | None = None,  # noqa: N803
    ) -> dict[str, Any]:
        assert stateMachineArn == "arn:machine"
        names = self.running if statusFilter == "RUNNING" else self.executions
        status = "SUCCEEDED" if self.answers else "RUNNING"
        return {"executions": [{"name": name, "startDate": STARTED, "status": status} for name in names[:maxResults]]}

    def send_task_success(self, **parameters: str) -> None:
        self._take(parameters)

    def send_task_failure(self, **parameters: str) -> None:
        self._take(parameters)

    def _take(self, parameters: dict[str, str]) -> None:
        if self.error or self.answers:
            raise client_error(self.error or "TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")
        self.answers.append(parameters)


class FakeLogs:
    """CloudWatch Logs with one stream that grows, served two events a page."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def describe_log_streams(self, **_: Any) -> dict[str, Any]:
        return {"logStreams": [{"logStreamName": "job/algo-1-1"}] if self.lines else []}

    def get_log_events(self, *, nextToken: str = "0", **_: Any) -> dict[str, Any]:  # noqa: N803
        begin = int(nextToken)
        events = [{"message": f"{line}\n"} for line in self.lines[begin : begin + 2]]
        return {"events": events, "nextForwardToken": str(begin + len(events))}


class GroupedLogs(FakeLogs):
    """The lines of several jobs, each in a log group."""

    def __init__(self, jobs: dict[tuple[str, str], list[str]]) -> None:
        super().__init__()
        self.jobs = jobs

    def describe_log_streams(self, **parameters: Any) -> dict[str, Any]:
        group, job = parameters["logGroupName"], parameters["logStreamNamePrefix"].rstrip("/")
        if not any(known == group for known, _ in self.jobs):
            raise client_error("ResourceNotFoundException", "The specified log group does not exist.")
        self.lines = self.jobs.get((group, job), [])
        return super().describe_log_streams()


def question(*, expires_at: str = "2999-01-01T00:00:00+00:00") -> dict[str, bytes]:
    """The question as AskApproval leaves it in the bucket."""
    approval = {
        "token": "the token",
        "run": RUN,
        "decision": f"s3://data/runs/{RUN}/decision.json",
        "asked_at": "2026-11-25T09:00:00+00:00",
        "expires_at": expires_at,
    }
    return {f"approvals/{RUN}/approval.json": json.dumps(approval).encode()}
