"""Phase 2: the photos' features, computed once for a data set and a backbone."""

from __future__ import annotations

from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.workflow.jobs import JobParts, channel, hyperparameters, wait_for_machine
from infra.workflow.task import FailureRoute, sagemaker_task
from training.contract import Channel, EntryPoint, JobVariable

__all__ = ["features_phase"]


def features_phase(
    scope: Construct, *, parts: JobParts, failure: FailureRoute, following: sfn.IChainable
) -> sfn.Choice:
    """FeaturesReady? → Features → `following`; returns the choice. The arrays lie at `$.plan.features.uri`."""
    training = parts.settings.training
    job = sagemaker_task(
        scope,
        "Features",
        call="createTrainingJob.sync",
        payload={
            "TrainingJobName.$": "$.plan.features.job",
            "AlgorithmSpecification": {"TrainingImage": parts.training_image, "TrainingInputMode": "File"},
            "HyperParameters": hyperparameters(program=EntryPoint.FEATURES, source_uri=parts.source_uri, paths={}),
            "InputDataConfig": [
                channel(Channel.DATASET, path="$.plan.dataset_uri"),
                channel(Channel.MANIFEST, path="$.plan.manifest_uri"),
                *parts.weights_channel(),
            ],
            # Not packed: the trials read the arrays as they lie, and CheckDataset can see each with its size.
            "OutputDataConfig": {"S3OutputPath.$": "$.plan.features.output", "CompressionType": "NONE"},
            "ResourceConfig": {
                "InstanceType": training.instance_type,
                "InstanceCount": 1,
                "VolumeSizeInGB": training.volume_gib,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": training.max_minutes * 60},
            "Environment": {
                f"{JobVariable.RUN}.$": "$.plan.run",
                f"{JobVariable.FEATURES_KEY}.$": "$.plan.features.key",
            },
            "RoleArn": parts.role_arn,
            "Tags": parts.tags,
        },
        timeout=wait_for_machine(training.max_minutes),
    )
    failure.catch(job)
    job.next(following)
    ready = sfn.Choice(scope, "FeaturesReady?", comment="An unchanged data set is never embedded twice.")
    ready.when(sfn.Condition.boolean_equals("$.plan.features.ready", True), following)
    ready.otherwise(job)
    return ready
