"""Phase 4: the best values, trained in full; evaluated on the test split; exported."""

from __future__ import annotations

from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.workflow.jobs import JobParts, channel, hyperparameters, wait_for_machine
from infra.workflow.task import FailureRoute, sagemaker_task
from infra.workflow.tuning import BEST_VALUES, searched
from training.contract import METRICS, Channel, EntryPoint, JobVariable

__all__ = ["training_phase"]


def training_phase(scope: Construct, *, parts: JobParts, failure: FailureRoute) -> sfn.CustomState:
    """Train; afterwards `$.training.model` is the URI of the model's archive."""
    training = parts.settings.training
    job = sagemaker_task(
        scope,
        "Train",
        call="createTrainingJob.sync",
        payload={
            "TrainingJobName.$": "$.plan.training.job",
            "AlgorithmSpecification": {
                "TrainingImage": parts.training_image,
                "TrainingInputMode": "File",
                "MetricDefinitions": [metric.definition for metric in METRICS.values()],
            },
            "HyperParameters": hyperparameters(
                program=EntryPoint.TRAIN,
                source_uri=parts.source_uri,
                paths={name: f"{BEST_VALUES}.{name}" for name in searched(parts.settings.tuning)},
            ),
            "InputDataConfig": [
                channel(Channel.FEATURES, path="$.plan.features.uri"),
                channel(Channel.DATASET, path="$.plan.dataset_uri"),
                channel(Channel.MANIFEST, path="$.plan.manifest_uri"),
                *parts.weights_channel(),
            ],
            "OutputDataConfig": {"S3OutputPath.$": "$.plan.training.output"},
            "ResourceConfig": {
                "InstanceType": training.instance_type,
                "InstanceCount": 1,
                "VolumeSizeInGB": training.volume_gib,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": training.max_minutes * 60},
            "Environment": {f"{JobVariable.RUN}.$": "$.plan.run"},
            "RoleArn": parts.role_arn,
            "Tags": parts.tags,
        },
        result_path="$.training",
        result_selector={"job.$": "$.TrainingJobName", "model.$": "$.ModelArtifacts.S3ModelArtifacts"},
        timeout=wait_for_machine(training.max_minutes),
    )
    failure.catch(job)
    return job
