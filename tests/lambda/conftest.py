"""What a function meets in AWS: its environment variables, its time, and CloudFormation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.cloudformation import answering
from tests.fakes.lambda_context import Context
from tests.fakes.report_files import RUN
from tests.fakes.report_page import LIBRARY
from tests.fakes.report_run import FakeSageMaker, FakeStepFunctions, event
from tests.fakes.s3 import FakeS3


@pytest.fixture
def context() -> Context:
    return Context()


@pytest.fixture
def pauses(context: Context, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that a function makes, in seconds; they are not waited for, but are taken from its time."""
    made: list[float] = []

    def sleep(seconds: float) -> None:
        made.append(seconds)
        context.remaining -= round(seconds * 1000)

    monkeypatch.setattr("time.sleep", sleep)
    return made


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "BUCKET": "data",
        "NAME_PREFIX": "whippet-dev",
        "ENDPOINT_NAME": "whippet-dev",
        "SERVING_MODE": "realtime",
        "API_AUTH": "api_key",
        "CORS_ORIGINS": "",
        "UPLOADS_BUCKET": "data",
        "FEEDBACK_DAYS": "0",
        "MIN_ACCURACY": "0.7",
        "ACCURACY_BY": "photo",
        "MIN_CLASS_RECALL": "0.2",
        "MAX_NEAR_COPIES": "0.1",
        "TOLERANCE": "0.01",
        "SIGNIFICANCE": "0.05",
        "APPROVAL": "automatic",
        "CODE_VERSION": "c0de",
        "BLOCKING_RULES": '["Overfit"]',
        "RULES": '["Overfit", "AllZero", "CPUBottleneck"]',
        "TOPIC_ARN": "arn:aws:sns:eu-west-1:123456789012:topic",
        "READABLE_PREFIX": "",
        "SLEEP_RECORD": "",
        "PAUSE_AFTER_HOURS": "",
        "CHECKS_DRIFT": "false",
        "COST_PLAN": "",
        "STATE_MACHINE_ARN": "arn:machine",
        "AWS_REGION": "us-east-1",
        "RELEASES_KEPT": "1",
        "ENVIRONMENT": "dev",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def answers() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A place that takes CloudFormation's answers: its URL, and what came."""
    with answering() as place:
        yield place


@pytest.fixture
def write(monkeypatch: pytest.MonkeyPatch, context: Context, tmp_path: Path) -> Any:
    """Write the report of a run that left these files, and return the page."""
    from report import handler as report  # after the environment variables, which it reads

    library = tmp_path / "echarts.min.js"
    library.write_text(LIBRARY)
    monkeypatch.setattr(report, "CHARTING_LIBRARY", library)

    def written(
        objects: dict[str, bytes],
        *,
        sagemaker: FakeSageMaker | None = None,
        stepfunctions: Any = None,
        page: str = "report.html",
        **changes: Any,
    ) -> str:
        s3 = FakeS3(objects)
        monkeypatch.setattr(report, "s3", s3)
        monkeypatch.setattr(report, "sagemaker", sagemaker or FakeSageMaker())
        monkeypatch.setattr(report, "stepfunctions", stepfunctions or FakeStepFunctions())
        answer = report.handler(event(**changes), context)  # type: ignore[arg-type]
        assert answer["uri"] == f"s3://data/runs/{RUN}/report.html"
        return s3.objects[f"runs/{RUN}/{page}"].decode()

    return written
