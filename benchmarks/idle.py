"""A night in which nobody asks, and the morning after: what each kind of endpoint costs, and how fast it answers.

Each kind is deployed and released on a local cloud of its own, which starts things as late as AWS does and whose clock
runs fast: the night passes in two minutes. What the endpoint's instances cost is added up by the price table, for as
long as the cloud lists them. The first answer of the morning is asked for again and again until it comes; the waits
that the local cloud plays count by its clock, and what the machine computes counts by its own.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import urllib3

import contract
from benchmarks.result import Result, emit
from benchmarks.timing import median
from cli.digits import write_digits
from local import control
from local.clock import SPEED_VARIABLE
from local.sagemaker.start_times import START_TIMES, START_TIMES_VARIABLE
from tests.system.system import ENDPOINT, INPUT, System

SPEED: Final = 240
NIGHT_HOURS: Final = 8.0
RATE: Final = 5.0
"""Requests a second in the morning."""

# the clock runs fast for the jobs, too
_LIMITS: Final = {"tuning.max_minutes": "7200", "training.max_minutes": "7200", "tuning.trials": "1"}
_INSTANCE: Final = "ml.m5.large"


@dataclass(frozen=True)
class Kind:
    """A kind of endpoint, and what it has to wait for after a night."""

    settings: Mapping[str, str]
    starts: str | None
    """What starts with the first request, of `START_TIMES`."""


KINDS: Final = {
    "realtime": Kind({"serving.mode": "realtime"}, None),
    "realtime, paused after an hour": Kind({"serving.mode": "realtime", "serving.pause_after_hours": "1"}, "endpoint"),
    "serverless": Kind({"serving.mode": "serverless"}, "serverless_first_answer"),
}


@dataclass(frozen=True)
class Morning:
    """What was measured of a kind of endpoint."""

    night_usd: float
    first_seconds: float
    p50_ms: float
    p99_ms: float
    refused: int
    """Of the requests at `RATE`."""


class Api:
    """The API of a deployed system, asked about one photo."""

    def __init__(self, system: System, photo: Path) -> None:
        self._url, self._photo = f"{system.api_url}classify", photo.read_bytes()
        self._headers = {"x-api-key": system.key(), "content-type": "image/jpeg"}
        self._http = urllib3.PoolManager(retries=False, timeout=60)

    def ask(self) -> tuple[int, float]:
        """Return the status of an answer, and the seconds until it came."""
        begin = time.monotonic()
        answer = self._http.request("POST", self._url, body=self._photo, headers=self._headers)
        return answer.status, time.monotonic() - begin


def run(*, quick: bool) -> list[Result]:
    """Return the cost of a night of each kind of endpoint, in a table with how fast it answers afterwards."""
    hours, seconds = (1.5, 5.0) if quick else (NIGHT_HOURS, 60.0)
    with tempfile.TemporaryDirectory(prefix="whippet-bench-") as scratch:
        photos = Path(scratch)
        photo = next(iter(write_digits(photos, train=60, held_out=1)))
        found = {name: _measured(kind, photos / "photos", photo, hours, seconds) for name, kind in KINDS.items()}
    ours = found["serverless"]
    table = [
        {
            "endpoint": name,
            f"{hours:g} hours without a request": f"{each.night_usd:.2f} USD",
            "first answer afterwards": f"{each.first_seconds:.1f} s" if each.first_seconds > 1 else "at once",
            f"p50 at {RATE:g} a second": f"{each.p50_ms:.0f} ms",
            "p99": f"{each.p99_ms:.0f} ms",
            "refused": str(each.refused),
        }
        for name, each in found.items()
    ]
    return [
        Result(
            name="idle_night",
            unit=f"US dollars for the endpoint, {hours:g} hours without a request, serverless, by the local cloud's "
            "clock and the price table",
            ours=ours.night_usd,
            peers={name: each.night_usd for name, each in found.items() if name != "serverless"},
            ratio=1.0,
            against="itself",
            goal="0",
            holds=ours.night_usd == 0,
            table=table,
        )
    ]


def _measured(kind: Kind, photos: Path, photo: Path, hours: float, seconds: float) -> Morning:
    state = Path(tempfile.mkdtemp(prefix="whippet-bench-cloud-"))
    settings = {**_LIMITS, **kind.settings, "release.instance_type": _INSTANCE}
    system = System(state, environment={SPEED_VARIABLE: str(SPEED), START_TIMES_VARIABLE: "aws"})
    try:
        system.whippet("up", settings=settings)
        system.whippet("upload", str(photos), settings=settings)
        system.whippet("run", "--input", json.dumps(INPUT), settings=settings)
        api = Api(system, photo)
        if api.ask()[0] != 200:
            raise RuntimeError("the released model does not answer")
        night = _night_usd(system, hours=hours)
        first = _first_seconds(api, starts=kind.starts)
        answers = _asked_steadily(api, seconds=seconds)
    finally:
        control.stop(state)
        shutil.rmtree(state, ignore_errors=True)
    good = sorted(taken for status, taken in answers if status == 200)
    return Morning(
        night_usd=night,
        first_seconds=first,
        p50_ms=1000 * median(good),
        p99_ms=1000 * good[int(0.99 * (len(good) - 1))],
        refused=len(answers) - len(good),
    )


def _night_usd(system: System, *, hours: float) -> float:
    """Let the hours pass on the cloud's clock, and return what the endpoint's instances cost meanwhile."""
    sagemaker = system.client("sagemaker")
    price = contract.hourly_price(_INSTANCE)
    if price is None:
        raise RuntimeError(f"{_INSTANCE} is not in the price table")
    begin = before = time.monotonic()
    paid_hours = 0.0
    while before - begin < hours * 3600 / SPEED:
        time.sleep(0.5)
        now = time.monotonic()
        if _instances(sagemaker):
            paid_hours += (now - before) * SPEED / 3600
        before = now
    return paid_hours * price


def _instances(sagemaker: Any) -> int:
    """Return how many instances the endpoint has, which are paid for by the hour."""
    if not sagemaker.list_endpoints(NameContains=ENDPOINT)["Endpoints"]:
        return 0
    variants = sagemaker.describe_endpoint(EndpointName=ENDPOINT).get("ProductionVariants", [])
    return sum(0 if "CurrentServerlessConfig" in each else each["CurrentInstanceCount"] for each in variants)


def _first_seconds(api: Api, *, starts: str | None) -> float:
    """Return the seconds until the first answer, asked for until it comes."""
    begin = time.monotonic()
    while api.ask()[0] != 200:
        if time.monotonic() - begin > 300:
            raise RuntimeError("the model did not wake")
        time.sleep(0.05)
    waited = time.monotonic() - begin
    played = START_TIMES[starts].seconds if starts else 0.0
    return played + max(0.0, waited - played / SPEED)


def _asked_steadily(api: Api, *, seconds: float) -> list[tuple[int, float]]:
    """Return status and seconds of requests that come one after the other at `RATE`."""
    found = []
    begin = time.monotonic()
    for number in range(int(RATE * seconds)):
        time.sleep(max(0.0, begin + number / RATE - time.monotonic()))
        found.append(api.ask())
    return found


if __name__ == "__main__":
    emit(run(quick="--quick" in sys.argv))
