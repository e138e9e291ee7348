"""The custom resources: they always answer CloudFormation, and say why when they fail."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from build_image import handler as build_image
from cleanup import bucket_emptying, run_remains
from cleanup import handler as cleanup
from shared.custom_resource import Deadline

from tests.fakes.lambda_context import Context
from tests.fakes.s3 import client_error


@pytest.fixture
def answers() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A place that takes CloudFormation's answers: its URL, and what came."""
    came: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            came.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/answer", came
    server.shutdown()
    thread.join()
    server.server_close()


def event(url: str, kind: str, properties: dict[str, str], **more: str) -> dict[str, Any]:
    return {
        "RequestType": kind,
        "ResponseURL": url,
        "StackId": "stack",
        "RequestId": "request",
        "LogicalResourceId": "Resource",
        "ResourceProperties": properties,
        **more,
    }


IMAGE = {"Project": "build", "RepositoryUri": "registry/whippet-dev-serving", "Tag": "abc"}
CLEANUP = {
    "Prefix": "whippet-dev",
    "Endpoint": "whippet-dev",
    "ModelPackageGroup": "whippet-dev",
    "StateMachineArn": "arn",
    "EmptyBucket": "",
}


class FakeCodeBuild:
    def __init__(self, *states: str) -> None:
        self.states = list(states)
        self.started: list[dict[str, Any]] = []
        self.stopped: list[str] = []

    def start_build(self, **request: Any) -> dict[str, Any]:
        self.started.append(request)
        return {"build": self._build()}

    def batch_get_builds(self, **_: Any) -> dict[str, Any]:
        return {"builds": [self._build()]}

    def stop_build(self, *, id: str) -> None:  # noqa: A002
        self.stopped.append(id)

    def _build(self) -> dict[str, Any]:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        phase = {"phaseType": "BUILD", "phaseStatus": state, "contexts": [{"message": "docker said no"}]}
        return {"id": "build:1", "buildStatus": state, "phases": [phase] if state == "FAILED" else []}


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeCodeBuild]:
    def use(*states: str) -> FakeCodeBuild:
        fake = FakeCodeBuild(*states)
        monkeypatch.setattr(build_image, "codebuild", fake)
        monkeypatch.setattr(build_image, "POLL_SECONDS", 0)
        return fake

    return use


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_an_image_is_built_and_named(answers: Any, build: Any, context: Context, kind: str) -> None:
    url, came = answers
    fake = build("IN_PROGRESS", "IN_PROGRESS", "SUCCEEDED")
    build_image.handler(event(url, kind, IMAGE), context)  # type: ignore[arg-type]
    assert came[0]["Status"] == "SUCCESS"
    assert came[0]["Data"] == {"ImageUri": "registry/whippet-dev-serving:abc"}
    override = fake.started[0]["environmentVariablesOverride"][0]
    assert (override["name"], override["value"]) == ("IMAGE_TAG", "abc")


def test_a_failed_build_fails_the_deployment_with_its_reason(answers: Any, build: Any, context: Context) -> None:
    url, came = answers
    build("IN_PROGRESS", "FAILED")
    build_image.handler(event(url, "Create", IMAGE), context)  # type: ignore[arg-type]
    assert came[0]["Status"] == "FAILED"
    assert "failed in BUILD: docker said no" in came[0]["Reason"]


def test_a_build_that_takes_too_long_is_stopped_and_answered(answers: Any, build: Any, context: Context) -> None:
    url, came = answers
    fake = build("IN_PROGRESS")
    context.remaining = 10_000
    build_image.handler(event(url, "Create", IMAGE), context)  # type: ignore[arg-type]
    assert came[0]["Status"] == "FAILED"
    assert "ran out of time" in came[0]["Reason"]
    assert fake.stopped == ["build:1"]


def test_deleting_the_image_builds_nothing(answers: Any, build: Any, context: Context) -> None:
    url, came = answers
    fake = build("SUCCEEDED")
    build_image.handler(event(url, "Delete", IMAGE, PhysicalResourceId="mine"), context)  # type: ignore[arg-type]
    assert fake.started == []
    assert (came[0]["Status"], came[0]["PhysicalResourceId"]) == ("SUCCESS", "mine")


