"""The machines of each job of a run, and how long the job kept them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import contract

from ..run_context import RunContext
from ..sagemaker_jobs import NotStarted, described
from ..tuning_job import read_tuning

__all__ = ["machine_times"]


def machine_times(run: RunContext) -> list[contract.MachineTime]:
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


def _features(run: RunContext) -> contract.MachineTime:
    return _training_job(run, contract.features_job_name(run.prefix, run.name), title="Features")


def _training(run: RunContext) -> contract.MachineTime:
    return _training_job(run, contract.training_job_name(run.prefix, run.name), title="Training")


def _training_job(run: RunContext, job: str, *, title: str) -> contract.MachineTime:
    answer: Mapping[str, Any] = described(lambda: run.sagemaker.describe_training_job(TrainingJobName=job), job=job)
    return contract.training_time(answer, job=job, title=title)


def _trials(run: RunContext) -> contract.MachineTime:
    """Sum the trials, each billed from its start to its end; the summaries do not say what spot instances save."""
    search = read_tuning(run)
    return contract.MachineTime(
        title=f"Tuning, {len(search.trials)} trials",
        job=search.job,
        status=search.status,
        instance_type=search.instance_type,
        instances=search.instances,
        seconds=sum(trial.seconds or 0.0 for trial in search.trials),
        spot=search.spot,
    )


def _rules(run: RunContext) -> contract.MachineTime:
    job = contract.rules_job_name(run.prefix, run.name)
    answer: Mapping[str, Any] = described(lambda: run.sagemaker.describe_processing_job(ProcessingJobName=job), job=job)
    return contract.processing_time(answer, job=job, title="Rules")
