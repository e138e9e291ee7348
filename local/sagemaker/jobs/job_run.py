"""The run of a job of any kind, in a thread of its own: it always has an end, and ends its programs."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from local import clock
from local.sagemaker.context import INTERNAL_ERROR, Context
from local.sagemaker.errors import JobFailure, SageMakerError
from local.sagemaker.jobs.process import Program
from local.sagemaker.jobs.stopping import AWS_GRACE, StopPolicy
from local.sagemaker.resources import Kind

__all__ = ["MAX_RUNNING", "JobRun", "Outcome", "RunningJobs"]

_LOGGER = logging.getLogger(__name__)

_POLL = 0.2
"""Seconds after which the stop request and the time limit are checked again."""

MAX_RUNNING = 20
"""Jobs of a kind that may run at a time, as an account's default quota."""


class Outcome:
    """How a program ended: its exit status, and whether the service ended it."""

    def __init__(self, status: int, *, stopped: bool = False, timed_out: bool = False) -> None:
        self.status = status
        self.stopped = stopped
        self.timed_out = timed_out

    @property
    def was_killed(self) -> bool:
        """Whether a signal that the service did not send ended the program."""
        return self.status > 128 and not self.stopped and not self.timed_out


class JobRun(ABC):
    """The run of one job, from start to end, in a thread of its own.

    A kind of job overrides `execute` and `fail`. Every exception in `execute` leads to `fail`, so that no job stays
    InProgress without a thread behind it.
    """

    kind: Kind
    stopping = StopPolicy(sigterm=True, grace=AWS_GRACE)

    def __init__(self, context: Context, name: str) -> None:
        self.context = context
        self.name = name
        self.stop_requested = threading.Event()
        self.ended = threading.Event()

    @abstractmethod
    def execute(self) -> None:
        """Run the job to its end.

        Raises:
            JobFailure: the job failed; the message is its FailureReason.
        """

    @abstractmethod
    def fail(self, reason: str) -> None:
        """Record that the job failed, with this FailureReason."""

    def clean_up(self) -> None:  # noqa: B027 - not every kind of job has something to release
        """Release what the job holds; called once, whatever happened."""

    def run(self) -> None:
        """Execute the job, record a failure and clean up; never raises."""
        try:
            self.execute()
        except JobFailure as failure:
            self._fail(str(failure))
        except SageMakerError as error:
            self._fail(f"ClientError: {error.message}")
        except Exception:
            _LOGGER.exception("%s %s failed inside the service", self.kind.name, self.name)
            self._fail(INTERNAL_ERROR)
        finally:
            try:
                self.clean_up()
            except Exception:
                _LOGGER.exception("%s %s was not cleaned up", self.kind.name, self.name)
            self.ended.set()

    def _fail(self, reason: str) -> None:
        try:
            self.fail(reason)
        except Exception:
            _LOGGER.exception("the failure of %s %s was not recorded: %s", self.kind.name, self.name, reason)

    def linger(self) -> None:
        """Stay Stopping for as long as the account document says, if the job was stopped."""
        if self.stop_requested.is_set():
            self.context.linger(lambda: self.context.account.stopping_seconds(self.kind.name, self.name))

    def follow(self, programs: Sequence[Program], max_seconds: float) -> Outcome:
        """Wait for the programs. End them when the job is stopped, its time is over or the service closes.

        They are ended as `stopping` says.

        If one program fails, the others are ended, and the outcome has the status of the one that failed.

        Raises:
            JobFailure: the service was closed.
        """
        outcome = self._follow(programs, max_seconds)
        self.linger()
        return outcome

    def _follow(self, programs: Sequence[Program], max_seconds: float) -> Outcome:
        deadline = clock.monotonic() + max_seconds
        running = list(programs)
        while True:
            # the job has ended when a program fails or the last one ends
            for program in list(running):
                status = program.wait(_POLL / len(running))
                if status is None:
                    continue
                running.remove(program)
                if status != 0 or not running:
                    self._end(running)
                    return Outcome(status, stopped=self.stop_requested.is_set())

            if self.context.closing.is_set():
                # at once, without the time that a stopped job has to save its model
                for program in running:
                    program.kill()
                    program.wait()
                raise JobFailure("InternalServerError: The local SageMaker was stopped while the job ran.")
            if self.stop_requested.is_set():
                return Outcome(self._end(running), stopped=True)
            if clock.monotonic() >= deadline:
                return Outcome(self._end(running), timed_out=True)

    def _end(self, programs: Sequence[Program]) -> int:
        """Send SIGTERM unless it is withheld, after the grace SIGKILL; return the first status that is not 0, or 0."""
        if self.stopping.sigterm:
            for program in programs:
                program.terminate()

        deadline = clock.monotonic() + self.stopping.grace
        statuses = []
        for program in programs:
            status = None
            while status is None and clock.monotonic() < deadline and not self.context.closing.is_set():
                status = program.wait(_POLL)
            if status is None:
                program.kill()
                status = program.wait()
            statuses.append(status or 0)
        return next(filter(None, statuses), 0)


class RunningJobs:
    """The running jobs of one kind and their threads.

    They are kept by run and not by name: a record shows the end of its job before the job's thread is over, so that
    somebody may delete it and start another job of the same name meanwhile.
    """

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._lock = threading.Lock()
        self._threads: dict[JobRun, threading.Thread] = {}

    def start(self, run: JobRun, *, on_end: Callable[[str], None] | None = None) -> None:
        """Run the job in a thread of its own, and call `on_end` with its name when it has ended."""

        def work() -> None:
            try:
                run.run()
            finally:
                with self._lock:
                    del self._threads[run]
                if on_end is not None:
                    on_end(run.name)

        thread = threading.Thread(target=work, name=f"{self._kind.path} {run.name}", daemon=True)
        with self._lock:
            self._threads[run] = thread
        thread.start()

    def check_limit(self) -> None:
        """Check that another job may start.

        Raises:
            SageMakerError: ResourceLimitExceeded, because `MAX_RUNNING` jobs run.
        """
        with self._lock:
            count = len(self._threads)
        if count >= MAX_RUNNING:
            raise SageMakerError(
                "ResourceLimitExceeded",
                f"The account-level service limit '{self._kind.path} usage' is {MAX_RUNNING} Instances, with current "
                f"utilization of {count} Instances and a request delta of 1 Instances.",
            )

    def request_stop(self, name: str) -> None:
        """Ask the job to stop; does nothing if it has just ended."""
        with self._lock:
            named = [run for run in self._threads if run.name == name]
        for run in named:
            run.stop_requested.set()

    def wait(self, name: str, timeout: float) -> bool:
        """Wait until the threads of the jobs of this name are over, at most `timeout` seconds; whether they are."""
        with self._lock:
            threads = [thread for run, thread in self._threads.items() if run.name == name]
        _join(threads, timeout)
        return not any(thread.is_alive() for thread in threads)

    def join(self, timeout: float) -> None:
        """Wait for all jobs to end, at most `timeout` seconds."""
        with self._lock:
            threads = list(self._threads.values())
        _join(threads, timeout)


def _join(threads: Sequence[threading.Thread], timeout: float) -> None:
    deadline = time.monotonic() + timeout
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
