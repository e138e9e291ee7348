"""The trials of a tuning job as the Describe and List operations show them."""

from __future__ import annotations

from typing import Any

from local.sagemaker.listing import page
from local.sagemaker.resources import TRAINING_JOB, TUNING_JOB
from local.sagemaker.store import Record, Store

__all__ = ["best_trial", "list_trials", "objectives", "trials_of", "with_counters"]

_COUNTERS = {
    "Completed": "Completed",
    "InProgress": "InProgress",
    "Stopping": "InProgress",
    "Failed": "NonRetryableError",
    "Stopped": "Stopped",
}
_SUMMARY = (
    "TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingStartTime", "TrainingEndTime", "TrainingJobStatus",
    "FailureReason",
)  # fmt: skip


def trials_of(store: Store, tuning_job_arn: str) -> list[Record]:
    """Return the records of the training jobs that a tuning job has started, in order of creation."""
    return [job for job in store.all(TRAINING_JOB) if job.get("TuningJobArn") == tuning_job_arn]


def with_counters(store: Store, tuning_job: Record) -> Record:
    """Return the tuning job's record with its counters and its best trial, as Describe and List answer it."""
    statuses = dict.fromkeys(("Completed", "InProgress", "RetryableError", "NonRetryableError", "Stopped"), 0)
    objectives = {"Succeeded": 0, "Pending": 0, "Failed": 0}
    for trial in trials_of(store, tuning_job["HyperParameterTuningJobArn"]):
        summary = _summary(tuning_job, trial)
        statuses[_COUNTERS[trial["TrainingJobStatus"]]] += 1
        objectives[summary["ObjectiveStatus"]] += 1

    config = tuning_job["HyperParameterTuningJobConfig"]
    best = best_trial(store, tuning_job)
    return {
        **tuning_job,
        "TrainingJobStatusCounters": statuses,
        "ObjectiveStatusCounters": objectives,
        "Strategy": config["Strategy"],
        "ResourceLimits": config["ResourceLimits"],
        **({"BestTrainingJob": best} if best is not None else {}),
        **_overall_best(store, tuning_job, best),
    }


def objectives(store: Store, tuning_job: Record) -> list[tuple[dict[str, str], float]]:
    """Return the hyperparameters and the objective of every trial that has an objective."""
    summaries = [_summary(tuning_job, trial) for trial in trials_of(store, tuning_job["HyperParameterTuningJobArn"])]
    return [
        ({**tuning_job["TrainingJobDefinition"].get("StaticHyperParameters", {}), **summary["TunedHyperParameters"]},
         _objective(summary))
        for summary in summaries
        if summary["ObjectiveStatus"] == "Succeeded"
    ]  # fmt: skip


def _overall_best(store: Store, tuning_job: Record, best: dict[str, Any] | None) -> dict[str, Any]:
    """Return `OverallBestTrainingJob`, the best trial of the job and of its parents, if they are comparable."""
    warm_start = tuning_job.get("WarmStartConfig")
    if not warm_start or warm_start["WarmStartType"] != "IdenticalDataAndAlgorithm":
        return {}
    found = [{**best, "TuningJobName": tuning_job["HyperParameterTuningJobName"]}] if best else []
    for parent in warm_start["ParentHyperParameterTuningJobs"]:
        name = parent["HyperParameterTuningJobName"]
        of_parent = best_trial(store, store.get(TUNING_JOB, name))
        found += [{**of_parent, "TuningJobName": name}] if of_parent else []
    return {"OverallBestTrainingJob": _best_of(tuning_job, found)} if found else {}


def best_trial(store: Store, tuning_job: Record) -> dict[str, Any] | None:
    """Return the summary of the completed trial with the best objective; None before there is one."""
    summaries = [
        _summary(tuning_job, trial)
        for trial in trials_of(store, tuning_job["HyperParameterTuningJobArn"])
        if trial["TrainingJobStatus"] == "Completed"
    ]
    found = [summary for summary in summaries if summary["ObjectiveStatus"] == "Succeeded"]
    if not found:
        return None
    return _best_of(tuning_job, found)


def _best_of(tuning_job: Record, summaries: list[dict[str, Any]]) -> dict[str, Any]:
    maximise = tuning_job["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]["Type"] == "Maximize"
    return (max if maximise else min)(summaries, key=_objective)


def list_trials(store: Store, parameters: Record) -> dict[str, Any]:
    """Answer ListTrainingJobsForHyperParameterTuningJob.

    Raises:
        SageMakerError: there is no such tuning job.
    """
    tuning_job = store.get(TUNING_JOB, parameters["HyperParameterTuningJobName"])
    summaries = [_summary(tuning_job, trial) for trial in trials_of(store, tuning_job["HyperParameterTuningJobArn"])]
    if "StatusEquals" in parameters:
        summaries = [entry for entry in summaries if entry["TrainingJobStatus"] == parameters["StatusEquals"]]

    by = parameters.get("SortBy", "Name")
    if by == "FinalObjectiveMetricValue":
        # the API lists only trials that have an objective then
        summaries = [entry for entry in summaries if "FinalHyperParameterTuningJobObjectiveMetric" in entry]
        summaries.sort(key=_objective)
    else:
        member = {"Name": "TrainingJobName", "Status": "TrainingJobStatus", "CreationTime": "CreationTime"}[by]
        summaries.sort(key=lambda entry: entry[member])
    if parameters.get("SortOrder", "Ascending") == "Descending":
        summaries.reverse()

    shown, token = page(summaries, parameters)
    return {"TrainingJobSummaries": shown, **token}


def _objective(summary: dict[str, Any]) -> float:
    return float(summary["FinalHyperParameterTuningJobObjectiveMetric"]["Value"])


def _summary(tuning_job: Record, trial: Record) -> dict[str, Any]:
    config = tuning_job["HyperParameterTuningJobConfig"]
    objective = config["HyperParameterTuningJobObjective"]
    tuned = {entry["Name"] for entries in config["ParameterRanges"].values() for entry in entries}
    found = [entry for entry in trial.get("FinalMetricDataList", []) if entry["MetricName"] == objective["MetricName"]]
    ended = trial["TrainingJobStatus"] in ("Completed", "Failed", "Stopped")

    summary = {member: trial[member] for member in _SUMMARY if member in trial}
    summary["TunedHyperParameters"] = {k: v for k, v in trial["HyperParameters"].items() if k in tuned}

    # a failed trial has no objective, even if it printed one
    if not ended:
        summary["ObjectiveStatus"] = "Pending"
    elif found and trial["TrainingJobStatus"] != "Failed":
        summary["ObjectiveStatus"] = "Succeeded"
        summary["FinalHyperParameterTuningJobObjectiveMetric"] = {
            "Type": objective["Type"],
            "MetricName": objective["MetricName"],
            "Value": found[-1]["Value"],
        }
    else:
        summary["ObjectiveStatus"] = "Failed"
    return summary
