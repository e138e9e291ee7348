"""What an earlier run left that a retry of it can go on with: the best values of its search, its trained model.

Its features are found as those of any earlier run are (features_cache.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError
from shared.aws_errors import is_missing_job, is_unreadable_object

import contract

from .overrides import InvalidInput
from .warm_start import NewTuning, searched_in, static_values

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient

__all__ = ["RetriedRun", "go_on_with", "same_photos"]

_MOST_ATTEMPTS: Final = 9
"""More than the names that a run gives a job which it makes again (infra/workflow/job.py)."""

_CODE: Final = "sagemaker_submit_directory"


@dataclass(frozen=True, kw_only=True)
class RetriedRun:
    """The earlier run, and what the new one would train with."""

    runs: list[str]
    """The run that is tried again, then the one that it went on with itself, and so on."""
    name_prefix: str
    tuning: NewTuning
    training: contract.TrialCode


def same_photos(s3: S3Client, *, bucket: str, run: str, summary: contract.DatasetSummary) -> list[str]:
    """Return the run that is tried again, and before it each that its predecessor went on with, the newest first.

    A run that goes on with another one trains nothing itself, so that what it left is the other's work.

    Raises:
        InvalidInput: its photos or its splits were others, or there is no such run.
    """
    earlier = _summary_of(s3, bucket=bucket, run=run)
    if earlier is None:
        raise InvalidInput(
            f"retry_of={run!r} in the input names no run that got past CheckDataset (there is no "
            f"s3://{bucket}/{_summary_key(run)}); give a run as `whippet status` lists it, or leave it out"
        )
    if earlier["fingerprint"] != summary["fingerprint"]:
        raise InvalidInput(
            f"run {run} cannot be gone on with: the photos or their splits have changed since, from "
            f"{earlier['images']} photos to {summary['images']}; leave retry_of out to start anew"
        )

    runs = [run]
    while earlier is not None and (before := earlier.get("retry_of")) and before not in runs:
        runs.append(before)
        earlier = _summary_of(s3, bucket=bucket, run=before)
    return runs


def _summary_key(run: str) -> str:
    return f"{contract.RUNS_PREFIX}{run}/manifest/{contract.Artefact.DATASET_SUMMARY}"


def _summary_of(s3: S3Client, *, bucket: str, run: str) -> contract.DatasetSummary | None:
    """Return what CheckDataset wrote of a run's photos; None where there is nothing."""
    try:
        body = s3.get_object(Bucket=bucket, Key=_summary_key(run))["Body"].read()
    except ClientError as error:
        if is_unreadable_object(error):
            return None
        raise
    found: contract.DatasetSummary = json.loads(body)
    return found


def go_on_with(sagemaker: SageMakerClient, plan: contract.Plan, *, retried: RetriedRun) -> None:
    """Add to the plan what the earlier run completed, and let it name the earlier run's jobs and places for it.

    Raises:
        InvalidInput: what decides the search or the training has changed since.
    """
    run, prefix = retried.runs[0], retried.name_prefix
    reused = contract.ReusedWork(run=run)
    different: list[str] = []

    # the best values of the search
    _, tuning = _completed(
        retried.runs,
        job_of=lambda earlier: contract.tuning_job_name(prefix, earlier),
        describe=lambda name: sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name),
        status="HyperParameterTuningJobStatus",
    )
    best = {} if tuning is None else tuning.get("BestTrainingJob", {}).get("TunedHyperParameters", {})
    if tuning is not None and best:
        different += _other_search(tuning, plan, retried.tuning)
        reused["best"] = contract.BestTrainingJob(TunedHyperParameters=dict(best))
        plan["tuning"]["job"] = tuning["HyperParameterTuningJobName"]

    # the model that was trained with them
    trained_by, training = _completed(
        retried.runs,
        job_of=lambda earlier: contract.training_job_name(prefix, earlier),
        describe=lambda name: sagemaker.describe_training_job(TrainingJobName=name),
        status="TrainingJobStatus",
    )
    if training is not None and best:
        different += _other_training(training, plan, retried)
        reused["training"] = _trained(training)
        plan["training"]["job"] = training["TrainingJobName"]
        plan["training"]["output"] = f"{training['OutputDataConfig']['S3OutputPath'].rstrip('/')}/"
        plan["rules"]["tensors"] = plan["rules"]["tensors"].replace(f"/{plan['run']}/", f"/{trained_by}/")

    if different:
        raise InvalidInput(
            f"run {run} cannot be gone on with, since these have changed: {', '.join(dict.fromkeys(different))}; give "
            "the input and the settings of that run, or leave retry_of out to start anew"
        )
    plan["reused"] = reused


