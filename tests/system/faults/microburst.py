"""microburst, a proxy that injects faults in AWS's own wire format: https://pypi.org/project/microburst/."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from cli.target import ROOT
from local import control

__all__ = ["PROGRAM", "Microburst", "started"]

PROGRAM = ROOT / ".envs" / "microburst" / "bin" / "microburst"
"""In an environment of its own, since nothing here was written for it; `make conformance` makes it."""

_LOG_HOLDS = 2000
"""Faults that the proxy's log keeps (`fired_capacity` in microburst/core/pipeline.py)."""


@dataclass(frozen=True)
class Microburst:
    """A running proxy in front of a local cloud."""

    port: int

    def add(self, rules: Sequence[dict[str, Any]]) -> list[int]:
        """Add rules behind those that there are, and return their numbers."""
        return [int(rule["id"]) for rule in self._ask("PATCH", "rules", list(rules))]

    def fired(self, rule: int) -> list[dict[str, Any]]:
        """Return the requests that a rule has met, the oldest first, as far as the proxy's log holds them."""
        found: list[dict[str, Any]] = self._ask("GET", f"fired?limit={_LOG_HOLDS}&rule_id={rule}")
        return found

    def remove(self, matchers: Sequence[dict[str, Any]]) -> None:
        """Remove the rules that have these members."""
        self._ask("DELETE", "rules", list(matchers))

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = _POOL.request(method, f"http://{control.LOOPBACK}:{self.port}/_microburst/{path}", json=body)
        assert answer.status == 200, answer.data
        return answer.json()


_POOL = urllib3.PoolManager(retries=False)


@contextlib.contextmanager
def started(upstream: str, *, folder: Path) -> Iterator[Microburst]:
    """Yield a proxy before the server at `upstream`, whose log lies in the folder; it ends with the block."""
    port = _free_port()
    command = [str(PROGRAM), "--upstream", upstream, "--port", str(port), "--no-resign"]
    with (folder / "microburst.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    try:
        deadline = time.monotonic() + 60
        while not _answers(port):
            assert process.poll() is None, (folder / "microburst.log").read_text()
            assert time.monotonic() < deadline, "microburst does not answer"
            time.sleep(0.1)
        yield Microburst(port)
    finally:
        process.terminate()
        process.wait(20)


def _answers(port: int) -> bool:
    try:
        return _POOL.request("GET", f"http://{control.LOOPBACK}:{port}/_microburst/health").status == 200
    except urllib3.exceptions.HTTPError:
        return False


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((control.LOOPBACK, 0))
        return int(listener.getsockname()[1])


def rule_members(rule: dict[str, Any]) -> str:
    """Return a rule as one line, for messages."""
    return json.dumps(rule, sort_keys=True)
