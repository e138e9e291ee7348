"""The clean-up at destroy: nothing of the environment is left, and CloudFormation hears what could not be deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cleanup import bucket_emptying
from cleanup import handler as cleanup
from shared.custom_resource import Deadline

import contract
from contract import NOTHING_SLEEPS
from tests.fakes.autoscaling import PLAN, FakeAutoscaling
from tests.fakes.cloudformation import event
from tests.fakes.lambda_context import Context
from tests.fakes.s3 import client_error
from tests.fakes.ssm import RECORD, FakeParameter

CLEANUP = {
    "Prefix": "whippet-dev",
    "Endpoint": "whippet-dev",
    "ModelPackageGroup": "whippet-dev",
    "StateMachineArn": "arn",
    "EmptyBucket": "",
}
STOPPING_SECONDS = 120
"""How long a stopped job may go on before SageMaker kills it and uploads what there is ("StopTrainingJob")."""

STOPS = {
    "stop_hyper_parameter_tuning_job": "HyperParameterTuningJob",
    "stop_training_job": "TrainingJob",
    "stop_processing_job": "ProcessingJob",
    "stop_transform_job": "TransformJob",
}
LISTS = {
    "list_hyper_parameter_tuning_jobs": "HyperParameterTuningJob",
    "list_training_jobs": "TrainingJob",
    "list_processing_jobs": "ProcessingJob",
    "list_transform_jobs": "TransformJob",
}


class Account:
    """SageMaker, Step Functions and S3 with remains of runs, of this environment and of another.

    A stopped job goes on for two minutes of the function's time, and then uploads an object.
    """

    def __init__(self, context: Context) -> None:
        self.calls: list[str] = []
        self.jobs = {
            "whippet-dev-1": "HyperParameterTuningJob",
            "whippet-dev-1-001": "TrainingJob",
            "whippet-dev-1-rules": "ProcessingJob",
            "whippet-dev-batch-0123456789ab-1": "TransformJob",
            "my-whippet-dev-job": "TrainingJob",
            "my-whippet-dev-rules": "ProcessingJob",
        }
        self.ends: dict[str, float] = {}
        self.endpoint: str | None = "InService"
        self.changes_for: float = 0
        self.objects = 1500
        self.refusal: Exception | None = None
        self.no_group = False
        self._context = context

    def now(self) -> float:
        """Seconds of the function's time that are over."""
        return 900 - self._context.remaining / 1000

    def get_paginator(self, name: str) -> Any:
        account = self
        listed: dict[str, tuple[str, str, list[str]]] = {
            "list_executions": ("executions", "executionArn", ["execution-1"]),
            "list_model_packages": ("ModelPackageSummaryList", "ModelPackageArn", ["arn:1", "arn:2"]),
            "list_endpoint_configs": ("EndpointConfigs", "EndpointConfigName", ["whippet-dev-1", "old-whippet-dev-1"]),
            "list_models": ("Models", "ModelName", ["whippet-dev-1", "old-whippet-dev-1"]),
        }

        class Pages:
            def __init__(self, asked: dict[str, Any]) -> None:
                self.asked = asked

            def __iter__(self) -> Iterator[dict[str, Any]]:
                if name == "list_model_packages" and account.no_group:
                    raise client_error("ValidationException", "ModelPackageGroup whippet-dev does not exist.")
                if name == "list_object_versions":
                    yield from account.versions()
                elif name in LISTS:
                    kind = LISTS[name]
                    found = account.unfinished(kind, self.asked["StatusEquals"])
                    yield {f"{kind}Summaries": [{f"{kind}Name": job} for job in found]}
                else:
                    collection, key, names = listed[name]
                    yield {collection: [{key: item} for item in names]}

        class Paginator:
            def paginate(self, **asked: Any) -> Pages:
                return Pages(asked)

        return Paginator()

    def versions(self) -> Iterator[dict[str, Any]]:
        while self.objects:
            count = min(1000, self.objects)
            yield {"Versions": [{"Key": f"k{n}", "VersionId": "v"} for n in range(count)]}

    def unfinished(self, kind: str, status: str) -> list[str]:
        for name, end in list(self.ends.items()):
            if end <= self.now():
                del self.ends[name], self.jobs[name]
                self.objects += 1
        stopping = status == "Stopping"
        return [name for name, its in self.jobs.items() if its == kind and (name in self.ends) == stopping]

    def describe_endpoint(self, **_: Any) -> dict[str, str]:
        if self.endpoint == "Creating" and self.now() >= self.changes_for:
            self.endpoint = "InService"
        if self.endpoint is None:
            raise client_error("ValidationException", 'Could not find endpoint "whippet-dev".')
        status = self.endpoint
        self.endpoint = None if status == "Deleting" else status
        return {"EndpointStatus": status}

    def delete_endpoint(self, **_: Any) -> None:
        self.calls.append("delete_endpoint")
        self.endpoint = "Deleting"

    def delete_objects(self, *, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:  # noqa: N803
        self.calls.append("delete_objects")
        self.objects -= len(Delete["Objects"])
        return {}

    def __getattr__(self, name: str) -> Callable[..., None]:
        def call(**names: str) -> None:
            if self.refusal and name.startswith("stop_training"):
                raise self.refusal
            named = next(value for key, value in names.items() if key not in ("error", "cause"))
            self.calls.append(f"{name} {named}")
            if name in STOPS:
                self.ends[named] = self.now() + STOPPING_SECONDS

        return call


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, context: Context, pauses: list[float]) -> Account:
    fake = Account(context)
    for client in ("s3", "sagemaker", "states"):
        monkeypatch.setattr(cleanup, client, fake)
    return fake


