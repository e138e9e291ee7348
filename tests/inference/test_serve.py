"""The real server, as a process, over HTTP."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.inference.conftest import huge_png, picture

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def start(
    model: Path, *, port: int, program: tuple[str, ...] = ("-m", "inference.serve"), **environment: str
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *program],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "SM_MODEL_DIR": str(model),
            "SAGEMAKER_BIND_TO_PORT": str(port),
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def request(
    port: int, method: str, path: str, body: bytes | None = None, content_type: str = "image/jpeg"
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, {"content-type": content_type})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def wait_for_ping(port: int, process: subprocess.Popen[str]) -> None:
    while process.poll() is None:
        try:
            if request(port, "GET", "/ping")[0] == 200:
                return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"the server ended: {process.communicate()[0]}")


@contextmanager
def serving(
    model: Path, *, program: tuple[str, ...] = ("-m", "inference.serve"), **environment: str
) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    port = free_port()
    process = start(model, port=port, program=program, **environment)
    try:
        wait_for_ping(port, process)
        yield port, process
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.fixture(scope="module")
def port(model_folder: Path) -> Iterator[int]:
    with serving(model_folder) as (port, _):
        yield port


def label(port: int, colour: str) -> str:
    status, body = request(port, "POST", "/invocations", picture(colour))
    assert status == 200, body
    name: str = json.loads(body)["label"]
    return name


def test_classifies(port: int) -> None:
    assert [label(port, colour) for colour in ("red", "lime", "blue")] == ["red", "green", "blue é"]


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", "image/jpeg", 400),
        (b"a text", "image/jpeg", 400),
        (picture()[:300], "image/jpeg", 400),
        (huge_png(), "image/png", 400),
        (b"x", "text/plain", 415),
        (bytes(25_000_001), "image/jpeg", 413),
        (b'{"inputs": 1}', "application/json", 422),
    ],
    ids=["empty", "text", "truncated", "bomb", "wrong type", "too large", "wrong JSON"],
)
def test_a_bad_request_is_a_4xx_and_the_next_good_one_works(
    port: int, body: bytes, content_type: str, status: int
) -> None:
    answered, problem = request(port, "POST", "/invocations", body, content_type)
    assert answered == status
    assert json.loads(problem)["status"] == status
    assert label(port, "red") == "red"


def test_a_client_that_leaves_in_the_middle_hurts_nobody(port: int) -> None:
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf")
    assert label(port, "lime") == "green"


def test_many_at_once_each_get_their_own_answer(port: int) -> None:
    colours = ["red", "lime", "blue"] * 15
    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(lambda colour: label(port, colour), colours)) == ["red", "green", "blue é"] * 15


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_cleanly_on_a_signal(model_folder: Path, number: signal.Signals) -> None:
    with serving(model_folder) as (port, process):
        process.send_signal(number)
        assert process.wait(timeout=30) == 0
        with pytest.raises(OSError, match="refused"):
            request(port, "GET", "/ping")


def test_the_containers_serve_command_starts_it(model_folder: Path) -> None:
    assert os.access(ROOT / "inference" / "serve", os.X_OK)
    with serving(model_folder, program=(str(ROOT / "inference" / "serve"),)) as (port, _):
        assert label(port, "red") == "red"


def test_without_a_model_it_ends_at_once_and_says_why(tmp_path: Path) -> None:
    process = start(tmp_path, port=free_port())
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "there is no model.json" in output
    assert "Traceback" not in output


def test_the_containers_environment_decides_whether_unknown_photos_are_named(model_folder: Path, port: int) -> None:
    odd = picture("#fff0f0")
    assert json.loads(request(port, "POST", "/invocations", odd)[1])["label"] == "red"
    with serving(model_folder, WHIPPET_NAME_UNKNOWN="false") as (other, _):
        answer = json.loads(request(other, "POST", "/invocations", odd)[1])
        assert (answer["label"], answer["known"]) == (None, False)
        assert label(other, "red") == "red"


def test_a_setting_that_it_cannot_read_ends_it_at_once(model_folder: Path) -> None:
    process = start(model_folder, port=free_port(), WHIPPET_NAME_UNKNOWN="no")
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "WHIPPET_NAME_UNKNOWN is 'no'; set it to true or false" in output
