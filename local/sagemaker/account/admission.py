"""Whether the account lets a request begin: its quotas by instance type and use, and the names of its jobs.

What runs is counted from the records, so a client that has seen a job end can start the next one at once.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from local.sagemaker.account.account import Account
from local.sagemaker.account.quota_table import PARALLEL_TRIALS, TUNING_JOBS, instance_quota
from local.sagemaker.resources import (
    ENDPOINT,
    ENDPOINT_CONFIG,
    PROCESSING_JOB,
    TRAINING_JOB,
    TRANSFORM_JOB,
    TUNING_JOB,
    Kind,
    already_exists,
)
from local.sagemaker.store import Record, Store

__all__ = ["Admission"]

_JOBS: Final = {f"Create{kind.name}": kind for kind in (TRAINING_JOB, TUNING_JOB, PROCESSING_JOB, TRANSFORM_JOB)}
_ENDPOINTS: Final = ("CreateEndpoint", "UpdateEndpoint")
_RUNNING: Final = ("InProgress", "Stopping")

Instances = Counter[tuple[str, str]]
"""Numbers of instances by type and use."""


class Admission:
    """Checks requests that start something, one at a time.

    Args:
        account: the account with its quotas and names.
        store: the records of what runs.
    """

    def __init__(self, account: Account, store: Store) -> None:
        self._account = account
        self._store = store
        self._lock = threading.Lock()
        self._fleets: dict[tuple[str, str], Instances] = {}
        """The instances of an endpoint with a configuration, which may be deleted while the endpoint has it."""

    @contextmanager
    def admit(self, operation: str, parameters: Record) -> Iterator[None]:
        """Check a request, let the block carry it out, and then take the name of its job.

        Raises:
            SageMakerError: ResourceLimitExceeded, or ResourceInUse because the name was used before.
        """
        kind = _JOBS.get(operation)
        if kind is None and operation not in _ENDPOINTS:
            yield
            return

        # nothing else may begin between the check and the record
        with self._lock:
            if kind is not None:
                self._check_name(kind, parameters[kind.name_member])
            wanted = self._wanted(operation, parameters)
            self._check_quotas(operation, parameters, wanted)
            yield
            if kind is not None:
                self._account.names.add(kind, parameters[kind.name_member])
            else:
                self._fleets[parameters["EndpointName"], parameters["EndpointConfigName"]] = wanted

    def _check_name(self, kind: Kind, name: str) -> None:
        if (kind, name) in self._account.names:
            raise already_exists(kind, self._store.arn(kind, name))

    def _check_quotas(self, operation: str, parameters: Record, wanted: Instances) -> None:
        check = self._account.quotas.check
        parallel = 1
        if operation == "CreateHyperParameterTuningJob":
            parallel = parameters["HyperParameterTuningJobConfig"]["ResourceLimits"]["MaxParallelTrainingJobs"]
            check(PARALLEL_TRIALS, used=0, wanted=parallel, unit="Jobs")
            check(TUNING_JOBS, used=len(self._running(TUNING_JOB)), wanted=1, unit="Jobs")

        used = self._used()
        for (instance_type, use), count in wanted.items():
            check(instance_quota(instance_type, use), used=used[instance_type, use], wanted=count)
        for use in {use for _, use in wanted}:
            across = f"all {use}s" if use != "endpoint" else "active endpoints"
            check(f"Number of instances across {across}", used=_of(used, use), wanted=_of(wanted, use))
            check(f"Maximum number of instances per {use}", used=0, wanted=_of(wanted, use) // parallel)

    def _wanted(self, operation: str, parameters: Record) -> Instances:
        if operation == "CreateTrainingJob":
            return _training(parameters)
        if operation == "CreateHyperParameterTuningJob":
            return _trials(parameters)
        if operation == "CreateProcessingJob":
            return _processing(parameters)
        if operation == "CreateTransformJob":
            return _transform(parameters)
        config = self._store.get(ENDPOINT_CONFIG, parameters["EndpointConfigName"])
        return _variants(config["ProductionVariants"])

    def _used(self) -> Instances:
        """Return what runs.

        A tuning job holds the instances of all of its parallel trials. An endpoint that is being updated has its old
        fleet and its new one.
        """
        used: Instances = Counter()
        for job in self._running(TRAINING_JOB):
            if "TuningJobArn" not in job:
                used += _training(job)
        for job in self._running(TUNING_JOB):
            used += _trials(job)
        for job in self._running(PROCESSING_JOB):
            used += _processing(job)
        for job in self._running(TRANSFORM_JOB):
            used += _transform(job)
        for endpoint in self._store.all(ENDPOINT):
            if endpoint["EndpointStatus"] != "Failed":
                pending = endpoint.get("PendingDeploymentSummary", {}).get("EndpointConfigName")
                for config in (endpoint["EndpointConfigName"], pending):
                    used += self._fleets.get((endpoint["EndpointName"], config), Counter())
        return used

    def _running(self, kind: Kind) -> list[Record]:
        return [record for record in self._store.all(kind) if record[kind.status_member] in _RUNNING]


def _of(instances: Instances, use: str) -> int:
    return sum(count for (_, other), count in instances.items() if other == use)


def _training(job: Mapping[str, Any]) -> Instances:
    use = "spot training job" if job.get("EnableManagedSpotTraining") else "training job"
    return _cluster(job.get("ResourceConfig", {}), use)


def _trials(job: Mapping[str, Any]) -> Instances:
    parallel = job["HyperParameterTuningJobConfig"]["ResourceLimits"]["MaxParallelTrainingJobs"]
    each = _training(job.get("TrainingJobDefinition") or {})
    return Counter({key: count * parallel for key, count in each.items()})


def _processing(job: Mapping[str, Any]) -> Instances:
    return _cluster(job["ProcessingResources"].get("ClusterConfig", {}), "processing job")


def _transform(job: Mapping[str, Any]) -> Instances:
    return _cluster(job["TransformResources"], "transform job")


def _cluster(config: Mapping[str, Any], use: str) -> Instances:
    if "InstanceType" not in config:
        return Counter()
    return Counter({(config["InstanceType"], use): config.get("InstanceCount", 1)})


def _variants(variants: list[dict[str, Any]]) -> Instances:
    wanted: Instances = Counter()
    for variant in variants:
        if "InstanceType" in variant:
            wanted[variant["InstanceType"], "endpoint"] += variant.get("InitialInstanceCount", 1)
    return wanted
