"""The machines of each job of a run, and how long the job kept them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import contract

from ..run_context import RunContext
from ..sagemaker_jobs import NotStarted, described, seconds_between
from ..tuning_job import read_tuning

__all__ = ["MachineTime", "machine_times"]


@dataclass(frozen=True)
class MachineTime:
    """The machines of one job, or of all trials of a tuning job together."""

    title: str
    job: str
    status: str
    instance_type: str
    instances: int
    seconds: float
    """Seconds for which each of the instances is billed."""
    spot: bool


def machine_times(run: RunContext) -> list[MachineTime]:
    """Return the machines of features, trials, training and rules, as far as these jobs were started.

    Raises:
        Missing: SageMaker could not be asked about one of them, without which a sum would be too low.
    """
    found = []
    for read in (_features, _trials, _training, _rules):
        try:
            found.append(read(run))
        except NotStarted:
            continue
    return found


def _features(run: RunContext) -> MachineTime:
    return _training_job(run, contract.features_job_name(run.prefix, run.name), title="Features")


def _training(run: RunContext) -> MachineTime:
    return _training_job(run, contract.training_job_name(run.prefix, run.name), title="Training")


def _training_job(run: RunContext, job: str, *, title: str) -> MachineTime:
    answer: Mapping[str, Any] = described(lambda: run.sagemaker.describe_training_job(TrainingJobName=job), job=job)
    resources = answer["ResourceConfig"]
    seconds = answer.get("BillableTimeInSeconds")
    if seconds is None:
        seconds = seconds_between(answer.get("TrainingStartTime"), answer.get("TrainingEndTime"))
    return MachineTime(
        title=title,
        job=job,
        status=answer["TrainingJobStatus"],
        instance_type=resources["InstanceType"],
        instances=resources["InstanceCount"],
        seconds=float(seconds or 0),
        spot=bool(answer.get("EnableManagedSpotTraining")),
    )


def _trials(run: RunContext) -> MachineTime:
    """Sum the trials, each billed from its start to its end; the summaries do not say what spot instances save."""
    search = read_tuning(run)
    return MachineTime(
        title=f"Tuning, {len(search.trials)} trials",
        job=search.job,
        status=search.status,
        instance_type=search.instance_type,
        instances=search.instances,
        seconds=sum(trial.seconds or 0.0 for trial in search.trials),
        spot=search.spot,
    )


def _rules(run: RunContext) -> MachineTime:
    job = contract.rules_job_name(run.prefix, run.name)
    answer: Mapping[str, Any] = described(lambda: run.sagemaker.describe_processing_job(ProcessingJobName=job), job=job)
    cluster = answer["ProcessingResources"]["ClusterConfig"]
    return MachineTime(
        title="Rules",
        job=job,
        status=answer["ProcessingJobStatus"],
        instance_type=cluster["InstanceType"],
        instances=cluster["InstanceCount"],
        seconds=seconds_between(answer.get("ProcessingStartTime"), answer.get("ProcessingEndTime")) or 0.0,
        spot=False,
    )
