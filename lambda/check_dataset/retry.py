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

__all__ = ["RetriedRun", "go_on_with", "refuse_other_photos"]

_MOST_ATTEMPTS: Final = 9
"""More than the names that a run gives a job which it makes again (infra/workflow/job.py)."""

_CODE: Final = "sagemaker_submit_directory"


@dataclass(frozen=True, kw_only=True)
class RetriedRun:
    """The earlier run, and what the new one would train with."""

    run: str
    name_prefix: str
    tuning: NewTuning
    training: contract.TrialCode


def refuse_other_photos(s3: S3Client, *, bucket: str, run: str, summary: contract.DatasetSummary) -> None:
    """Refuse to go on with a run whose photos, or whose splits, were others.

    Raises:
        InvalidInput: they were, or there is no such run.
    """
    key = f"{contract.RUNS_PREFIX}{run}/manifest/{contract.Artefact.DATASET_SUMMARY}"
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if is_unreadable_object(error):
            raise InvalidInput(
                f"retry_of={run!r} in the input names no run that got past CheckDataset (there is no "
                f"s3://{bucket}/{key}); give a run as `whippet status` lists it, or leave it out"
            ) from None
        raise
    earlier: contract.DatasetSummary = json.loads(body)
    if earlier["fingerprint"] != summary["fingerprint"]:
        raise InvalidInput(
            f"run {run} cannot be gone on with: the photos or their splits have changed since, from "
            f"{earlier['images']} photos to {summary['images']}; leave retry_of out to start anew"
        )


def go_on_with(sagemaker: SageMakerClient, plan: contract.Plan, *, retried: RetriedRun) -> None:
    """Add to the plan what the earlier run completed, and let it name the earlier run's jobs and places for it.

    Raises:
        InvalidInput: what decides the search or the training has changed since.
    """
    run, prefix = retried.run, retried.name_prefix
    reused = contract.ReusedWork(run=run)
    different: list[str] = []

    # the best values of the search
    tuning = _completed(
        contract.tuning_job_name(prefix, run),
        describe=lambda name: sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name),
        status="HyperParameterTuningJobStatus",
    )
    best = {} if tuning is None else tuning.get("BestTrainingJob", {}).get("TunedHyperParameters", {})
    if tuning is not None and best:
        different += _other_search(tuning, plan, retried.tuning)
        reused["best"] = contract.BestTrainingJob(TunedHyperParameters=dict(best))
        plan["tuning"]["job"] = tuning["HyperParameterTuningJobName"]

    # the model that was trained with them
    training = _completed(
        contract.training_job_name(prefix, run),
        describe=lambda name: sagemaker.describe_training_job(TrainingJobName=name),
        status="TrainingJobStatus",
    )
    if training is not None and best:
        different += _other_training(training, plan, retried)
        reused["training"] = _trained(training)
        plan["training"]["job"] = training["TrainingJobName"]
        plan["training"]["output"] = f"{training['OutputDataConfig']['S3OutputPath'].rstrip('/')}/"
        plan["rules"]["tensors"] = plan["rules"]["tensors"].replace(f"/{plan['run']}/", f"/{run}/")

    if different:
        raise InvalidInput(
            f"run {run} cannot be gone on with, since these have changed: {', '.join(dict.fromkeys(different))}; give "
            "the input and the settings of that run, or leave retry_of out to start anew"
        )
    plan["reused"] = reused


def _completed(name: str, *, describe: Callable[[str], Mapping[str, Any]], status: str) -> Mapping[str, Any] | None:
    """Return the description of the last attempt at a job that completed; None where none did."""
    done = [job for job in _attempts(name, describe) if job[status] == "Completed"]
    return done[-1] if done else None


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
