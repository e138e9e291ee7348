"""Deploying: two `whippet up` at once."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from cli import deployment
from local import control
from tests.cli.stack import FakeStack
from tests.fakes.s3 import client_error


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


@pytest.mark.parametrize("beside", [True, False], ids=["in a file of its own", "in the manifest"])
def test_what_the_app_warns_of_is_said_on_the_local_cloud_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], beside: bool
) -> None:
    """The CDK's output is kept for failures there."""
    warned = {"type": "aws:cdk:warning", "data": "api.auth=none answers everybody [ack: whippet:open-api]"}
    metadata = {"/Whippet-dev": [{"type": "aws:cdk:creationStack", "data": ["app.py"]}, warned]}

    def cdk(_: Any, verb: str, *arguments: str, **__: Any) -> None:
        if verb == "synth":
            assembly = Path(arguments[arguments.index("--output") + 1])
            assembly.mkdir()
            (assembly / "more.json").write_text(json.dumps(metadata))
            artifact = {"additionalMetadataFile": "more.json"} if beside else {"metadata": metadata}
            (assembly / "manifest.json").write_text(json.dumps({"artifacts": {"Whippet-dev": artifact}}))

    monkeypatch.setattr(deployment, "STATE", tmp_path / "state")
    monkeypatch.setattr(deployment, "_cdk", cdk)
    monkeypatch.setattr(deployment, "_is_bootstrapped", lambda *_: True)
    monkeypatch.setattr(control, "refuse_real_aws", lambda _: None)
    stack: Any = FakeStack()
    stack.overrides, stack.environment = (), {}
    deployment.deploy(stack)
    assert capsys.readouterr().err == "warning: api.auth=none answers everybody\n"


@pytest.mark.parametrize(
    ("overrides", "arguments"),
    [
        ((), ()),
        (
            ("@aws-cdk/core:bootstrapQualifier=team7",),
            ("--qualifier", "team7", "--toolkit-stack-name", "CDKToolkit-team7"),
        ),
    ],
    ids=["the CDK's own", "team7"],
)
def test_the_local_cloud_is_bootstrapped_with_the_qualifier_that_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overrides: tuple[str, ...], arguments: tuple[str, ...]
) -> None:
    calls: dict[str, tuple[str, ...]] = {}
    looked_for = []

    class NoStack:
        def describe_stacks(self, *, StackName: str) -> None:  # noqa: N803
            looked_for.append(StackName)
            raise client_error("ValidationError", f"Stack with id {StackName} does not exist")

    monkeypatch.setattr(deployment, "STATE", tmp_path / "state")
    monkeypatch.setattr(deployment, "_cdk", lambda _, verb, *given, **__: calls.update({verb: given}))
    monkeypatch.setattr(deployment, "_warnings", lambda *_: [])
    monkeypatch.setattr(control, "refuse_real_aws", lambda _: None)
    stack: Any = FakeStack(cloudformation=NoStack())
    stack.overrides, stack.environment = overrides, {}
    deployment.deploy(stack)
    assert calls["bootstrap"][1:] == arguments
    assert looked_for == ["CDKToolkit-team7" if overrides else "CDKToolkit"]
    assert set(overrides) <= set(calls["synth"])
