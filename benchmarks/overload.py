"""What the server does when ten times what it can answer comes, when workers are killed, and what threads bring.

Model and photos are those of benchmarks/serving.py: ResNet50 at 224 pixels, int8, and clothing10's test photos. How
much room refusals leave to answers depends on what an answer costs.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

from benchmarks.head import DATA, photo_files
from benchmarks.http_load import exchange
from benchmarks.result import Result, emit
from benchmarks.server import Server, serving
from benchmarks.serving import OURS, PHOTOS, write_models
from benchmarks.timing import median

CONNECTIONS, TIMES = 64, 10
ROUNDS = 3
SECONDS, QUICK_SECONDS = 20.0, 3.0


@dataclass
class Load:
    """Answers to a load: the seconds of each, by status; 0 where the connection broke."""

    seconds: dict[int, list[float]] = field(default_factory=dict)
    lasted: float = 0.0

    @property
    def goodput(self) -> float:
        """Photos answered a second."""
        return len(self.seconds.get(200, [])) / self.lasted

    def failures(self) -> int:
        """Requests that ended otherwise than with an answer or a refusal for want of room."""
        return sum(len(times) for status, times in self.seconds.items() if status not in (200, 503))


async def load(server: Server, *, connections: int, seconds: float, rate: float | None = None) -> Load:
    """Send photos over many connections, each as soon as it has its answer, or at a rate of all of them together."""
    requests = cycle([_request(photo) for photo in photos()])
    found, end = Load(), time.monotonic() + seconds

    async def ask(number: int) -> None:
        pause = connections / rate if rate else 0.0
        next_time = time.monotonic() + pause * number / connections
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while time.monotonic() < end:
            await asyncio.sleep(max(0.0, next_time - time.monotonic()))
            next_time = max(next_time + pause, time.monotonic() - pause)
            begin = time.monotonic()
            try:
                streams = streams or await asyncio.open_connection("127.0.0.1", server.port)
                status = await exchange(*streams, next(requests))
            except OSError:
                status, streams = 0, None
            found.seconds.setdefault(status, []).append(time.monotonic() - begin)
        if streams is not None:
            streams[1].close()

    begin = time.monotonic()
    await asyncio.gather(*(ask(number) for number in range(connections)))
    found.lasted = time.monotonic() - begin
    return found


def photos() -> list[bytes]:
    """Return the photos that are sent."""
    return [file.read_bytes() for file in photo_files(PHOTOS, "test")[:40]]


def _request(body: bytes) -> bytes:
    head = f"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _seconds_of_one(server: Server) -> float:
    begin = time.monotonic()
    status, _ = server.request("POST", "/invocations", photos()[0], {"Content-Type": "image/jpeg"})
    if status != 200:
        raise RuntimeError(f"an honest request got {status}")
    return time.monotonic() - begin


def overload(server: Server, *, seconds: float) -> list[Result]:
    """Compare the answers under ten times the load with the most that there can be."""
    # in turns, since a shared machine is not equally quick all the time
    usual = median(_seconds_of_one(server) for _ in range(5))
    peaks, crowds, after = [], [], []
    for _ in range(ROUNDS):
        peaks.append(asyncio.run(load(server, connections=4, seconds=seconds)))
        rate = TIMES * peaks[-1].goodput
        crowds.append(asyncio.run(load(server, connections=CONNECTIONS, seconds=seconds, rate=rate)))
        after.append(_seconds_of_one(server))

    # of all rounds together, but the share of the peak
    shares = [crowd.goodput / peak.goodput for crowd, peak in zip(crowds, peaks, strict=True)]
    share = median(shares)
    refused = sorted(time for crowd in crowds for time in crowd.seconds.get(503, [])) or [0.0]
    late = refused[int(0.99 * (len(refused) - 1))]
    counts = Counter[str]()
    for crowd in crowds:
        counts.update({str(status): len(times) for status, times in crowd.seconds.items()})
    return [
        Result(
            name="overload_goodput",
            unit=f"photos a second, {CONNECTIONS} connections, {TIMES} times the peak asked, {ROUNDS} rounds (share of "
            f"the peak {min(shares):.2f} to {max(shares):.2f}); client and server share the cores",
            ours=median(crowd.goodput for crowd in crowds),
            peers={"peak": median(peak.goodput for peak in peaks), **counts},
            ratio=share,
            against="peak",
            goal="at least 0.9",
            holds=share >= 0.9 and not any(crowd.failures() for crowd in crowds),
        ),
        _bounded(
            "overload_refusal", "seconds until a 503, of the slowest hundredth", late, 0.1, {"median": median(refused)}
        ),
        _bounded(
            "overload_after", "seconds of the first request afterwards", median(after), 3 * usual, {"usual": usual}
        ),
    ]


def killed(server: Server, *, seconds: float) -> Result:
    """Kill workers under load, and count the requests that failed."""
    kills = 3

    async def both() -> Load:
        async def kill() -> None:
            for _ in range(kills):
                await asyncio.sleep(seconds / (kills + 1))
                os.kill(server.workers()[0], signal.SIGKILL)

        found, _ = await asyncio.gather(load(server, connections=8, seconds=seconds), kill())
        return found

    found = asyncio.run(both())
    failed = len(found.seconds.get(503, [])) + found.failures()
    counts = {str(status): float(len(times)) for status, times in found.seconds.items()}
    unit = f"requests that failed when {kills} workers were killed under load, of which each had one"
    return _bounded("killed_workers", unit, failed, kills, counts)


def threads(model: Path, *, seconds: float) -> Result:
    """Compare one worker of all cores' threads with one worker for each core."""
    cores = len(os.sched_getaffinity(0))
    measured: dict[str, list[float]] = {"1": [], str(cores): []}
    for _ in range(2):
        for workers, rates in measured.items():
            with serving(model, python=str(OURS), SAGEMAKER_MODEL_SERVER_WORKERS=workers) as server:
                _seconds_of_one(server)
                rates.append(asyncio.run(load(server, connections=4, seconds=seconds)).goodput)
    ours, peer = median(measured[str(cores)]), median(measured["1"])
    return Result(
        name="workers",
        unit=f"photos a second, 4 connections, {cores} workers of one thread",
        ours=ours,
        peers={f"one worker of {cores} threads": peer},
        ratio=ours / peer,
        against=f"one worker of {cores} threads",
        goal="at least 1",
        holds=ours >= peer,
    )


def _bounded(name: str, unit: str, value: float, most: float, beside: dict[str, float]) -> Result:
    return Result(name, unit, value, beside, 1.0, "", f"at most {most:.3g}", value <= most)


def run(*, quick: bool) -> list[Result]:
    """Return the results; none without clothing10's photos."""
    if not (DATA / PHOTOS).is_dir():
        return []
    seconds = QUICK_SECONDS if quick else SECONDS
    with tempfile.TemporaryDirectory() as folder:
        with redirect_stdout(sys.stderr):
            model = write_models(Path(folder))["int8"]
        with serving(model, python=str(OURS)) as server:
            results = [*overload(server, seconds=seconds), killed(server, seconds=seconds)]
        return [*results, threads(model, seconds=seconds)]


if __name__ == "__main__":
    emit(run(quick="--quick" in sys.argv))
