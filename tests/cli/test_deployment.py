"""Deploying: two `whippet up` at once."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from cli import deployment
from tests.cli.stack import FakeStack


def test_a_second_deployment_waits_for_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The CDK itself refuses: "Another CLI is currently synthing to …"."""
    entered, may_end = threading.Event(), threading.Event()
    steps: list[str] = []

    def cdk(target: Any, verb: str, *_: str, **__: Any) -> None:
        steps.append(f"{target.name} {verb}")
        if not entered.is_set():
            entered.set()
            assert may_end.wait(10)

    monkeypatch.setattr(deployment, "STATE", tmp_path / "state")
    monkeypatch.setattr(deployment, "_cdk", cdk)
    threads = []
    for name in ("first", "second"):
        stack: Any = FakeStack()
        stack.name, stack.cloud, stack.overrides = name, None, ()
        threads.append(threading.Thread(target=deployment.deploy, args=(stack,)))
        threads[-1].start()
        assert entered.wait(10)

    threads[1].join(0.3)
    assert steps == ["first synth"]
    assert "waiting for its end" in capsys.readouterr().err
    may_end.set()
    for thread in threads:
        thread.join(10)
    assert steps == ["first synth", "first deploy", "second synth", "second deploy"]
