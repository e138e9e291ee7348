"""The endpoint's workers and the queue before them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final

from inference.messages import Job, Reply
from inference.problems import problem_body
from inference.worker_process import FileEndedWorkerError, WorkerEndedError, WorkerProcess

__all__ = ["BusyError", "Pool"]

WAITING_PER_WORKER: Final = 16
"""Requests that may wait for each worker: a quarter of a second of work for an int8 model."""

PATIENCE_SECONDS: Final = 20.0
"""Seconds after which a request is not begun any more: the API's function waits 22 for its answer."""

MAX_SECONDS: Final = 60.0
"""Seconds after which a worker that does not answer is ended, as long as SageMaker waits for it; it hangs, since
processor time has a bound of its own, and a busy machine is no reason to end it."""

SILENCE_SECONDS: Final = 30.0
"""Seconds without an answer, while there are requests, after which the server says that it is not healthy."""

_LONGEST_PAUSE: Final = 10.0
"""The longest pause in seconds before a worker that ended before it was ready is started again."""

_WATCH_SECONDS: Final = 0.5

_log = logging.getLogger("inference")


class BusyError(Exception):
    """There is no place in the queue, or the request has waited too long; the message says which."""


class Pool:
    """Workers that answer one request at a time each, and a queue of bounded length."""

    def __init__(
        self,
        workers: int,
        *,
        waiting: int | None = None,
        patience: float = PATIENCE_SECONDS,
        max_seconds: float = MAX_SECONDS,
        on_worker_end: Callable[[], None] = lambda: None,
    ):
        self.workers = workers
        self.max_waiting = WAITING_PER_WORKER * workers if waiting is None else waiting
        self._patience = patience
        self._max_seconds = max_seconds
        self._on_worker_end = on_worker_end
        self._idle: deque[WorkerProcess] = deque()
        self._running: set[WorkerProcess] = set()
        self._waiting: deque[asyncio.Future[WorkerProcess]] = deque()
        self._keepers: set[asyncio.Task[None]] = set()
        self._last_answer = time.monotonic()
        self._is_closed = False

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    @property
    def busy(self) -> int:
        """How many workers have a request."""
        return len(self._running) - len(self._idle)

    @property
    def is_healthy(self) -> bool:
        """Whether there are workers, and answers where there are requests."""
        is_asked = self.busy > 0 or self.waiting > 0
        return bool(self._running) and not (is_asked and time.monotonic() - self._last_answer > SILENCE_SECONDS)

    async def start(self) -> None:
        """Start the workers, and return once one of them is ready; the others follow."""
        first = asyncio.Event()
        for _ in range(self.workers):
            self._keep(self._started(first))
        await first.wait()
        self._keep(self._watched())

    async def close(self) -> None:
        """End the workers."""
        self._is_closed = True
        for task in self._keepers:
            task.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        await asyncio.gather(*(worker.end() for worker in self._running))
        self._running.clear()

    async def take(self, *, arrived: float, gone: Callable[[], asyncio.Future[None]]) -> WorkerProcess | None:
        """Return a worker for a request, once it is its turn; None if its client has gone before.

        Args:
            arrived: when the request came, by `time.monotonic`.
            gone: gives what is done once the client has closed the connection; asked only if the request has to wait.

        Raises:
            BusyError: the queue is full, or the request waited until its caller has given up.
        """
        if not self.busy and not self.waiting:
            self._last_answer = time.monotonic()  # silence counts from the first request on
        while self._idle and not self.waiting:
            worker = self._idle.popleft()
            if not worker.has_ended:
                return worker
            self._replace(worker, await worker.end())
        if self.waiting >= self.max_waiting:
            raise BusyError(f"{self.max_waiting} requests wait already")

        # wait for the turn, for the client's patience to end, or for the client to go
        turn: asyncio.Future[WorkerProcess] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        left = gone()
        first: set[asyncio.Future[Any]] = {turn, left}
        patience = max(0.0, self._patience - (time.monotonic() - arrived))
        try:
            await asyncio.wait(first, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            has_left = left.done()
        except asyncio.CancelledError:
            if turn.done():
                self._free(turn.result())
            raise
        finally:
            left.cancel()
            if not turn.done():
                self._waiting.remove(turn)
                turn.cancel()
        if turn.cancelled() and not has_left:
            raise BusyError(f"the request has waited for {self._patience:g} seconds")
        if has_left and not turn.cancelled():
            self._free(turn.result())
        return None if has_left else turn.result()

    async def ask(self, worker: WorkerProcess, job: Job) -> Reply:
        """Return a worker's reply to a request, and let it take the next one; if it ends, start another."""
        try:
            reply = await worker.ask(job, seconds=self._max_seconds)
            self._last_answer = time.monotonic()
        except FileEndedWorkerError as error:
            self._replace(worker, str(error))
            detail = f"the image cannot be decoded: it {error}; save it anew, or send it as JPEG"
            reply = Reply(400, problem_body(400, detail))
        except WorkerEndedError as error:
            self._replace(worker, str(error))
            detail = "the model's process ended while it had this request; send it again"
            reply = Reply(503, problem_body(503, detail))
        except BaseException:
            self._replace(worker, "its request was given up")
            raise
        else:
            self._free(worker)
        return reply

    def _free(self, worker: WorkerProcess) -> None:
        if self._waiting:
            self._waiting.popleft().set_result(worker)
        else:
            self._idle.append(worker)

    def _replace(self, worker: WorkerProcess, why: str) -> None:
        _log.warning("the worker %s has ended (%s); another one starts", worker.pid, why)
        self._running.discard(worker)
        self._on_worker_end()
        if not self._is_closed:
            self._keep(self._started(asyncio.Event()))

    def _keep(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._keepers.add(task)
        task.add_done_callback(self._keepers.discard)

    async def _started(self, ready: asyncio.Event) -> None:
        """Start a worker, again and again until one is ready."""
        pause = 0.2
        while True:
            worker = WorkerProcess()
            try:
                await worker.ready()
                break
            except WorkerEndedError as error:
                _log.error("%s; another one starts in %.1f seconds", error, pause)
                self._on_worker_end()
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            except asyncio.CancelledError:
                await worker.end()
                raise
        self._running.add(worker)
        self._last_answer = time.monotonic()
        self._free(worker)
        ready.set()

    async def _watched(self) -> None:
        """Start others for workers that end while they are idle."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            for worker in [worker for worker in self._idle if worker.has_ended]:
                self._idle.remove(worker)
                self._replace(worker, await worker.end())
