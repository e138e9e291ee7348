"""Ten thousand hostile requests against the real server: what it answers, loses, takes and how long."""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.hostile.requests import hostile_request
from benchmarks.result import Result, emit
from benchmarks.server import Server, serving
from tests.inference.conftest import picture, write_model

REQUESTS, QUICK_REQUESTS = 10_000, 300
CLIENTS = 2
MOST_SECONDS, MOST_MEGABYTES = 2.0, 500.0
ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"


@dataclass
class Found:
    """What the requests came to."""

    statuses: Counter[int] = field(default_factory=Counter)
    slowest: tuple[float, str, int] = (0.0, "", 0)
    slowest_of: dict[str, float] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    wrong_answers: int = 0
    megabytes: float = 0.0
    worker_ends: int = 0


def attack(server: Server, numbers: range) -> Found:
    """Send the requests, a good photo after every tenth, and return what they came to."""
    found, lock, done = Found(), threading.Lock(), threading.Event()

    def send(number: int) -> None:
        hostile = hostile_request(number)
        headers = {"Content-Type": hostile.content_type, ATTRIBUTES: hostile.attributes}
        begin = time.monotonic()
        try:
            status, body = server.request("POST", "/invocations", hostile.body, headers)
        except OSError as error:
            status, body = 599, repr(error).encode()
        seconds = time.monotonic() - begin
        is_wrong = number % 10 == 0 and not _answers_right(server)
        with lock:
            found.statuses[status] += 1
            found.wrong_answers += is_wrong
            found.slowest = max(found.slowest, (seconds, hostile.kind, number))
            found.slowest_of[hostile.kind] = max(found.slowest_of.get(hostile.kind, 0.0), seconds)
            if status >= 500 or b"ends the program" in body or b"takes too much time" in body:
                found.errors.append(f"{number} {hostile.kind} {status} {body[:200].decode(errors='replace')}")

    def watch() -> None:
        while not done.wait(1.0):
            found.megabytes = max([found.megabytes, *server.memory("VmHWM").values()])

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(send, numbers))
    done.set()
    watcher.join()
    found.megabytes = max([found.megabytes, *server.memory("VmHWM").values()])
    found.worker_ends = round(server.metric("worker_ends_total"))
    return found


def _answers_right(server: Server) -> bool:
    status, body = server.request("POST", "/invocations", picture("blue"), {"Content-Type": "image/jpeg"})
    return status == 200 and json.loads(body)["label"] == "blue é"


def run(*, quick: bool) -> list[Result]:
    """Return the results."""
    count = QUICK_REQUESTS if quick else REQUESTS
    with tempfile.TemporaryDirectory() as folder, serving(write_model(Path(folder))) as server:
        found = attack(server, range(count))
    for line in found.errors:
        print(line, file=sys.stderr)
    print(dict(sorted(found.slowest_of.items(), key=lambda entry: -entry[1])[:10]), found.slowest, file=sys.stderr)
    bad = sum(number for status, number in found.statuses.items() if status >= 500)
    figures = (
        ("hostile_errors", "answers of 5xx, and wrong ones to good photos between", bad + found.wrong_answers, 0.0),
        ("hostile_worker_ends", "workers that ended", float(found.worker_ends), 0.0),
        ("hostile_slowest", f"seconds of the slowest answer ({found.slowest[1]})", found.slowest[0], MOST_SECONDS),
        ("hostile_memory", "MB that a process had at most", found.megabytes, MOST_MEGABYTES),
    )
    statuses = {str(status): float(number) for status, number in sorted(found.statuses.items())}
    return [
        Result(
            name=name,
            unit=f"{unit}, of {count:,} hostile requests; beside it the statuses",
            ours=value,
            peers=statuses,
            ratio=1.0,
            against="",
            goal=f"at most {most:g}",
            holds=value <= most,
        )
        for name, unit, value, most in figures
    ]


if __name__ == "__main__":
    emit(run(quick="--quick" in sys.argv))
