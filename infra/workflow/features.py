"""Phase 2: the photos' features, computed once for a data set and a backbone."""

from __future__ import annotations

from typing import Any

from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from contract import Channel, EntryPoint, JobVariable
from infra.workflow.jobs import JobParts, channel, hyperparameters
from infra.workflow.task import FailureRoute, sagemaker_task

__all__ = ["features_phase"]


def features_phase(
    scope: Construct, *, parts: JobParts, failure: FailureRoute, following: sfn.IChainable
) -> sfn.Choice:
    """FeaturesReady? → Features or ExtendFeatures → `following`; returns the choice.

    The arrays lie at `$.plan.features.uri`.
    """
    compute = _job(scope, "Features", parts=parts)
    # A channel whose prefix holds nothing fails a job, so the job that starts anew must not have this one.
    previous = channel(Channel.PREVIOUS_FEATURES, path="$.plan.features.previous")
    extend = _job(scope, "ExtendFeatures", parts=parts, further_channels=[previous])
    for job in (compute, extend):
        failure.catch(job)
        job.next(following)
    ready = sfn.Choice(scope, "FeaturesReady?", comment="No photo is embedded twice.")
    ready.when(sfn.Condition.boolean_equals("$.plan.features.ready", True), following)
    ready.when(sfn.Condition.boolean_equals("$.plan.features.extends", True), extend)
    ready.otherwise(compute)
    return ready


def _job(
    scope: Construct, name: str, *, parts: JobParts, further_channels: list[dict[str, Any]] | None = None
) -> sfn.CustomState:
    training = parts.settings.training
    return sagemaker_task(
        scope,
        name,
        call="createTrainingJob.sync",
        payload={
            "TrainingJobName.$": "$.plan.features.job",
            "AlgorithmSpecification": {"TrainingImage": parts.training_image, "TrainingInputMode": "File"},
            "HyperParameters": hyperparameters(program=EntryPoint.FEATURES, source_uri=parts.source_uri, paths={}),
            "InputDataConfig": [*parts.photo_channels(), *(further_channels or [])],
            # Not packed: the trials read the arrays as they lie, and CheckDataset can see each with its size.
            "OutputDataConfig": {"S3OutputPath.$": "$.plan.features.output", "CompressionType": "NONE"},
            "ResourceConfig": parts.resources(training.instance_type, count=parts.settings.features.instance_count),
            **parts.limits(training.max_minutes),
            "Environment": parts.environment(
                training.instance_type, {f"{JobVariable.FEATURES_KEY}.$": "$.plan.features.key"}
            ),
            "RoleArn": parts.role_arn,
            "Tags": parts.tags,
        },
        timeout=parts.wait(training.max_minutes),
    )