@pytest.fixture(autouse=True)
def autoscaling(account: Account, monkeypatch: pytest.MonkeyPatch) -> FakeAutoscaling:
    fake = FakeAutoscaling(account.calls)
    monkeypatch.setattr(cleanup, "autoscaling", fake)
    return fake


@pytest.fixture
def destroy(answers: Any, account: Account, context: Context) -> Callable[..., dict[str, Any]]:
    """Have the clean-up deleted, and return what it answers."""
    url, came = answers

    def delete(**properties: str) -> dict[str, Any]:
        cleanup.handler(event(url, "Delete", CLEANUP | properties), context)  # type: ignore[arg-type]
        answer: dict[str, Any] = came[-1]
        return answer

    return delete


def test_everything_of_the_prefix_goes_what_costs_money_first(
    destroy: Callable[..., dict[str, Any]], account: Account
) -> None:
    assert destroy()["Status"] == "SUCCESS"
    assert account.calls == [
        "stop_execution execution-1",
        "stop_hyper_parameter_tuning_job whippet-dev-1",
        "stop_training_job whippet-dev-1-001",
        "stop_processing_job whippet-dev-1-rules",
        "stop_transform_job whippet-dev-batch-0123456789ab-1",
        "delete_endpoint",
        "delete_model whippet-dev-1",
        "delete_model_package arn:1",
        "delete_model_package arn:2",
        "delete_endpoint_config whippet-dev-1",
    ]


def test_what_a_job_uploads_after_its_stop_is_deleted_too(
    destroy: Callable[..., dict[str, Any]], account: Account
) -> None:
    """CloudFormation deletes only an empty bucket (A-20)."""
    assert destroy(EmptyBucket="data")["Status"] == "SUCCESS"
    assert account.now() >= STOPPING_SECONDS, "it waits for the job's end"
    assert account.objects == 0
    assert set(account.jobs) == {"my-whippet-dev-job", "my-whippet-dev-rules"}


def test_a_job_that_is_being_stopped_already_is_waited_for(
    destroy: Callable[..., dict[str, Any]], account: Account
) -> None:
    """As by Step Functions, which stops the jobs of an execution that is stopped."""
    account.ends = dict.fromkeys(["whippet-dev-1", "whippet-dev-1-001", "whippet-dev-1-rules"], STOPPING_SECONDS)
    assert destroy(EmptyBucket="data")["Status"] == "SUCCESS"
    assert account.objects == 0
    assert not [call for call in account.calls if call.startswith("stop_training")]


