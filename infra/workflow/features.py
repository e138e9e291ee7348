"""Phase 2: the features of the photos, computed once for a data set and a backbone, or each that is searched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_cdk import aws_stepfunctions as sfn

from contract import Channel, EntryPoint, JobVariable
from infra.workflow.job import JobPlan, sagemaker_job
from infra.workflow.payloads import RunParts, channel, hyperparameters
from infra.workflow.task import FailureRoute, RunScope

__all__ = ["features_phase"]

_PLAN = JobPlan(
    member="features",
    job="-features",
    kept=("ready", "extends", "previous", "key", "output"),
    # the job writes below its own name
    renamed={"uri": "States.Format('{{}}{job}/output/model/', $.plan.features.output, {arguments})"},
)


def features_phase(scope: RunScope, *, parts: RunParts, failure: FailureRoute, following: sfn.IChainable) -> sfn.Choice:
    """FeaturesReady? → Features, ExtendFeatures or neither → `following`; return FeaturesReady?.

    The features then lie below the S3 URI at `$.plan.features.uri`.
    """
    compute = _job(scope, "Features", parts=parts, failure=failure)
    # A channel with an empty prefix fails a job, so only the job that extends earlier features has this one.
    previous = channel(Channel.PREVIOUS_FEATURES, path="$.plan.features.previous")
    extend = _job(scope, "ExtendFeatures", parts=parts, failure=failure, further_channels=[previous])
    for job in (compute, extend):
        job.next(following)

    ready = sfn.Choice(scope, "FeaturesReady?", comment="No photo is embedded twice.")
    ready.when(sfn.Condition.boolean_equals("$.plan.features.ready", True), following)
    ready.when(sfn.Condition.boolean_equals("$.plan.features.extends", True), extend)
    ready.otherwise(compute)
    return ready


def _variables(parts: RunParts) -> dict[str, str]:
    """Return the job's own variables: the features' key, and the backbones where the search chooses among some."""
    backbones = parts.settings.tuning.backbones
    return {
        f"{JobVariable.FEATURES_KEY}.$": "$.plan.features.key",
        **({JobVariable.BACKBONES.value: ",".join(backbones)} if backbones else {}),
    }


def _job(
    scope: RunScope,
    name: str,
    *,
    parts: RunParts,
    failure: FailureRoute,
    further_channels: Sequence[dict[str, Any]] = (),
) -> sfn.CustomState:
    training, instances = parts.settings.training, parts.settings.features.instance_count
    # Each of several instances would copy every photo to read its share of them.
    photos = parts.photo_channels(streamed=instances > 1)
    return sagemaker_job(
        scope,
        name,
        call="createTrainingJob.sync",
        plan=_PLAN,
        payload={
            "TrainingJobName.$": _PLAN.name,
            "AlgorithmSpecification": {
                "TrainingImage": parts.training_image.uri(training.instance_type),
                "TrainingInputMode": "File",
            },
            "HyperParameters": hyperparameters(program=EntryPoint.FEATURES, source_uri=parts.source_uri, paths={}),
            "InputDataConfig": [*photos, *further_channels],
            # Not compressed: trials read the arrays in place, and CheckDataset sees the size of each.
            "OutputDataConfig": {"S3OutputPath.$": "$.plan.features.output", "CompressionType": "NONE"},
            "ResourceConfig": parts.resources(training.instance_type, count=instances),
            **parts.limits(training.max_minutes),
            "Environment": parts.environment(training.instance_type, _variables(parts)),
            "RoleArn": parts.job_role_arn,
            "Tags": parts.tags,
        },
        failure=failure,
        timeout=parts.wait(training.max_minutes),
    )
