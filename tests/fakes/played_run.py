"""A state machine that is played: the jobs and the release of runs, as long and as often as SageMaker and it allow."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import contract
from infra.settings import Settings
from tests.fakes.account import ENDPOINT, Account, Job

__all__ = ["PREFIX", "PlayedRuns"]

PREFIX: Final = "whippet-dev"


class PlayedRuns:
    """Executions that got past the ceiling check."""

    def __init__(self, account: Account, settings: Settings, rng: random.Random, *, unlucky: bool) -> None:
        self.account, self.settings, self.rng = account, settings, rng
        self.unlucky = unlucky
        """Whether every job takes as long as it may, and most fail in a way that passes."""
        self.names: dict[str, str] = {}
        """The run of each execution."""
        account.stopped = self.stop_jobs

    def begin(self, arn: str, run: str, phases: list[contract.PlannedJob]) -> None:
        """Make the jobs of a run that may start, one after the other, and release its model."""
        self.names[arn] = run
        self._go_on(arn, run, phases, attempt=1)

    def stop_jobs(self, arn: str) -> None:
        """Stop the jobs of a stopped execution, as Step Functions does."""
        base = contract.job_prefix(PREFIX, self.names[arn])
        for job in list(self.account.jobs.values()):
            if job.end is None and (job.name == base or job.name.startswith(f"{base}-")):
                self.account._stop(job.kind, job.name)

    def _go_on(self, arn: str, run: str, phases: list[contract.PlannedJob], *, attempt: int) -> None:
        if arn not in self.account.executions:
            return
        if not phases:
            self._release(arn, run)
            return
        job, again = phases[0], "" if attempt == 1 else f"-{attempt}"

        def ended(status: str) -> None:
            if status == "Completed":
                self._go_on(arn, run, phases[1:], attempt=1)
            elif status == "Passing" and attempt < contract.JOB_ATTEMPTS:
                self.account.at(
                    self.account.now + timedelta(minutes=5), lambda: self._go_on(arn, run, phases, attempt=attempt + 1)
                )
            else:
                self.account.executions.pop(arn, None)

        base = contract.job_prefix(PREFIX, run)
        if job["phase"] == "trials":
            self._search(f"{base}{again}", job, ended)
            return
        kind = "Processing" if job["phase"] == "rules" else "Training"
        name = f"{base}-{ {'training': 'train'}.get(job['phase'], job['phase']) }{again}"
        self._work(Job(name, kind, *_machine(job), self.account.now, ended))

    def _search(self, name: str, planned: contract.PlannedJob, ended: Callable[[str], None]) -> None:
        tuning = Job(name, "HyperParameterTuning", ("none", 0), None, self.account.now, ended)
        self.account.jobs[name] = tuning
        left = list(range(self.settings.tuning.trials))

        def next_trial(status: str) -> None:
            if tuning.end is not None:
                return
            if left and tuning.status == "InProgress":
                number = left.pop()
                trial = Job(f"{name}-{number:03d}-abc", "Training", *_machine(planned), self.account.now, next_trial)
                tuning.trials.append(trial)
                self._work(trial)
            elif all(trial.end is not None for trial in tuning.trials) and tuning.status == "InProgress":
                self.account._end(tuning, self._ends())

        for _ in range(self.settings.tuning.parallel_trials):
            next_trial("")

    def _work(self, job: Job) -> None:
        assert job.limit is not None
        self.account.start_job(job, seconds=self.takes(job.limit + contract.OVERHEAD_SECONDS), status=self._ends())

    def takes(self, longest: float) -> float:
        """Return how many seconds a job takes that may take at most so many."""
        if self.unlucky or self.rng.random() < 0.1:
            return longest
        return self.rng.uniform(60, longest / 8)

    def _ends(self) -> str:
        passing = 0.8 if self.unlucky else 0.1
        return self.rng.choices(["Passing", "Failed", "Completed"], [passing, 0.02, 1 - passing])[0]

    def _release(self, arn: str, run: str) -> None:
        account, config = self.account, contract.job_prefix(PREFIX, run)
        machines = self.settings.release
        account.configs[config] = (machines.instance_type, machines.instance_count)
        if account.endpoint is None:
            account.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName=config)
        elif account.endpoint["EndpointStatus"] == "InService":
            half = timedelta(hours=contract.CHANGE_HOURS / 2)
            account.update_endpoint(config, takes=self.rng.uniform(0.1, 1) * half, succeeds=self.rng.random() < 0.8)
            if self.rng.random() < 0.3:
                # the smoke test fails, and the old model comes back
                old = account.endpoint["EndpointConfigName"]
                account.at(account.now + half, lambda: self._take_back(old, half))
            account.at(account.now + 2 * half, lambda: self._ended(arn))
            return
        account.executions.pop(arn, None)

    def _ended(self, arn: str) -> None:
        self.account.executions.pop(arn, None)

    def _take_back(self, config: str, longest: timedelta) -> None:
        endpoint = self.account.endpoint
        if endpoint is not None and endpoint["EndpointStatus"] == "InService" and config in self.account.configs:
            self.account.update_endpoint(config, takes=self.rng.uniform(0.1, 0.99) * longest, succeeds=True)


def _machine(job: contract.PlannedJob) -> tuple[tuple[str, int], int]:
    return (job["instance_type"], job["instances"]), job["max_seconds"]
