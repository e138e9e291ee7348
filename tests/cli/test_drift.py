"""`whippet drift`: what the newest check found, its page, and a check out of turn."""

from __future__ import annotations

import io
import json
import webbrowser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import contract
from cli import CliError, main
from cli.commands import serving, shared
from infra.outputs import StackOutput
from tests.cli.stack import FakeStack

CHECK: dict[str, Any] = {
    "verdict": "drifted",
    "checked": "2026-11-29T12:30:00Z",
    "run": "run-1",
    "why": "What is sent is unlike the test photos: class mix (50%).",
    "answers": 1300,
    "test_photos": 200,
    "measures": [
        {"measure": "class_mix", "difference": 0.5, "p_value": 1e-30, "drifted": True},
        {"measure": "confidence", "difference": 0.02, "p_value": 0.97, "drifted": False},
    ],
}
PAGES = {contract.DRIFT_LATEST: json.dumps(CHECK).encode(), contract.DRIFT_PAGE: b"<h1>drift</h1>"}


class FakeLambda:
    """Makes a check, or fails."""

    def __init__(self, stack: FakeStack, error: str | None = None) -> None:
        self.stack = stack
        self.error = error

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803
        assert FunctionName == "drift-function"
        assert json.loads(Payload)["time"]
        if self.error:
            body = json.dumps({"errorMessage": self.error}).encode()
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(body)}
        for key, content in PAGES.items():
            self.stack.client("s3").put_object(Bucket="data", Key=key, Body=content)
        return {"Payload": io.BytesIO(b"{}")}


def use(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, objects: dict[str, bytes], error: str | None = None
) -> FakeStack:
    stack = FakeStack(objects)
    stack.clients["lambda"] = FakeLambda(stack, error)
    stack.outputs = {StackOutput.DRIFT_FUNCTION: "drift-function"}
    monkeypatch.setattr(serving, "STATE", tmp_path)
    monkeypatch.setattr(webbrowser, "open", lambda _address: True)
    monkeypatch.setattr(shared, "find_target", lambda **_: stack)
    return stack


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(main.typer_app, ["drift", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_newest_check_and_its_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use(monkeypatch, tmp_path, PAGES)
    output = invoke("--no-open")
    assert "2026-11-29 12:30 UTC, run run-1: What is sent is unlike the test photos: class mix (50%)." in output
    assert "Class mix: 50.0% differ, 1e-30 by chance: drifted" in output
    assert "Confidence: 2.0% differ, 0.97 by chance: steady" in output
    assert "of 1,300 captured answers beside 200 test photos" in output
    assert (tmp_path / "reports" / "drift.html").read_bytes() == b"<h1>drift</h1>"


def test_as_json(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use(monkeypatch, tmp_path, PAGES)
    assert json.loads(invoke("--json")) == CHECK


def test_a_check_out_of_turn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use(monkeypatch, tmp_path, {})
    assert "run run-1" in invoke("--check", "--no-open")


def test_a_check_that_fails_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use(monkeypatch, tmp_path, PAGES, error="EventBridge did not take the event")
    with pytest.raises(CliError, match="the check failed: EventBridge did not take the event"):
        invoke("--check")


def test_without_a_check_it_says_how_to_make_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stack = use(monkeypatch, tmp_path, {})
    with pytest.raises(CliError, match="`whippet drift --check` makes one"):
        invoke()
    stack.outputs = {}
    with pytest.raises(CliError, match="checks no answers for drift"):
        invoke("--check")