def test_a_trial_that_its_tuning_job_starts_late_is_stopped_too(
    destroy: Callable[..., dict[str, Any]], account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = account.unfinished

    def with_a_late_one(kind: str, status: str) -> list[str]:
        found = seen(kind, status)
        if account.now() >= 60 and "stop_training_job whippet-dev-1-002" not in account.calls:
            account.jobs["whippet-dev-1-002"] = "TrainingJob"
        return found

    monkeypatch.setattr(account, "unfinished", with_a_late_one)
    assert destroy(EmptyBucket="data")["Status"] == "SUCCESS"
    assert "stop_training_job whippet-dev-1-002" in account.calls
    assert account.objects == 0


def test_an_endpoint_that_hangs_keeps_nothing_else_and_the_next_destroy_goes_on(
    destroy: Callable[..., dict[str, Any]], account: Account, context: Context
) -> None:
    """An endpoint that is being created cannot be deleted, for hours where it hangs (A-21)."""
    account.endpoint, account.changes_for = "Creating", 9_999
    answer = destroy(EmptyBucket="data")
    assert answer["Status"] == "FAILED"
    assert "waiting for the endpoint whippet-dev, which is Creating" in answer["Reason"]
    assert "it continues where it stopped" in answer["Reason"]
    assert context.remaining / 1000 >= 10, "there was time to answer"
    assert account.objects == 0
    assert {"delete_model whippet-dev-1", "delete_model_package arn:2"} <= set(account.calls)
    assert "delete_endpoint_config whippet-dev-1" not in account.calls, "its endpoint still has it"

    context.remaining, account.endpoint = 900_000, "Failed"
    assert destroy(EmptyBucket="data")["Status"] == "SUCCESS"
    assert {"delete_endpoint", "delete_endpoint_config whippet-dev-1"} <= set(account.calls)


def test_an_endpoint_that_is_being_created_is_deleted_as_soon_as_it_can_be(
    destroy: Callable[..., dict[str, Any]], account: Account
) -> None:
    account.endpoint, account.changes_for = "Creating", 60
    assert destroy()["Status"] == "SUCCESS"
    assert account.calls.index("delete_model whippet-dev-1") < account.calls.index("delete_endpoint")


def test_an_endpoint_whose_status_changes_under_the_deletion_is_looked_at_again(
    destroy: Callable[..., dict[str, Any]], account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = [client_error("ValidationException", 'Cannot update in-progress endpoint "whippet-dev".')]
    delete = account.delete_endpoint

    def refused_once(**names: Any) -> None:
        if refusals:
            raise refusals.pop()
        delete(**names)

    monkeypatch.setattr(account, "delete_endpoint", refused_once)
    assert destroy()["Status"] == "SUCCESS"
    assert "delete_endpoint" in account.calls


def test_a_model_that_sleeps_is_woken_by_no_request_any_more(
    destroy: Callable[..., dict[str, Any]], account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.endpoint = None
    record = FakeParameter("whippet-dev-1", calls=account.calls).serve(monkeypatch)
    assert destroy(SleepRecord=RECORD)["Status"] == "SUCCESS"
    assert account.calls[0] == f"record {NOTHING_SLEEPS}"
    assert record.value == NOTHING_SLEEPS
    assert "delete_endpoint_config whippet-dev-1" in account.calls


def test_an_endpoint_that_a_request_wakes_meanwhile_is_deleted_too(
    destroy: Callable[..., dict[str, Any]], account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request had read the record, and its CreateEndpoint came before the configuration was deleted."""
    FakeParameter("whippet-dev-1").serve(monkeypatch)

    def woken(*, EndpointConfigName: str) -> None:  # noqa: N803
        account.calls.append(f"delete_endpoint_config {EndpointConfigName}")
        account.endpoint, account.changes_for = "Creating", account.now() + 60

    monkeypatch.setattr(account, "delete_endpoint_config", woken, raising=False)
    assert destroy(SleepRecord=RECORD)["Status"] == "SUCCESS"
    assert account.endpoint is None
    assert account.calls[-1] == "delete_endpoint"


@pytest.mark.parametrize("throttled", ["delete_model", "delete_model_package", "stop_training_job", "stop_execution"])
def test_a_call_that_is_throttled_again_and_again_is_repeated(
    destroy: Callable[..., dict[str, Any]], account: Account, monkeypatch: pytest.MonkeyPatch, throttled: str
) -> None:
    refusals = [client_error("ThrottlingException", "Rate exceeded") for _ in range(9)]
    call = getattr(account, throttled)

    def refused(**names: str) -> None:
        if refusals:
            raise refusals.pop()
        call(**names)

    monkeypatch.setattr(account, throttled, refused, raising=False)
    assert destroy()["Status"] == "SUCCESS"
    assert any(made.startswith(f"{throttled} ") for made in account.calls)


def test_a_group_that_is_gone_already_holds_nothing_up(
    destroy: Callable[..., dict[str, Any]], account: Account
) -> None:
    account.no_group = True
    assert destroy()["Status"] == "SUCCESS"
    assert account.calls[-1] == "delete_endpoint_config whippet-dev-1"


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_nothing_is_deleted_before_the_stack_is(answers: Any, account: Account, context: Context, kind: str) -> None:
    url, came = answers
    cleanup.handler(event(url, kind, CLEANUP), context)  # type: ignore[arg-type]
    assert came[0]["Status"] == "SUCCESS"
    assert account.calls == []


def test_the_bucket_is_emptied_only_where_that_was_asked_for(
    destroy: Callable[..., dict[str, Any]], account: Account
) -> None:
    assert destroy()["Status"] == "SUCCESS"
    assert "delete_objects" not in account.calls


def test_a_job_that_has_just_ended_does_not_stop_the_cleanup(
    destroy: Callable[..., dict[str, Any]], account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(*, TrainingJobName: str) -> None:  # noqa: N803
        account.jobs.pop(TrainingJobName)
        raise client_error("ValidationException", "The job is in status Completed and cannot be stopped")

    monkeypatch.setattr(account, "stop_training_job", ended, raising=False)
    assert destroy()["Status"] == "SUCCESS"
    assert "delete_model whippet-dev-1" in account.calls


def test_a_refusal_is_answered_with_its_reason(destroy: Callable[..., dict[str, Any]], account: Account) -> None:
    account.refusal = client_error("AccessDeniedException", "not authorized to stop")
    answer = destroy()
    assert answer["Status"] == "FAILED"
    assert "not authorized to stop" in answer["Reason"]


def test_objects_that_stay_are_named(account: Account, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    error = {"Errors": [{"Key": "k1", "Message": "locked"}]}
    monkeypatch.setattr(Account, "delete_objects", lambda *_, **__: error)
    deadline = Deadline(context, longest_call_seconds=0)  # type: ignore[arg-type]
    with pytest.raises(bucket_emptying.BucketNotEmptied, match="k1 in data stays: locked"):
        bucket_emptying.empty_bucket(account, "data", deadline)  # type: ignore[arg-type]


def test_a_scalable_target_without_its_endpoint_goes_too(
    destroy: Callable[..., dict[str, Any]], account: Account, autoscaling: FakeAutoscaling
) -> None:
    """Whoever deleted the endpoint by hand may not have been allowed to deregister it."""
    autoscaling.register_scalable_target(**contract.scalable_range(PLAN))
    account.endpoint = None
    assert destroy()["Status"] == "SUCCESS"
    assert autoscaling.registered is None


def test_a_boundary_that_does_not_know_scaling_stops_no_destroy(
    destroy: Callable[..., dict[str, Any]], autoscaling: FakeAutoscaling
) -> None:
    autoscaling.refusal = client_error("AccessDeniedException", "is not authorized to perform")
    assert destroy()["Status"] == "SUCCESS"
