"""Half an hour of honest and hostile requests: memory and descriptors must stay flat, every good photo be right, and no
worker end.

    python -m benchmarks.soak [MINUTES]

It ends with status 1 if they do not. A fifth of the time is for caches and decoders to reach their size.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.hostile.requests import hostile_request
from benchmarks.server import Server, serving
from tests.inference.conftest import picture, write_model

MINUTES = 30.0
CLIENTS, DISTINCT = 4, 500
"""Clients at once, and how many hostile requests come again and again."""

COLOURS = {"red": "red", "lime": "green", "blue": "blue é"}
MOST_GROWTH, MOST_MORE_MEGABYTES = 1.1, 20.0


def soak(server: Server, *, minutes: float) -> list[str]:
    """Return what was wrong, in words; nothing where all was well."""
    end = time.monotonic() + 60 * minutes
    wrong: list[str] = []
    samples: list[tuple[float, int]] = []

    def ask(client: int) -> None:
        number = client
        while time.monotonic() < end:
            number += CLIENTS
            hostile = hostile_request(number % DISTINCT)
            status, _ = server.request("POST", "/invocations", hostile.body, {"Content-Type": hostile.content_type})
            if status >= 500:
                wrong.append(f"{hostile.kind} {number % DISTINCT}: {status}")
            for colour, label in COLOURS.items():
                status, body = server.request(
                    "POST", "/invocations", picture(colour), {"Content-Type": "application/octet-stream"}
                )
                if status != 200 or json.loads(body)["label"] != label:
                    wrong.append(f"{colour}: {status} {body[:200]!r}")

    threads = [threading.Thread(target=ask, args=(client,)) for client in range(CLIENTS)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(min(10.0, minutes))
        samples.append((sum(server.memory().values()), server.descriptors()))
    for thread in threads:
        thread.join()
    return wrong + _growth(samples)


def _growth(samples: list[tuple[float, int]]) -> list[str]:
    """Compare the last fifth of the time with the second one: the least memory, between pictures, and most files."""
    part = max(1, len(samples) // 5)
    early, late = samples[part : 2 * part] or samples, samples[-part:]
    memory = [min(megabytes for megabytes, _ in some) for some in (early, late)]
    files = [max(count for _, count in some) for some in (early, late)]
    print(f"memory {memory[0]:.0f} MB, then {memory[1]:.0f} MB; descriptors {files[0]}, then {files[1]}")
    found = []
    if memory[1] > MOST_GROWTH * memory[0] + MOST_MORE_MEGABYTES:
        found.append(f"memory grew from {memory[0]:.0f} to {memory[1]:.0f} MB")
    if files[1] > files[0] + CLIENTS:
        found.append(f"descriptors grew from {files[0]} to {files[1]}")
    return found


def main() -> int:
    """Run it, print what was wrong, and return the exit status."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else MINUTES
    with tempfile.TemporaryDirectory() as folder, serving(write_model(Path(folder))) as server:
        wrong = soak(server, minutes=minutes)
        print(f"{server.metric('requests_total'):.0f} requests, {server.metric('worker_ends_total'):.0f} workers ended")
        wrong += server.said("has ended")
    for line in wrong[:20]:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
