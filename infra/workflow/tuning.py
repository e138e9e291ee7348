"""Phase 3: the search for the best learning rate and batch size."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.workflow.jobs import JobParts, channel, hyperparameters
from infra.workflow.task import FailureRoute, sagemaker_task
from training.contract import METRICS, OBJECTIVE, Channel, EntryPoint, JobVariable

__all__ = ["BEST_VALUES", "tuning_phase"]

BEST_VALUES = "$.tuning.BestTrainingJob.TunedHyperParameters"
_LONGEST_TUNING = cdk.Duration.days(30)
"""SageMaker's quota for a tuning job; the plan's own, shorter limit stands in `ResourceLimits`."""

_TRIAL_METRICS = ("train:loss", "validation:loss", "validation:accuracy")


def tuning_phase(
    scope: Construct, *, parts: JobParts, failure: FailureRoute, following: sfn.IChainable
) -> sfn.CustomState:
    """Tune → TrialSucceeded? → `following`; returns the first. The best values stand at `BEST_VALUES`."""
    tuning, training = parts.settings.tuning, parts.settings.training
    job = sagemaker_task(
        scope,
        "Tune",
        call="createHyperParameterTuningJob.sync",
        payload={
            "HyperParameterTuningJobName.$": "$.plan.tuning.job",
            "HyperParameterTuningJobConfig": {
                "Strategy": tuning.strategy,
                "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": OBJECTIVE.name},
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
                    left_out=("learning_rate", "batch_size"),
                ),
                "AlgorithmSpecification": {
                    "TrainingImage": parts.tuning_image,
                    "TrainingInputMode": "File",
                    "MetricDefinitions": [METRICS[name].definition for name in _TRIAL_METRICS],
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
            "Tags": parts.tags,
        },
        result_path="$.tuning",
        timeout=_LONGEST_TUNING,
    )
    failure.catch(job)
    found = sfn.Choice(scope, "TrialSucceeded?")
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
    job.next(found)
    return job
