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
from collections.abc import Callable, Iterator
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


def children(pid: int) -> dict[int, str]:
    """The processes below one, with their command lines."""
    found: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if parent == pid:
            found |= {int(folder.name): command} | children(int(folder.name))
    return found


def workers(process: subprocess.Popen[str], *, number: int = 1) -> list[int]:
    """The workers' numbers, once there are so many that are ready."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = [pid for pid, command in children(process.pid).items() if "inference.worker " in command]
        if len(found) >= number:
            return found
        time.sleep(0.05)
    pytest.fail("the workers do not start")


def metric(port: int, name: str) -> float:
    text = request(port, "GET", "/metrics")[1].decode()
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(f"whippet_{name}"))


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the workers in /proc")


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGPROF])
def test_a_worker_that_ends_costs_its_own_request_only(model_folder: Path, number: signal.Signals) -> None:
    with serving(model_folder, SAGEMAKER_MODEL_SERVER_WORKERS="1") as (port, process), ThreadPoolExecutor(4) as pool:
        (worker,) = workers(process)
        os.kill(worker, signal.SIGSTOP)
        first = pool.submit(request, port, "POST", "/invocations", picture("red"))
        wait_until(lambda: metric(port, "workers_busy") == 1)
        others = [pool.submit(label, port, "lime") for _ in range(3)]
        wait_until(lambda: metric(port, "queue_length") == 3)
        os.kill(worker, number)
        os.kill(worker, signal.SIGCONT)
        status, problem = first.result()
        assert status == (503 if number == signal.SIGKILL else 400), problem
        assert [other.result() for other in others] == ["green"] * 3
        assert metric(port, "worker_ends_total") == 1


@needs_proc
def test_a_worker_that_ends_while_idle_costs_nothing(model_folder: Path) -> None:
    with serving(model_folder, SAGEMAKER_MODEL_SERVER_WORKERS="1") as (port, process):
        (worker,) = workers(process)
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: worker not in workers(process))
        assert label(port, "red") == "red"


@needs_proc
def test_more_than_can_wait_are_told_to_come_again_and_ping_is_answered(model_folder: Path) -> None:
    with serving(model_folder, SAGEMAKER_MODEL_SERVER_WORKERS="1") as (port, process), ThreadPoolExecutor(40) as pool:
        (worker,) = workers(process)
        os.kill(worker, signal.SIGSTOP)
        answers = [pool.submit(request, port, "POST", "/invocations", picture("blue")) for _ in range(30)]
        wait_until(lambda: sum(answer.done() for answer in answers) == 13)
        assert {answer.result()[0] for answer in answers if answer.done()} == {503}
        assert request(port, "GET", "/ping")[0] == 200
        os.kill(worker, signal.SIGCONT)
        assert sorted(answer.result()[0] for answer in answers) == [200] * 17 + [503] * 13
        assert label(port, "red") == "red"


@needs_proc
def test_requests_whose_clients_have_gone_are_not_begun(model_folder: Path) -> None:
    with serving(model_folder, SAGEMAKER_MODEL_SERVER_WORKERS="1") as (port, process), ThreadPoolExecutor(1) as pool:
        (worker,) = workers(process)
        os.kill(worker, signal.SIGSTOP)
        first = pool.submit(label, port, "red")
        wait_until(lambda: metric(port, "workers_busy") == 1)
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
        for client in clients:
            head = (
                f"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture())}"
            )
            client.sendall(head.encode() + b"\r\n\r\n" + picture())
        wait_until(lambda: metric(port, "queue_length") == 5)
        for client in clients:
            client.close()
        wait_until(lambda: metric(port, "queue_length") == 0)
        os.kill(worker, signal.SIGCONT)
        assert first.result() == "red"
        assert metric(port, "abandoned_total") == 5


@needs_proc
def test_its_workers_end_with_it_however_it_ends(model_folder: Path) -> None:
    with serving(model_folder, SAGEMAKER_MODEL_SERVER_WORKERS="2") as (port, process):
        assert label(port, "red") == "red"
        every = {process.pid: "", **children(process.pid)}
        process.kill()
        wait_until(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in every if pid != process.pid))
