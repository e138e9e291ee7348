"""Phase 3: the search for the best learning rate and batch size."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from contract import METRICS, OBJECTIVES, TRIAL_METRICS, Channel, EntryPoint
from infra.instances import gpus
from infra.settings import TuningSettings
from infra.workflow.jobs import CHECKPOINTS, JobParts, channel, hyperparameters
from infra.workflow.task import FailureRoute, sagemaker_task

__all__ = ["BEST_VALUES", "no_trial_succeeded", "searched", "tuning_phase"]

BEST_VALUES = "$.tuning.BestTrainingJob.TunedHyperParameters"
_LONGEST_TUNING = cdk.Duration.days(30)
"""SageMaker's quota for a tuning job; the plan's own, shorter limit stands in `ResourceLimits`."""


def tuning_phase(
    scope: Construct,
    *,
    parts: JobParts,
    failure: FailureRoute,
    finetune: bool,
    no_trial: sfn.IChainable,
    following: sfn.IChainable,
) -> sfn.State:
    """Tune → TrialSucceeded? → `following` or `no_trial`; returns the first. The best values stand at `BEST_VALUES`.

    Where the backbone is trained, too, the states are TuneNetwork and NetworkTrialSucceeded?, and a trial needs the
    photos, the machine and the packages of a training, where otherwise the features are enough.
    """
    found = sfn.Choice(scope, "NetworkTrialSucceeded?" if finetune else "TrialSucceeded?")
    found.when(sfn.Condition.is_present(BEST_VALUES), following)
    found.otherwise(no_trial)
    cold = _job(scope, "TuneNetwork" if finetune else "Tune", parts=parts, failure=failure, finetune=finetune)
    cold.next(found)
    if finetune or not parts.settings.tuning.warm_start:
        return cold
    # A request's member cannot be left out by a JSONPath, hence two states that differ in it.
    warm = _job(scope, "TuneFromEarlier", parts=parts, failure=failure, warm_start="$.plan.tuning.warm_start")
    warm.next(found)
    first = sfn.Choice(scope, "EarlierTuningFits?")
    first.when(sfn.Condition.is_present("$.plan.tuning.warm_start"), warm).otherwise(cold)
    return first


def searched(tuning: TuningSettings) -> tuple[str, ...]:
    """Hyperparameters whose values the tuning job chooses."""
    return ("learning_rate", "batch_size", *tuning.also_searched)


def _job(
    scope: Construct,
    name: str,
    *,
    parts: JobParts,
    failure: FailureRoute,
    finetune: bool = False,
    warm_start: str | None = None,
) -> sfn.CustomState:
    """The tuning job's state; `warm_start` is where the request's `WarmStartConfig` stands, if it has one."""
    tuning, training = parts.settings.tuning, parts.settings.training
    machine = training.instance_type if finetune else tuning.instance_type
    job = sagemaker_task(
        scope,
        name,
        call="createHyperParameterTuningJob.sync",
        payload={
            "HyperParameterTuningJobName.$": "$.plan.tuning.job",
            "HyperParameterTuningJobConfig": {
                "Strategy": tuning.strategy,
                "HyperParameterTuningJobObjective": OBJECTIVES[tuning.objective].definition,
                "ResourceLimits": {
                    "MaxNumberOfTrainingJobs.$": "$.plan.tuning.trials",
                    "MaxParallelTrainingJobs.$": "$.plan.tuning.parallel_trials",
                    "MaxRuntimeInSeconds.$": "$.plan.tuning.max_seconds",
                },
                "ParameterRanges.$": "$.plan.tuning.ranges",
                "TrainingJobEarlyStoppingType": "Auto" if tuning.early_stopping else "Off",
                "RandomSeed": training.seed % 2**31,
            },
            "TrainingJobDefinition": {
                "StaticHyperParameters": hyperparameters(
                    program=EntryPoint.TRIAL,
                    source_uri=parts.source_uri if finetune else parts.trial_source_uri,
                    paths={"epochs": "$.plan.tuning.epochs"},
                    left_out=searched(tuning),
                    processes=gpus(machine) if finetune else 1,
                ),
                "AlgorithmSpecification": {
                    "TrainingImage": parts.training_image if finetune else parts.tuning_image,
                    "TrainingInputMode": "File",
                    "MetricDefinitions": [METRICS[metric].definition for metric in TRIAL_METRICS],
                },
                **_inputs(parts, finetune=finetune),
                "OutputDataConfig": {"S3OutputPath.$": "$.plan.tuning.output"},
                "ResourceConfig": parts.resources(machine),
                **parts.limits(tuning.max_minutes, spot=training.spot and finetune),
                "Environment": parts.environment(machine, {}),
                "RoleArn": parts.role_arn,
            },
            **({"WarmStartConfig.$": warm_start} if warm_start else {}),
            "Tags": parts.tags,
        },
        result_path="$.tuning",
        timeout=_LONGEST_TUNING,
    )
    failure.catch(job)
    return job


def no_trial_succeeded(scope: Construct, *, failure: FailureRoute) -> sfn.Pass:
    """Where a tuning job without a best trial leads."""
    return failure.fail(
        scope,
        "NoTrialSucceeded",
        error="NoTrialSucceeded",
        cause="The tuning job ended without a single finished trial; look at its training jobs' logs in "
        "/aws/sagemaker/TrainingJobs.",
    )


def _inputs(parts: JobParts, *, finetune: bool) -> dict[str, Any]:
    """What a trial reads. A trial on features takes seconds and starts anew; fine-tuning goes on where it was."""
    if not finetune:
        return {"InputDataConfig": [channel(Channel.FEATURES, path="$.plan.features.uri")]}
    return {
        "InputDataConfig": parts.photo_channels(),
        # The checkpoints of two trials cannot be mistaken for each other, in one folder or in several: they carry
        # what they belong to (training/runtime/checkpoints.py).
        "CheckpointConfig": {"S3Uri.$": "$.plan.tuning.checkpoints", "LocalPath": CHECKPOINTS},
    }
