"""Sessions of roles in the local cloud."""

from __future__ import annotations

import threading
from typing import Any

from local.cloud.auth import drop_expired


def test_only_sessions_that_have_expired_are_dropped() -> None:
    sessions: dict[str, dict[str, Any]] = {"old": {"Expiration": 9.5}, "new": {"Expiration": 10.5}, "without": {}}
    drop_expired(sessions, now=10)
    assert set(sessions) == {"new", "without"}


def test_sessions_that_begin_meanwhile_are_in_nobodys_way() -> None:
    """As where two functions start at once."""
    sessions: dict[str, dict[str, Any]] = {str(number): {"Expiration": 20} for number in range(500)}
    done = threading.Event()

    def begin() -> None:
        number = 0
        while not done.is_set():
            number += 1
            sessions[f"new-{number}"] = {"Expiration": 5}

    beginning = threading.Thread(target=begin)
    beginning.start()
    try:
        for _ in range(300):
            drop_expired(sessions, now=10)
    finally:
        done.set()
        beginning.join()
    assert {str(number) for number in range(500)} <= set(sessions)
