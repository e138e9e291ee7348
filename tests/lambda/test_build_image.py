"""The build of the serving image: it always answers CloudFormation, and says why when it fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from build_image import handler as build_image

from tests.fakes.cloudformation import event
from tests.fakes.lambda_context import Context
from tests.fakes.s3 import client_error

IMAGE = {"Project": "build", "RepositoryUri": "registry/whippet-dev-serving", "Tag": "abc"}


Refusal = tuple[str, str]
"""The phase in which a build fails, and the message."""

SOURCE_DENIED: Refusal = (
    "DOWNLOAD_SOURCE",
    "CLIENT_ERROR: AccessDenied: Access Denied status code: 403",
)
LOGS_DENIED: Refusal = (
    "SUBMITTED",
    "role/b is not authorized to perform: logs:PutLogEvents",
)


class FakeCodeBuild:
    """Builds that look like `states` one after the other, and before them `refusals`, one for each build."""

    def __init__(self, *states: str) -> None:
        self.states = list(states)
        self.refusals: list[Refusal | Exception] = []
        self.started: list[dict[str, Any]] = []
        self.stopped: list[str] = []

    def start_build(self, **request: Any) -> dict[str, Any]:
        self.started.append(request)
        if self.refusals:
            refusal = self.refusals.pop(0)
            if isinstance(refusal, Exception):
                raise refusal
            return {"build": self._build("FAILED", *refusal)}
        return {"build": self._build(self._state())}

    def batch_get_builds(self, **_: Any) -> dict[str, Any]:
        return {"builds": [self._build(self._state())]}

    def stop_build(self, *, id: str) -> None:  # noqa: A002
        self.stopped.append(id)

    def _state(self) -> str:
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    def _build(self, state: str, phase: str = "BUILD", message: str = "docker said no") -> dict[str, Any]:
        phases = [{"phaseType": phase, "phaseStatus": state, "contexts": [{"message": message}]}]
        return {"id": "build:1", "buildStatus": state, "phases": phases if state == "FAILED" else []}


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> Callable[..., FakeCodeBuild]:
    def use(*states: str) -> FakeCodeBuild:
        fake = FakeCodeBuild(*states)
        monkeypatch.setattr(build_image, "codebuild", fake)
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


@pytest.mark.parametrize("refusal", [SOURCE_DENIED, LOGS_DENIED], ids=["source", "log"])
def test_a_build_whose_policy_is_not_known_everywhere_yet_is_started_again(
    answers: Any, build: Any, context: Context, refusal: Refusal
) -> None:
    url, came = answers
    fake = build("IN_PROGRESS", "SUCCEEDED")
    fake.refusals = [refusal, refusal]
    build_image.handler(event(url, "Create", IMAGE), context)  # type: ignore[arg-type]
    assert came[0]["Status"] == "SUCCESS"
    assert len(fake.started) == 3
    assert context.remaining <= 900_000 - 2 * 20_000, "it waits before it starts another"


@pytest.mark.parametrize(
    "refusal",
    [
        client_error("AccessDeniedException", "User f is not authorized to perform: codebuild:StartBuild"),
        client_error("InvalidInputException", "CodeBuild is not authorized to perform: sts:AssumeRole on b"),
    ],
    ids=["of the function", "of the service role"],
)
def test_a_start_that_is_refused_is_tried_again(answers: Any, build: Any, context: Context, refusal: Any) -> None:
    url, came = answers
    fake = build("SUCCEEDED")
    fake.refusals = [refusal]
    build_image.handler(event(url, "Create", IMAGE), context)  # type: ignore[arg-type]
    assert came[0]["Status"] == "SUCCESS"
    assert len(fake.started) == 2


def test_a_lasting_refusal_fails_with_its_reason(answers: Any, build: Any, context: Context) -> None:
    url, came = answers
    fake = build("SUCCEEDED")
    fake.refusals = [SOURCE_DENIED] * 99
    build_image.handler(event(url, "Create", IMAGE), context)  # type: ignore[arg-type]
    assert came[0]["Status"] == "FAILED"
    assert "failed in DOWNLOAD_SOURCE: CLIENT_ERROR: AccessDenied" in came[0]["Reason"]
    assert 3 <= len(fake.started) <= 10


@pytest.mark.parametrize(
    "refusal",
    [
        ("BUILD", "denied: AccessDenied while pushing"),
        ("DOWNLOAD_SOURCE", "the zip is damaged"),
        client_error("ResourceNotFoundException", "Project cannot be found"),
    ],
    ids=["a command's", "another reason", "no project"],
)
def test_another_failure_is_not_tried_again(answers: Any, build: Any, context: Context, refusal: Any) -> None:
    url, came = answers
    fake = build("SUCCEEDED")
    fake.refusals = [refusal]
    build_image.handler(event(url, "Create", IMAGE), context)  # type: ignore[arg-type]
    assert came[0]["Status"] == "FAILED"
    assert len(fake.started) == 1


def test_a_throttled_look_at_the_build_is_repeated(
    answers: Any, build: Any, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, came = answers
    fake = build("IN_PROGRESS", "SUCCEEDED")
    refusals = [client_error("ThrottlingException", "Rate exceeded")] * 3
    look = fake.batch_get_builds

    def throttled(**request: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return look(**request)

    monkeypatch.setattr(fake, "batch_get_builds", throttled)
    build_image.handler(event(url, "Create", IMAGE), context)  # type: ignore[arg-type]
    assert came[0]["Status"] == "SUCCESS"
