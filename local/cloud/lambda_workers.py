"""Lambda: a bound for the interpreters that run functions.

ministack starts an interpreter for each concurrent invocation, so that a burst on a small machine starts dozens at
once, and none is ready in time. Here an invocation waits for its turn, up to its function's time-out; after that it is
throttled as on AWS at the account's limit for concurrency.
"""

from __future__ import annotations

import collections
import os
import threading
from collections.abc import Mapping
from typing import Any, Final

from local.cloud import seam

__all__ = ["VARIABLE", "apply", "limit"]

VARIABLE: Final = "WHIPPET_LAMBDA_WORKERS"
"""Variable that says how many interpreters may run functions at once."""

_FOR_EACH_CORE: Final = 4
_FEWEST: Final = 4
_MEBIBYTES_FOR_EACH: Final = 512
"""An interpreter with boto3 takes 60 MiB, and most of the memory is for jobs and endpoints."""


def limit(environment: Mapping[str, str]) -> int:
    """Return how many interpreters may run at once: the variable's value, or a number by cores and memory.

    Raises:
        ValueError: the variable is not a positive number.
    """
    text = environment.get(VARIABLE)
    if text:
        if not text.isdecimal() or int(text) < 1:
            raise ValueError(f"{VARIABLE}={text} is not a positive number; give for example {VARIABLE}=8, or unset it")
        return int(text)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return max(_FEWEST, min(_FOR_EACH_CORE * (os.cpu_count() or 1), memory // _MEBIBYTES_FOR_EACH))


def apply(workers: int) -> None:
    """Let at most so many interpreters run functions."""
    runtime, service = seam.module("core.lambda_runtime"), seam.module("services.lambda_svc")
    _take_turns(service, workers)
    _make_room(runtime, service, workers)


class _Turns:
    """Turns that are given in the order in which they are asked for, a number of them at once."""

    def __init__(self, number: int) -> None:
        self._free = number
        self._waiting: collections.deque[threading.Event] = collections.deque()
        self._lock = threading.Lock()

    def take(self, seconds: float) -> bool:
        """Wait for a turn, and return whether it came in this time."""
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            called = threading.Event()
            self._waiting.append(called)

        if called.wait(seconds):
            return True
        with self._lock:
            if called.is_set():
                return True
            self._waiting.remove(called)
            return False

    def give_back(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1


def _take_turns(service: Any, workers: int) -> None:
    """Let invocations wait for each other, except those that a function makes: its own turn would wait for them."""
    execute = seam.expect(service, "_execute_function_warm", "func", "event", "request_id")
    throttled = seam.expect(service, "_throttle_response", "reason_code", "msg")
    depth = seam.expect(service, "_invoke_depth")
    turns = _Turns(workers)

    def execute_in_turn(func: Any, event: Any, request_id: Any) -> dict[str, Any]:
        # a client's call has the depth 1, and one by API Gateway or a state machine 0
        if depth.get() > 1:
            nested: dict[str, Any] = execute(func, event, request_id)
            return nested

        config = func.get("config") or func
        if not turns.take(float(config.get("Timeout", 3))):
            refused: dict[str, Any] = throttled(
                "ConcurrentInvocationLimitExceeded",
                f"Rate Exceeded: {workers} functions run already ({VARIABLE} sets how many may)",
            )
            return refused
        try:
            result: dict[str, Any] = execute(func, event, request_id)
            return result
        finally:
            turns.give_back()

    service._execute_function_warm = execute_in_turn


def _make_room(runtime: Any, service: Any, workers: int) -> None:
    """End the interpreter that was idle longest before a further one would be too many."""
    acquire = seam.expect(service, "acquire_worker", "func_name", "config", "code_zip", "qualifier")
    key_of = seam.expect(runtime, "_worker_key", "func_name", "config", "qualifier")
    kill = seam.expect(runtime, "kill_workers", "workers")
    pools, lock = seam.expect(runtime, "_workers"), seam.expect(runtime, "_lock")
    one_at_a_time = threading.Lock()

    def surplus(key: str) -> list[Any]:
        """Take the workers out of their pools that have to go for a new one of this key."""
        if any(not worker.in_use for worker in pools.get(key, ())):
            return []
        known = [worker for pool in pools.values() for worker in pool]
        idle = sorted((worker for worker in known if not worker.in_use), key=lambda worker: worker.last_used)
        chosen = idle[: max(0, len(known) + 1 - workers)]
        for pool in pools.values():
            pool[:] = [worker for worker in pool if worker not in chosen]
        return chosen

    def acquire_worker(
        func_name: str, config: dict[str, Any], code_zip: bytes, qualifier: str = "$LATEST", **more: Any
    ) -> Any:
        with one_at_a_time:
            with lock:
                doomed = surplus(key_of(func_name, config, qualifier))
            kill(doomed)
            return acquire(func_name, config, code_zip, qualifier=qualifier, **more)

    service.acquire_worker = acquire_worker
