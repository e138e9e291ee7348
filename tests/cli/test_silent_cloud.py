"""A local cloud that died, or was stopped, while a command talks to it."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli import api, deployment, main, target
from cli.commands import runs, shared, stack
from cli.target import Target
from infra.outputs import StackOutput
from infra.settings import Settings
from local.control import Cloud
from local.state_folder import write_privately

OUTPUTS = {
    StackOutput.DATA_BUCKET: "data",
    StackOutput.DATASET_URI: "s3://data/dataset/",
    StackOutput.STATE_MACHINE_ARN: "arn:aws:states:us-east-1:000000000000:stateMachine:m",
    StackOutput.ENDPOINT_NAME: "e",
    StackOutput.API_URL: "https://abc.execute-api.us-east-1.amazonaws.com/v1/",
    StackOutput.API_KEY_ID: "k",
}


@pytest.fixture(params=["refuses", "hangs up"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """A port on which nothing listens, or on which every connection is closed at once."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if request.param == "hangs up":
            listener.listen()
            threading.Thread(target=_hang_up, args=(listener,), daemon=True).start()
        yield listener.getsockname()[1]
        if request.param == "hangs up":
            listener.shutdown(socket.SHUT_RDWR)


def _hang_up(listener: socket.socket) -> None:
    while True:
        try:
            listener.accept()[0].close()
        except OSError:
            return


@pytest.fixture
def gone(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    """A stack on a cloud that was started on this port and died; nobody waits between attempts."""
    record = {"port": port, "pid": 1, "access_key": "AKIAOFTHISSTART", "secret_key": "secret"}
    write_privately(tmp_path / "cloud.json", record)
    cloud = Cloud(port=port, pid=1, state=tmp_path, access_key="AKIAOFTHISSTART", secret_key="secret")
    found = Target(settings=Settings(), overrides=(), environment=cloud.environment(), cloud=cloud)
    found.__dict__["outputs"] = OUTPUTS
    monkeypatch.setattr(shared, "find_target", lambda **_: found)
    for module in (api, deployment, main, runs, stack, target):
        monkeypatch.setattr(module, "STATE", tmp_path)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    return found


@pytest.fixture
def state(gone: Target, tmp_path: Path) -> Path:
    """The state folder of that cloud."""
    assert gone.cloud is not None
    return tmp_path


def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *command: str) -> str:
    """What the command prints as its error."""
    monkeypatch.setattr("sys.argv", ["whippet", *command])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 1
    return capsys.readouterr().err


@pytest.mark.parametrize(
    "verb", ["status", "run", "report", "logs", "approve run-1", "key", "upload FOLDER", "classify a.jpg", "up", "down"]
)
@pytest.mark.parametrize("stopped", [False, True], ids=["died", "stopped"])
def test_every_command_says_so_in_one_sentence_with_the_log_and_the_remedy(
    gone: Target,
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    verb: str,
    stopped: bool,
) -> None:
    if stopped:
        (state / "cloud.json").unlink()
    (state / "FOLDER" / "cat").mkdir(parents=True)
    for photo in (state / "FOLDER" / "cat" / "a.jpg", state / "a.jpg"):
        photo.write_bytes(b"photo")
    monkeypatch.chdir(state)
    _fail_cdk(monkeypatch)
    if verb.startswith("classify"):
        gone.__dict__["api_key"] = "the key"

    error = told(monkeypatch, capsys, *verb.split())
    assert error.startswith("error: the local cloud does not answer any more: ")
    assert str(state / "cloud.log") in error
    assert "`whippet up`" in error
    assert len(error.splitlines()) == 1


def _fail_cdk(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(command: Any, **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, stdout="connect ECONNREFUSED")

    monkeypatch.setattr(subprocess, "run", fail)


def test_a_command_after_that_names_the_log_too(
    state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shared, "find_target", target.find_target)
    assert str(state / "cloud.log") in told(monkeypatch, capsys, "status")


def test_an_address_in_aws_that_does_not_answer_is_not_taken_for_the_local_cloud(
    state: Path, port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = Target(settings=Settings(), overrides=(), environment={"AWS_REGION": "eu-west-1"}, cloud=None)
    there.__dict__["outputs"] = OUTPUTS
    monkeypatch.setattr(Target, "endpoint_url", f"http://localhost:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setattr(shared, "find_target", lambda **_: there)
    assert told(monkeypatch, capsys, "key").startswith("AWS did not answer: ")
