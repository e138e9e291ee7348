"""Phase 3: the search for the best learning rate and batch size."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.settings import TuningSettings
from infra.workflow.jobs import JobParts, channel, hyperparameters
from infra.workflow.task import FailureRoute, sagemaker_task
from training.contract import METRICS, OBJECTIVES, TRIAL_METRICS, Channel, EntryPoint, JobVariable

__all__ = ["BEST_VALUES", "searched", "tuning_phase"]

BEST_VALUES = "$.tuning.BestTrainingJob.TunedHyperParameters"
_LONGEST_TUNING = cdk.Duration.days(30)
"""SageMaker's quota for a tuning job; the plan's own, shorter limit stands in `ResourceLimits`."""


def tuning_phase(scope: Construct, *, parts: JobParts, failure: FailureRoute, following: sfn.IChainable) -> sfn.State:
    """Tune → TrialSucceeded? → `following`; returns the first. The best values stand at `BEST_VALUES`."""
    found = sfn.Choice(scope, "TrialSucceeded?")
    cold = _job(scope, "Tune", parts=parts, failure=failure)
    cold.next(found)
    first: sfn.State = cold
    if parts.settings.tuning.warm_start:
        # A request's member cannot be left out by a JSONPath, hence two states that differ in it.
        warm = _job(scope, "TuneFromEarlier", parts=parts, failure=failure, warm_start="$.plan.tuning.warm_start")
        warm.next(found)
        first = sfn.Choice(scope, "EarlierTuningFits?")
        first.when(sfn.Condition.is_present("$.plan.tuning.warm_start"), warm).otherwise(cold)
    found.when(sfn.Condition.is_present(BEST_VALUES), following)
    found.otherwise(
        failure.fail(
            scope,
            "NoTrialSucceeded",
            error="NoTrialSucceeded",
            cause="The tuning job ended without a single finished trial; look at its training jobs' logs in "
            "/aws/sagemaker/TrainingJobs.",
        )
    )
    return first


def searched(tuning: TuningSettings) -> tuple[str, ...]:
    """Hyperparameters whose values the tuning job chooses."""
    return ("learning_rate", "batch_size", *tuning.also_searched)


def _job(
    scope: Construct, name: str, *, parts: JobParts, failure: FailureRoute, warm_start: str | None = None
) -> sfn.CustomState:
    """The tuning job's state; `warm_start` is where the request's `WarmStartConfig` stands, if it has one."""
    tuning, training = parts.settings.tuning, parts.settings.training
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
                    source_uri=parts.trial_source_uri,
                    paths={"epochs": "$.plan.tuning.epochs"},
                    left_out=searched(tuning),
                ),
                "AlgorithmSpecification": {
                    "TrainingImage": parts.tuning_image,
                    "TrainingInputMode": "File",
                    "MetricDefinitions": [METRICS[metric].definition for metric in TRIAL_METRICS],
                },
                "InputDataConfig": [channel(Channel.FEATURES, path="$.plan.features.uri")],
                "OutputDataConfig": {"S3OutputPath.$": "$.plan.tuning.output"},
                "ResourceConfig": {
                    "InstanceType": tuning.instance_type,
                    "InstanceCount": 1,
                    "VolumeSizeInGB": training.volume_gib,
                },
                "StoppingCondition": {"MaxRuntimeInSeconds": tuning.max_minutes * 60},
                "Environment": {f"{JobVariable.RUN}.$": "$.plan.run"},
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
