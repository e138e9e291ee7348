"""A run that was ended from outside: nothing of it runs on, what served before serves, and people are told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from shared.custom_resource import OutOfTime
from tidy_up import handler as tidy_up
from tidy_up.endpoint import EndpointNotRestored

import contract
from tests.fakes.lambda_context import Context
from tests.fakes.s3 import FakeS3, client_error

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


class SageMaker:
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

    def update_endpoint(self, *, EndpointName: str, EndpointConfigName: str) -> None:  # noqa: N803
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


class Environment:
    """The function in its environment, and what it did there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
        self.s3, self.sagemaker, self.mails = FakeS3(), SageMaker(), list[dict[str, str]]()
        self.context = context
        self.history: list[dict[str, Any]] = []
        for name in ("s3", "sagemaker"):
            monkeypatch.setattr(tidy_up, name, getattr(self, name))
        monkeypatch.setattr(tidy_up, "states", self)
        monkeypatch.setattr(tidy_up, "sns", self)
        self.hold(EXECUTION)

    def served(self) -> str | None:
        """The endpoint's configuration; None where there is no endpoint."""
        return self.sagemaker.config

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
        detail = tidy_up.ExecutionDetail(
            executionArn=EXECUTION, name="first", status=status, startDate=start, stopDate=stop
        )
        return tidy_up.handler({"detail": detail}, self.context)  # type: ignore[arg-type]

    @property
    def holder(self) -> str:
        holder: str = json.loads(self.s3.objects[LOCK])["holder"]
        return holder

    @property
    def records(self) -> list[contract.ReleaseChange]:
        changes = (contract.ReleaseChange.of_key(key) for key in self.s3.objects)
        return [change for change in changes if change is not None]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, context: Context, pauses: list[float]) -> Environment:
    return Environment(monkeypatch, context)


def test_a_run_that_is_stopped_in_a_job_leaves_no_job(environment: Environment) -> None:
    tidied = environment.end("Tune", DOCUMENT, error="StoppedByCommand", cause="jo stopped it")
    assert set(environment.sagemaker.jobs) == {f"{OWN}x-train", "whippet-dev-other"}, "others' jobs go on"
    assert tidied is not None
    assert tidied["done"][:2] == [f"the job {OWN} was stopped", f"the job {OWN}-train-2 was stopped"]
    (mail,) = environment.mails
    assert mail["Subject"] == f"whippet: run {RUN} was stopped in Tune"
    assert "Reason (StoppedByCommand): jo stopped it" in mail["Message"]
    assert f"- the job {OWN} was stopped" in mail["Message"]
    assert "states/home" in mail["Message"]
    assert json.loads(environment.s3.objects[contract.tidied_key(RUN)]) == tidied


@pytest.mark.parametrize("status", ["Approved", "PendingManualApproval"])
def test_its_model_package_is_rejected(environment: Environment, status: str) -> None:
    environment.sagemaker.packages["arn:1"][1] = status
    environment.end("AskApproval", DOCUMENT, status="TIMED_OUT", error="States.Timeout")
    assert environment.sagemaker.packages == {"arn:2": ["Run other", "Approved"], "arn:1": [f"Run {RUN}", "Rejected"]}
    assert environment.mails[0]["Subject"] == f"whippet: run {RUN} ran out of time in AskApproval"


@pytest.mark.parametrize("status", ["Creating", "InService", "Failed"])
def test_the_endpoint_of_a_first_rollout_is_deleted(environment: Environment, status: str) -> None:
    environment.sagemaker.config, environment.sagemaker.status = OWN, status
    environment.end("DescribeRollout", DOCUMENT)
    assert environment.served() is None
    assert environment.sagemaker.calls[-3:] == [
        "delete endpoint",
        f"delete configuration {OWN}",
        f"delete model {OWN}",
    ]
    assert [(each.kind, each.run, each.replaced) for each in environment.records] == [("failed", "", RUN)]


@pytest.mark.parametrize("status", ["Updating", "InService"])
def test_an_endpoint_that_served_before_goes_back(environment: Environment, status: str) -> None:
    environment.sagemaker.config, environment.sagemaker.status = OWN, status
    recorded = DOCUMENT | BEFORE | {"recorded": {"key": "releases/…"}}
    tidied = environment.end("SmokeTest", recorded)
    assert (environment.sagemaker.config, environment.sagemaker.status) == (OLD, "InService")
    assert environment.sagemaker.calls.count(f"update to {OLD}") == 1
    assert tidied is not None
    assert any(f"went back to {OLD}" in each for each in tidied["done"])
    assert [(each.kind, each.run, each.replaced) for each in environment.records] == [("failed", "old-1", RUN)]
    assert environment.holder == contract.NO_HOLDER


def test_a_real_time_endpoint_that_was_being_replaced_comes_back(environment: Environment) -> None:
    """Stopped between its deletion and the creation of the serverless one, there is no endpoint at all."""
    environment.sagemaker.config, environment.sagemaker.status = OLD, "Deleting"
    served = {"served": {"ProductionVariants": [{"InitialInstanceCount": 1}]}}
    environment.end("WaitForEndpoint", DOCUMENT | BEFORE | served)
    assert (environment.sagemaker.config, environment.sagemaker.status) == (OLD, "InService")


