"""How many interpreters run functions, and what becomes of invocations that come at once."""

from __future__ import annotations

import io
import json
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import urllib3

from local.cloud import lambda_workers
from tests.local.cloud.conftest import Account, allow

WORKERS = 3
PROGRAM = """
import json, time, boto3

def handler(event, context):
    time.sleep(event.get("sleep", 0))
    if "call" in event:
        answer = boto3.client("lambda").invoke(FunctionName=event["call"], Payload=b"{}")
        return json.load(answer["Payload"])
    return "done"
"""


@pytest.fixture
def crowded(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Account:
    """A fresh local cloud with few interpreters."""
    monkeypatch.setenv(lambda_workers.VARIABLE, str(WORKERS))
    account: Account = request.getfixturevalue("own_account")
    return account


@pytest.fixture
def interpreters(crowded: Account) -> Iterator[Callable[[], int]]:
    """Tells how many processes the cloud had at most so far."""
    most, over = [0], threading.Event()

    def count() -> None:
        while not over.wait(0.01):
            most[0] = max(most[0], len(_children(crowded.cloud.pid)))

    thread = threading.Thread(target=count)
    thread.start()
    yield lambda: most[0]
    over.set()
    thread.join()


def _children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[1] == str(pid) and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def function(account: Account, name: str, *, timeout: int) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("index.py", PROGRAM)
    role = account.role(name, "lambda.amazonaws.com", allow("lambda:InvokeFunction", "*"))
    account.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.13",
        Handler="index.handler",
        Role=role,
        Timeout=timeout,
        Code={"ZipFile": archive.getvalue()},
    )


def invoke(account: Account, name: str, **event: Any) -> Any:
    answer = account.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event).encode())
    return json.load(answer["Payload"])


def test_a_burst_to_a_fresh_cloud_is_answered_by_few_interpreters(
    crowded: Account, interpreters: Callable[[], int]
) -> None:
    outputs = crowded.deploy("door", Path(__file__).with_name("front_door.yaml").read_text())
    url = crowded.cloud.api_url(outputs["Api"], "v1") + "open"
    pool = urllib3.PoolManager(maxsize=40)
    with ThreadPoolExecutor(40) as threads:
        answers = list(threads.map(lambda _: pool.request("POST", url, body=b"photo", timeout=60), range(40)))
    assert [answer.status for answer in answers] == [200] * 40
    assert 1 <= interpreters() <= WORKERS


def test_idle_interpreters_of_other_functions_make_room(crowded: Account, interpreters: Callable[[], int]) -> None:
    for number in range(WORKERS + 2):
        function(crowded, f"f{number}", timeout=30)
        assert invoke(crowded, f"f{number}") == "done"
    assert invoke(crowded, "f0") == "done"
    assert interpreters() == WORKERS


def test_an_invocation_is_throttled_when_its_turn_does_not_come_within_its_time_out(crowded: Account) -> None:
    function(crowded, "long", timeout=30)
    function(crowded, "short", timeout=1)
    with ThreadPoolExecutor(WORKERS) as threads:
        running = [threads.submit(invoke, crowded, "long", sleep=5) for _ in range(WORKERS)]
        time.sleep(2)
        exceptions = crowded.client("lambda").exceptions
        with pytest.raises(exceptions.TooManyRequestsException) as refused:
            invoke(crowded, "short")
        assert refused.value.response["Reason"] == "ConcurrentInvocationLimitExceeded"
        assert [future.result() for future in running] == ["done"] * WORKERS
    assert invoke(crowded, "short") == "done"


def test_functions_that_invoke_a_function_do_not_wait_for_each_other(crowded: Account) -> None:
    function(crowded, "outer", timeout=30)
    function(crowded, "inner", timeout=5)
    with ThreadPoolExecutor(WORKERS) as threads:
        calls = [threads.submit(invoke, crowded, "outer", sleep=1, call="inner") for _ in range(WORKERS)]
        assert [call.result() for call in calls] == ["done"] * WORKERS


def test_the_number_is_the_settings_or_by_cores_and_memory() -> None:
    assert lambda_workers.limit({lambda_workers.VARIABLE: "5"}) == 5
    assert 4 <= lambda_workers.limit({}) <= 1024
    for wrong in ("0", "-1", "many"):
        with pytest.raises(ValueError, match="is not a positive number; give for example"):
            lambda_workers.limit({lambda_workers.VARIABLE: wrong})
