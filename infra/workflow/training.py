"""Phase 4: the best values, trained in full; evaluated on the test split; exported."""

from __future__ import annotations

from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.instances import gpus
from infra.workflow.jobs import CHECKPOINTS, JobParts, channel, hyperparameters
from infra.workflow.task import FailureRoute, sagemaker_task
from infra.workflow.tuning import BEST_VALUES, searched
from training.contract import METRICS, Channel, EntryPoint

__all__ = ["training_phase"]


def training_phase(scope: Construct, *, parts: JobParts, failure: FailureRoute, finetune: bool) -> sfn.CustomState:
    """Train, or TrainNetwork where the backbone is trained, too; afterwards `$.training.model` is the model's URI."""
    training = parts.settings.training
    processes = max(1, gpus(training.instance_type)) * training.instance_count if finetune else 1
    features = [] if finetune else [channel(Channel.FEATURES, path="$.plan.features.uri")]
    job = sagemaker_task(
        scope,
        "TrainNetwork" if finetune else "Train",
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
                processes=processes,
            ),
            "InputDataConfig": [*features, *parts.photo_channels()],
            "OutputDataConfig": {"S3OutputPath.$": "$.plan.training.output"},
            "CheckpointConfig": {"S3Uri.$": "$.plan.training.checkpoints", "LocalPath": CHECKPOINTS},
            "ResourceConfig": parts.resources(training.instance_type, count=training.instance_count if finetune else 1),
            **parts.limits(training.max_minutes, spot=training.spot),
            "Environment": parts.environment(training.instance_type, {}),
            "RoleArn": parts.role_arn,
            "Tags": parts.tags,
        },
        result_path="$.training",
        result_selector={"job.$": "$.TrainingJobName", "model.$": "$.ModelArtifacts.S3ModelArtifacts"},
        timeout=parts.wait(training.max_minutes, spot=training.spot),
    )
    failure.catch(job)
    return job