def test_an_endpoint_that_somebody_deleted_stays_deleted(environment: Environment) -> None:
    environment.end("UpdateEndpoint", DOCUMENT | BEFORE)
    assert environment.sagemaker.config is None


def test_an_endpoint_that_the_run_had_not_changed_yet_is_left_alone(environment: Environment) -> None:
    environment.sagemaker.config = OLD
    environment.end("CreateEndpointConfig", DOCUMENT)
    assert environment.sagemaker.config == OLD
    assert f"delete model {OWN}" in environment.sagemaker.calls
    assert environment.records == []


def test_without_the_lock_nothing_of_the_release_is_touched(environment: Environment) -> None:
    """Another run, which took the lock over, may have put its model into service since."""
    environment.hold("arn:another")
    environment.sagemaker.config = OWN
    environment.end("SmokeTest", DOCUMENT | BEFORE)
    assert environment.sagemaker.config == OWN
    assert not [call for call in environment.sagemaker.calls if not call.startswith("stop")]
    assert environment.holder == "arn:another"


def test_a_model_that_passed_its_smoke_test_stays(environment: Environment) -> None:
    environment.sagemaker.config = OWN
    tidied = environment.end("Retire", DOCUMENT | BEFORE | {"smoke_test": {"photo": "1.jpg"}})
    assert environment.sagemaker.config == OWN
    assert environment.sagemaker.packages["arn:1"][1] == "Approved"
    assert tidied is not None
    assert "stays in service" in tidied["done"][-1]
    assert environment.holder == contract.NO_HOLDER


def test_a_run_that_was_stopped_during_its_rollback_is_rolled_back(environment: Environment) -> None:
    environment.sagemaker.config = OWN
    failed = {"failure": {"SmokeTest": {"Error": "SmokeTestFailed", "Cause": "no"}}}
    environment.end("DescribeBeforeRollback", DOCUMENT | BEFORE | failed)
    assert environment.sagemaker.config == OLD


def test_a_run_that_told_of_its_failure_is_not_told_of_again(environment: Environment) -> None:
    """It may still hold the lock, where giving it back failed."""
    outcome = {"outcome": {"status": "failed"}, "failure": {"Train": {"Error": "States.TaskFailed", "Cause": "no"}}}
    assert environment.end("Failed", DOCUMENT | outcome, status="FAILED", error="States.TaskFailed") is None
    assert environment.mails == []
    assert environment.sagemaker.calls == []
    assert environment.holder == contract.NO_HOLDER


def test_a_failure_that_no_catch_takes_is_told(environment: Environment) -> None:
    environment.end("RememberEndpoint", DOCUMENT, status="FAILED", error="States.Runtime", cause="no such path")
    (mail,) = environment.mails
    assert mail["Subject"] == f"whippet: run {RUN} failed in RememberEndpoint"
    assert "Reason (States.Runtime): no such path" in mail["Message"]
    assert "Look at the execution in the console" in mail["Message"]


def test_a_run_that_had_hardly_begun_is_told(environment: Environment) -> None:
    environment.history = []
    tidied = environment.end("Start", {"epochs": 3})
    assert tidied is not None
    assert (tidied["state"], tidied["run"]) == ("Start", RUN)


def test_a_destroyed_stack_is_left_to_its_clean_up(environment: Environment) -> None:
    environment.sagemaker.config = OWN
    assert environment.end("SmokeTest", DOCUMENT, error=contract.STACK_DESTROYED) is None
    assert (environment.sagemaker.calls, environment.mails, environment.holder) == ([], [], EXECUTION)


def test_an_event_that_comes_twice_is_told_once(environment: Environment) -> None:
    first = environment.end("Tune", DOCUMENT)
    assert environment.end("Tune", DOCUMENT) == first
    assert len(environment.mails) == 1


def test_a_second_attempt_goes_on_where_the_first_ran_out_of_time(environment: Environment) -> None:
    environment.sagemaker.config = OWN
    environment.context.remaining = 105_000
    with pytest.raises(OutOfTime, match="Lambda invokes the function again"):
        environment.end("SmokeTest", DOCUMENT | BEFORE)
    assert environment.mails == []
    assert environment.holder == EXECUTION, "nobody else releases meanwhile"
    environment.context.remaining = 900_000
    environment.end("SmokeTest", DOCUMENT | BEFORE)
    assert environment.sagemaker.config == OLD
    assert len(environment.mails) == 1


def test_an_earlier_model_that_sagemaker_does_not_bring_back_is_an_error(environment: Environment) -> None:
    """After Lambda's last attempt the error goes to the topic."""
    environment.sagemaker.config, environment.sagemaker.stays = OWN, True
    with pytest.raises(EndpointNotRestored, match=f"update it to {OLD}"):
        environment.end("SmokeTest", DOCUMENT | BEFORE)
    assert environment.sagemaker.calls.count(f"update to {OLD}") == 1