def _completed(
    runs: list[str], *, job_of: Callable[[str], str], describe: Callable[[str], Mapping[str, Any]], status: str
) -> tuple[str, Mapping[str, Any] | None]:
    """Return the first of these runs that completed a job, and the last attempt's description; None where none did."""
    for run in runs:
        done = [job for job in _attempts(job_of(run), describe) if job[status] == "Completed"]
        if done:
            return run, done[-1]
    return runs[0], None


def _attempts(name: str, describe: Callable[[str], Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the descriptions of a job and of those that the run made in its place, under further names."""
    for attempt in range(1, _MOST_ATTEMPTS + 1):
        try:
            yield describe(name if attempt == 1 else f"{name}-{attempt}")
        except ClientError as error:
            if not is_missing_job(error):
                raise
            return


def _other_search(job: Mapping[str, Any], plan: contract.Plan, new: NewTuning) -> list[str]:
    """Return what decides a search and differs, as the settings and the input name it."""
    config, definition = job["HyperParameterTuningJobConfig"], job["TrainingJobDefinition"]
    values = _other_values(static_values(job), new.static)
    different = ["epochs of a trial" if name == "epochs" else name for name in values]
    if _ranges(config["ParameterRanges"]) != _ranges(plan["tuning"]["ranges"]):
        different.append("the ranges that are searched")
    if config["ResourceLimits"]["MaxNumberOfTrainingJobs"] != plan["tuning"]["trials"]:
        different.append("trials")
    if config["HyperParameterTuningJobObjective"]["MetricName"] != new.objective:
        different.append("tuning.objective")
    if definition["AlgorithmSpecification"]["TrainingImage"] != new.image:
        different.append("the image of trials")
    return different


def _other_training(job: Mapping[str, Any], plan: contract.Plan, retried: RetriedRun) -> list[str]:
    """Return what decides a training and differs, apart from the values that the search chose."""
    chosen = searched_in({"ParameterRanges": plan["tuning"]["ranges"]})
    wanted = {name: value for name, value in plan["hyperparameters"].items() if name not in chosen}
    wanted[_CODE] = retried.training["source"]
    given = {name: value for name, value in job["HyperParameters"].items() if name in wanted}
    different = _other_values(given, wanted)
    if job["AlgorithmSpecification"]["TrainingImage"] != retried.training["image"]:
        different.append("the image of the training")
    return different


def _other_values(given: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    names = [name for name in {**given, **wanted} if given.get(name) != wanted.get(name)]
    return ["the code of the jobs" if name == _CODE else name for name in names]


def _ranges(ranges: Mapping[str, Any]) -> dict[str, Any]:
    """Return each hyperparameter's range, without the kinds that have none, which SageMaker answers as empty lists."""
    return {entry["Name"]: dict(entry) for entries in ranges.values() for entry in entries}


def _trained(job: Mapping[str, Any]) -> contract.ReusedTraining:
    variables = job.get("Environment", {})
    evaluator: contract.Evaluator = "off"
    if job.get("DebugRuleConfigurations"):
        evaluator = "managed"
    elif contract.JobVariable.SAVE_INTERVAL.value in variables:
        evaluator = "own"
    return contract.ReusedTraining(
        job=job["TrainingJobName"], model=job["ModelArtifacts"]["S3ModelArtifacts"], evaluator=evaluator
    )
