"""An AWS account on a clock that a test moves: jobs, an endpoint, executions, and what they cost by the second."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import contract
from tests.fakes.autoscaling import FakeAutoscaling
from tests.fakes.s3 import FakeS3, client_error

__all__ = ["ENDPOINT", "Account", "Job"]

ENDPOINT: Final = "whippet-dev"
_MEMBERS: Final = {
    "HyperParameterTuning": "HyperParameterTuningJob",
    "Training": "TrainingJob",
    "Processing": "ProcessingJob",
    "Transform": "TransformJob",
}


@dataclass
class Job:
    """A job, and what happens at its end."""

    name: str
    kind: str
    machine: tuple[str, int]
    limit: int | None
    start: datetime
    ended: Callable[[str], None]
    status: str = "InProgress"
    end: datetime | None = None
    trials: list[Job] = field(default_factory=list)
    """Of a tuning job."""


@dataclass
class Fleet:
    """The machines of an endpoint, from one time to another."""

    usd_an_hour: float
    begin: datetime
    end: datetime | None = None


class Account:
    """Answers the calls of the functions and commands that decide on costs; what they do not call is not there."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.s3 = FakeS3()
        self.jobs: dict[str, Job] = {}
        self.executions: dict[str, dict[str, Any]] = {}
        self.stopped: Callable[[str], None] = lambda _: None
        """Is told of a stopped execution."""
        self.configs: dict[str, tuple[str, int]] = {}
        self.endpoint: dict[str, Any] | None = None
        self.fleets: list[Fleet] = []
        self.most_instances = 0
        """Where the endpoint scales: how many instances it has, whoever asks; it is never fewer here."""
        self.autoscaling = FakeAutoscaling()
        self.requests: list[datetime] = []
        self.record: tuple[str, datetime] | None = None
        self.context: Any = None
        """Whose time passes while a function sleeps."""
        self._events: list[tuple[datetime, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    # --- the clock

    def at(self, moment: datetime, do: Callable[[], None]) -> None:
        """Do something at a time, or now if that has passed."""
        heapq.heappush(self._events, (max(moment, self.now), next(self._numbers), do))

    def advance(self, by: timedelta) -> None:
        """Let the time pass, with everything that happens in it."""
        until = self.now + by
        while self._events and self._events[0][0] <= until:
            self.now, _, do = heapq.heappop(self._events)
            do()
        self.now = until

    def sleep(self, seconds: float) -> None:
        """Stand in for time.sleep."""
        if self.context is not None:
            self.context.remaining -= round(seconds * 1000)
        self.advance(timedelta(seconds=seconds))

    # --- what it costs

    def bills(self) -> dict[str, float]:
        """Return the US dollars of each month until now."""
        found: dict[str, float] = {}
        for begin, end, usd_an_hour in self._costs():
            while begin < end:
                month = contract.month_begin(begin)
                until = min(end, contract.month_begin(month + timedelta(days=32)))
                key = f"{month:%Y-%m}"
                found[key] = found.get(key, 0.0) + usd_an_hour * (until - begin).total_seconds() / 3600
                begin = until
        return found

    def _costs(self) -> Iterator[tuple[datetime, datetime, float]]:
        for job in self.jobs.values():
            price = contract.hourly_price(job.machine[0])
            if job.kind != "HyperParameterTuning" and price is not None:
                yield job.start, job.end or self.now, price * job.machine[1]
        for fleet in self.fleets:
            yield fleet.begin, fleet.end or self.now, fleet.usd_an_hour

    def hourly(self) -> list[str]:
        """Return everything that costs by the hour at this moment."""
        running = [job.name for job in self.jobs.values() if job.end is None]
        return running + [f"a fleet since {fleet.begin}" for fleet in self.fleets if fleet.end is None]

    # --- jobs

    def start_job(self, job: Job, *, seconds: float, status: str) -> None:
        """Let a job work for some seconds, and end with a status."""
        assert job.name not in self.jobs
        self.jobs[job.name] = job
        self.at(self.now + timedelta(seconds=seconds), lambda: self._end(job, status))

    def _end(self, job: Job, status: str) -> None:
        if job.end is None:
            job.status, job.end = status, self.now
            job.ended(status)

    def _stop(self, kind: str, name: str) -> dict[str, Any]:
        job = self.jobs.get(name)
        if job is None or job.kind != kind:
            raise client_error("ValidationException", "Requested resource not found.")
        if job.end is not None:
            raise client_error(
                "ValidationException", f"The request was rejected because the {kind} job is in status {job.status}."
            )
        if job.status == "InProgress":
            job.status = "Stopping"
            for trial in [trial for trial in job.trials if trial.end is None]:
                self._stop("Training", trial.name)
            self.at(self.now + timedelta(seconds=120), lambda: self._end(job, "Stopped"))
        return {}

    def stop_training_job(self, *, TrainingJobName: str) -> dict[str, Any]:  # noqa: N803
        return self._stop("Training", TrainingJobName)

    def stop_processing_job(self, *, ProcessingJobName: str) -> dict[str, Any]:  # noqa: N803
        return self._stop("Processing", ProcessingJobName)

    def stop_transform_job(self, *, TransformJobName: str) -> dict[str, Any]:  # noqa: N803
        return self._stop("Transform", TransformJobName)

    def stop_hyper_parameter_tuning_job(self, *, HyperParameterTuningJobName: str) -> dict[str, Any]:  # noqa: N803
        return self._stop("HyperParameterTuning", HyperParameterTuningJobName)

    def describe_training_job(self, *, TrainingJobName: str) -> dict[str, Any]:  # noqa: N803
        job = self.jobs[TrainingJobName]
        machine = {"InstanceType": job.machine[0], "InstanceCount": job.machine[1]}
        return self._described(job) | {"ResourceConfig": machine}

    def describe_processing_job(self, *, ProcessingJobName: str) -> dict[str, Any]:  # noqa: N803
        job = self.jobs[ProcessingJobName]
        machine = {"InstanceType": job.machine[0], "InstanceCount": job.machine[1]}
        return self._described(job) | {"ProcessingResources": {"ClusterConfig": machine}}

    def describe_transform_job(self, *, TransformJobName: str) -> dict[str, Any]:  # noqa: N803
        job = self.jobs[TransformJobName]
        machine = {"InstanceType": job.machine[0], "InstanceCount": job.machine[1]}
        return self._described(job) | {"TransformResources": machine}

    @staticmethod
    def _described(job: Job) -> dict[str, Any]:
        ended = {} if job.end is None else {f"{job.kind}EndTime": job.end}
        limit = {} if job.limit is None else {"StoppingCondition": {"MaxRuntimeInSeconds": job.limit}}
        return {f"{job.kind}JobStatus": job.status, f"{job.kind}StartTime": job.start, **ended, **limit}

    # --- lists

    def get_paginator(self, operation: str) -> Any:
        account = self

        class Pages:
            def paginate(self, **asked: Any) -> list[dict[str, Any]]:
                return [account._listed(operation, asked)]

        return Pages()

    def _listed(self, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        for kind, member in _MEMBERS.items():
            words = {"HyperParameterTuning": "hyper_parameter_tuning"}.get(kind, kind.lower())
            if operation == f"list_{words}_jobs":
                since = asked.get("CreationTimeAfter")
                found = [
                    {f"{member}Name": job.name, f"{member}Status": job.status}
                    | ({} if job.end is None else {f"{kind}EndTime": job.end})
                    for job in self.jobs.values()
                    if job.kind == kind
                    and asked["NameContains"] in job.name
                    and asked.get("StatusEquals") in (None, job.status)
                    and (since is None or job.start > since)
                ]
                return {f"{member}Summaries": found}
        if operation == "list_executions":
            return self.list_executions(**asked)
        if operation == "list_endpoint_configs":
            return {"EndpointConfigs": [{"EndpointConfigName": name} for name in self.configs]}
        return {"list_models": {"Models": []}, "list_model_packages": {"ModelPackageSummaryList": []}}[operation]

    # --- executions

    def list_executions(self, *, stateMachineArn: str, statusFilter: str, maxResults: int = 100) -> dict[str, Any]:  # noqa: N803
        assert (stateMachineArn, statusFilter) == ("arn:machine", "RUNNING")
        return {"executions": list(self.executions.values())[:maxResults]}

    def stop_execution(self, *, executionArn: str, **_: str) -> None:  # noqa: N803
        if self.executions.pop(executionArn, None) is not None:
            self.stopped(executionArn)

    # --- the endpoint

    def describe_endpoint(self, *, EndpointName: str) -> dict[str, Any]:  # noqa: N803
        if self.endpoint is None:
            raise client_error("ValidationException", f'Could not find endpoint "{EndpointName}".')
        return {"EndpointName": EndpointName, "ProductionVariants": [{"VariantName": "AllTraffic"}], **self.endpoint}

    def describe_endpoint_config(self, *, EndpointConfigName: str) -> dict[str, Any]:  # noqa: N803
        if EndpointConfigName not in self.configs:
            raise client_error("ValidationException", f'Could not find endpoint configuration "{EndpointConfigName}".')
        kind, count = self.configs[EndpointConfigName]
        return {"ProductionVariants": [{"InstanceType": kind, "InitialInstanceCount": count}]}

    def delete_endpoint_config(self, *, EndpointConfigName: str) -> None:  # noqa: N803
        del self.configs[EndpointConfigName]

    def create_endpoint(self, *, EndpointName: str, EndpointConfigName: str, **_: Any) -> None:  # noqa: N803
        if self.endpoint is not None:
            raise client_error("ValidationException", f'Cannot create already existing endpoint "{EndpointName}".')
        self._new_fleet(EndpointConfigName)
        self.endpoint = {
            "EndpointStatus": "Creating",
            "EndpointConfigName": EndpointConfigName,
            "LastModifiedTime": self.now,
        }
        made = self.endpoint
        self.at(self.now + timedelta(minutes=9), lambda: self._in_service(made))

    def update_endpoint(self, config: str, *, takes: timedelta, succeeds: bool) -> None:
        """Change the endpoint to another configuration, with both fleets for so long; without success the old stays."""
        assert self.endpoint is not None
        endpoint, old = self.endpoint, self.fleets[-1]
        self._new_fleet(config)
        new = self.fleets[-1]
        endpoint["EndpointStatus"] = "Updating"

        def done() -> None:
            (old if succeeds else new).end = self.now
            if not succeeds:
                self.fleets.remove(old)
                self.fleets.append(old)
            endpoint["EndpointConfigName"] = config if succeeds else endpoint["EndpointConfigName"]
            self._in_service(endpoint)

        self.at(self.now + takes, done)

    def delete_endpoint(self, *, EndpointName: str) -> None:  # noqa: N803
        if self.endpoint is None:
            raise client_error("ValidationException", f'Could not find endpoint "{EndpointName}".')
        if self.endpoint["EndpointStatus"] != "InService":
            raise client_error("ValidationException", f'Cannot update in-progress endpoint "{EndpointName}".')
        self.endpoint["EndpointStatus"] = "Deleting"
        self.at(self.now + timedelta(minutes=2), self._gone)

    def _new_fleet(self, config: str) -> None:
        kind, count = self.configs[config]
        instances = max(count, self.most_instances)
        self.fleets.append(Fleet((contract.hourly_price(kind) or 0.0) * instances, self.now))

    def _in_service(self, endpoint: dict[str, Any]) -> None:
        if self.endpoint is endpoint:
            endpoint.update(EndpointStatus="InService", LastModifiedTime=self.now)
            if self.most_instances:
                target = contract.scalable_target(ENDPOINT)
                self.autoscaling.registered = {**target, "MaxCapacity": self.most_instances}

    def _gone(self) -> None:
        self.endpoint, self.autoscaling.registered = None, None
        self.fleets[-1].end = self.now

    # --- CloudWatch and SSM

    def get_metric_statistics(self, **asked: Any) -> dict[str, Any]:
        count = sum(asked["StartTime"] <= each < asked["EndTime"] for each in reversed(self.requests[-200:]))
        return {"Datapoints": [{"Sum": float(count)}] if count else []}

    def get_parameter(self, *, Name: str) -> dict[str, Any]:  # noqa: N803
        if self.record is None:
            raise client_error("ParameterNotFound", Name)
        return {"Parameter": {"Value": self.record[0], "LastModifiedDate": self.record[1]}}

    def put_parameter(self, *, Name: str, Value: str, Overwrite: bool) -> None:  # noqa: N803
        assert Overwrite, Name
        self.record = (Value, self.now)