class Account:
    """SageMaker, Step Functions and S3 with remains of runs, of this environment and of another."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.endpoint: str | None = "InService"
        self.objects = 1500
        self.refusal: Exception | None = None
        self.no_group = False

    def get_paginator(self, name: str) -> Any:
        account = self
        listed: dict[str, tuple[str, str, list[str]]] = {
            "list_executions": ("executions", "executionArn", ["execution-1"]),
            "list_hyper_parameter_tuning_jobs": (
                "HyperParameterTuningJobSummaries",
                "HyperParameterTuningJobName",
                ["whippet-dev-1"],
            ),
            "list_training_jobs": (
                "TrainingJobSummaries",
                "TrainingJobName",
                ["whippet-dev-1-001", "my-whippet-dev-job"],
            ),
            "list_processing_jobs": (
                "ProcessingJobSummaries",
                "ProcessingJobName",
                ["whippet-dev-1-rules", "my-whippet-dev-rules"],
            ),
            "list_model_packages": ("ModelPackageSummaryList", "ModelPackageArn", ["arn:1", "arn:2"]),
            "list_endpoint_configs": ("EndpointConfigs", "EndpointConfigName", ["whippet-dev-1", "old-whippet-dev-1"]),
            "list_models": ("Models", "ModelName", ["whippet-dev-1", "old-whippet-dev-1"]),
        }

        class Pages:
            def paginate(self, **_: Any) -> Iterator[dict[str, Any]]:
                if name == "list_model_packages" and account.no_group:
                    raise client_error("ValidationException", "ModelPackageGroup whippet-dev does not exist.")
                if name == "list_object_versions":
                    while account.objects:
                        count = min(1000, account.objects)
                        yield {"Versions": [{"Key": f"k{n}", "VersionId": "v"} for n in range(count)]}
                    return
                collection, key, names = listed[name]
                yield {collection: [{key: item} for item in names]}

        return Pages()

    def describe_endpoint(self, **_: Any) -> dict[str, str]:
        if self.endpoint is None:
            raise client_error("ValidationException", 'Could not find endpoint "whippet-dev".')
        status = self.endpoint
        self.endpoint = {"Creating": "InService", "Deleting": None}.get(status, status)
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
            self.calls.append(f"{name} {next(iter(names.values()))}")

        return call


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Account:
    fake = Account()
    for client in ("s3", "sagemaker", "states"):
        monkeypatch.setattr(cleanup, client, fake)
    monkeypatch.setattr(run_remains, "POLL_SECONDS", 0)
    return fake


def test_everything_of_the_prefix_goes_in_an_order_that_leaves_nothing(
    answers: Any, account: Account, context: Context
) -> None:
    url, came = answers
    account.endpoint = "Creating"
    cleanup.handler(event(url, "Delete", CLEANUP), context)  # type: ignore[arg-type]
    assert came[0]["Status"] == "SUCCESS"
    assert account.calls == [
        "stop_execution execution-1",
        "stop_hyper_parameter_tuning_job whippet-dev-1",
        "stop_training_job whippet-dev-1-001",
        "stop_processing_job whippet-dev-1-rules",
        "delete_endpoint",
        "delete_endpoint_config whippet-dev-1",
        "delete_model whippet-dev-1",
        "delete_model_package arn:1",
        "delete_model_package arn:2",
    ]


def test_a_group_that_is_gone_already_holds_nothing_up(answers: Any, account: Account, context: Context) -> None:
    url, came = answers
    account.no_group = True
    cleanup.handler(event(url, "Delete", CLEANUP), context)  # type: ignore[arg-type]
    assert came[0]["Status"] == "SUCCESS"
    assert account.calls[-1] == "delete_model whippet-dev-1"


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_nothing_is_deleted_before_the_stack_is(answers: Any, account: Account, context: Context, kind: str) -> None:
    url, came = answers
    cleanup.handler(event(url, kind, CLEANUP), context)  # type: ignore[arg-type]
    assert came[0]["Status"] == "SUCCESS"
    assert account.calls == []


def test_the_bucket_is_emptied_only_where_that_was_asked_for(answers: Any, account: Account, context: Context) -> None:
    url, came = answers
    cleanup.handler(event(url, "Delete", CLEANUP | {"EmptyBucket": "data"}), context)  # type: ignore[arg-type]
    assert came[0]["Status"] == "SUCCESS"
    assert account.objects == 0
    assert account.calls.count("delete_objects") == 2


def test_a_job_that_has_just_ended_does_not_stop_the_cleanup(answers: Any, account: Account, context: Context) -> None:
    url, came = answers
    account.refusal = client_error("ValidationException", "The job is in status Completed and cannot be stopped")
    cleanup.handler(event(url, "Delete", CLEANUP), context)  # type: ignore[arg-type]
    assert came[0]["Status"] == "SUCCESS"
    assert "delete_model whippet-dev-1" in account.calls


def test_a_refusal_is_answered_with_its_reason(answers: Any, account: Account, context: Context) -> None:
    url, came = answers
    account.refusal = client_error("AccessDeniedException", "not authorized to stop")
    cleanup.handler(event(url, "Delete", CLEANUP), context)  # type: ignore[arg-type]
    assert came[0]["Status"] == "FAILED"
    assert "not authorized to stop" in came[0]["Reason"]


def test_running_out_of_time_is_answered(answers: Any, account: Account, context: Context) -> None:
    url, came = answers
    context.remaining = 5_000
    cleanup.handler(event(url, "Delete", CLEANUP), context)  # type: ignore[arg-type]
    assert came[0]["Status"] == "FAILED"
    assert "waiting for the endpoint whippet-dev" in came[0]["Reason"]


def test_objects_that_stay_are_named(account: Account, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    error = {"Errors": [{"Key": "k1", "Message": "locked"}]}
    monkeypatch.setattr(Account, "delete_objects", lambda *_, **__: error)
    with pytest.raises(bucket_emptying.BucketNotEmptied, match="k1 in data stays: locked"):
        bucket_emptying.empty_bucket(account, "data", Deadline(context))  # type: ignore[arg-type]
