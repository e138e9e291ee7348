"""The dashboard's widget: which model serves, and how it came there."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from model_widget import handler as model_widget

import contract
from contract import ReleaseChange
from tests.fakes.lambda_context import Context
from tests.fakes.s3 import FakeS3, client_error


class FakeSageMaker:
    def __init__(self, config: str | None) -> None:
        self.config = config

    def describe_endpoint(self, *, EndpointName: str) -> dict[str, str]:  # noqa: N803
        if self.config is None:
            raise client_error("ValidationException", f'Could not find endpoint "{EndpointName}".')
        return {"EndpointStatus": "InService", "EndpointConfigName": self.config}


def shown(
    monkeypatch: pytest.MonkeyPatch,
    context: Context,
    config: str | None,
    *changes: tuple[contract.ChangeKind, str, str],
) -> str:
    objects: dict[str, bytes] = {}
    for hour, (kind, run, why) in enumerate(changes):
        key = ReleaseChange(datetime(2026, 11, 28, hour, tzinfo=UTC), kind, run, "").key
        numbers = {"test_accuracy": 0.91234, "test_images": 1_200} if kind == "released" else {}
        objects[key] = json.dumps({"why": why, **numbers}).encode()
    monkeypatch.setattr(model_widget, "s3", FakeS3(objects))
    monkeypatch.setattr(model_widget, "sagemaker", FakeSageMaker(config))
    return answer({}, context)


def answer(event: dict[str, Any], context: Context) -> str:
    page: str = model_widget.handler(event, context)  # type: ignore[arg-type]
    return page


def test_the_model_that_serves_and_the_last_changes(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    changes: list[tuple[contract.ChangeKind, str, str]] = [("released", f"run-{n}", "better") for n in range(8)]
    page = shown(monkeypatch, context, "whippet-dev-run-6", *changes, ("rolled-back", "run-6", "shirts"))
    assert page.startswith("<p><b>Run run-6 serves.</b></p>")
    assert page.count("<tr>") == 1 + model_widget.CHANGES
    assert "<td>2026-11-28 08:00</td><td>run-6</td><td>rolled back by a person</td><td></td><td>shirts</td>" in page
    assert "<td>run-7</td><td>released</td><td>0.9123 on 1,200 photos</td><td>better</td>" in page


def test_before_the_first_release(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    assert shown(monkeypatch, context, None) == "<p><b>No model serves.</b></p>"


def test_what_a_person_wrote_is_no_html(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    page = shown(monkeypatch, context, "whippet-dev-a-1", ("rolled-back", "a-1", "<script>alert(1)</script>"))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_cloudwatch_can_ask_what_the_widget_is(context: Context) -> None:
    assert answer({"describe": True}, context).startswith("# The model in service")
