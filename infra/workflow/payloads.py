"""What the payloads of the states have in common: the stack's parts that they name, and the members of a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_sns as sns

import contract
from contract import JOB_ENVIRONMENT
from infra.dataset import Dataset
from infra.images import DebuggerImage, TrainingImage
from infra.instances import gpus
from infra.names import Names
from infra.pause import SleepRecord
from infra.scaling import Scaling
from infra.settings import Settings
from infra.source_bundle import SourceBundle
from infra.workflow.protection import Protection

__all__ = ["CHECKPOINTS", "RunParts", "channel", "hyperparameters"]

CHECKPOINTS = "/opt/ml/checkpoints"
"""`CheckpointConfig.LocalPath`: the service's default, where the jobs look for their checkpoints."""

_QUEUE = cdk.Duration.hours(4)
"""How long a job may wait for its instance, download its inputs and upload its results, beyond its own time limit.

SageMaker counts MaxRuntimeInSeconds from the job's start, so a job may queue for longer; the run then stops it.
"""

_SPOT_WAIT = cdk.Duration.hours(24)
"""How long a job may wait for spot capacity, at its start and after interruptions, beyond its own time limit."""


@dataclass(frozen=True, kw_only=True)
class RunParts:
    """The parts of the stack that the run's states and functions use, and the members of a job made from them."""

    settings: Settings
    names: Names
    dataset: Dataset
    topic: sns.Topic
    sources: SourceBundle
    training_image: TrainingImage
    debugger_image: DebuggerImage
    job_role_arn: str
    serving_image_uri: str
    serving_repository_arn: str | None
    """The ECR repository of the serving image; None for an image of another registry."""
    endpoint_role_arn: str
    sleep_record: SleepRecord
    scaling: Scaling
    protection: Protection

    @property
    def finetunes(self) -> bool:
        """Whether the trials and the training train the backbone too, and not only a head on its features."""
        return self.settings.training.mode == "finetune"

    @property
    def source_uri(self) -> str:
        """The code of jobs that install further packages."""
        return self.sources.with_requirements.s3_object_url

    @property
    def trial_source_uri(self) -> str:
        """The code of trials: on features they need no further packages."""
        return self.source_uri if self.finetunes else self.sources.bare.s3_object_url

    @property
    def trial_instance_type(self) -> str:
        """The instance type of trials: a fine-tuning needs that of the training."""
        return self.settings.training.instance_type if self.finetunes else self.settings.tuning.instance_type

    @property
    def code_version(self) -> str:
        """Hash of the training code."""
        return self.sources.with_requirements.asset_hash

    @property
    def tags(self) -> list[contract.Tag]:
        """The tags of everything that a run creates."""
        return contract.environment_tags(self.settings.env)

    def resources(self, instance_type: str, *, count: int = 1) -> dict[str, Any]:
        """Return the member `ResourceConfig`."""
        volume = self.settings.training.volume_gib
        return {"InstanceType": instance_type, "InstanceCount": count, "VolumeSizeInGB": volume}

    def environment(self, instance_type: str, variables: Mapping[str, str]) -> dict[str, str]:
        """Return the member `Environment`: the job's run, weights and wheels, `variables`, and what speeds up CPUs."""
        tuned = {} if gpus(instance_type) else JOB_ENVIRONMENT
        key = self.settings.training.weights
        weights = {contract.JobVariable.WEIGHTS.value: key.rpartition("/")[2]} if key else {}
        packages = contract.pip_variables() if self.settings.training.wheels else {}
        return {f"{contract.JobVariable.RUN}.$": "$.plan.run", **weights, **packages, **tuned, **variables}

    @property
    def serving_container(self) -> dict[str, Any]:
        """The container of the run's model, the same in the registry and in service."""
        named = str(self.settings.serving.name_unknown).lower()
        return {
            "Image": self.serving_image_uri,
            "ModelDataUrl.$": "$.training.model",
            "Environment": {
                contract.ServingVariable.NAME_UNKNOWN: named,
                f"{contract.ServingVariable.RELEASE}.$": "$.plan.name",
                contract.ServingVariable.METRICS_ENDPOINT: self.names.endpoint,
            },
        }

    def limits(self, minutes: int, *, spot: bool = False) -> dict[str, Any]:
        """Return the members that limit a job's time."""
        stopping = {"MaxRuntimeInSeconds": minutes * 60}
        if spot:
            stopping["MaxWaitTimeInSeconds"] = minutes * 60 + int(_SPOT_WAIT.to_seconds())
        return {
            "StoppingCondition": stopping,
            **({"EnableManagedSpotTraining": True} if spot else {}),
        }

    @staticmethod
    def wait(minutes: int, *, spot: bool = False) -> cdk.Duration:
        """Return how long a state waits for a job that may run for `minutes`: longer than SageMaker lets it take."""
        return cdk.Duration.minutes(minutes).plus(_SPOT_WAIT if spot else cdk.Duration.seconds(0)).plus(_QUEUE)

    def photo_channels(self, *, streamed: bool = False) -> list[dict[str, Any]]:
        """Return the channels with the photos, their manifest, and the weights and wheels that the settings name.

        The photos come as the setting says, or streamed to a job of which each instance reads only some of them.
        """
        weights, wheels = self.settings.training.weights, self.settings.training.wheels
        mode = "FastFile" if streamed else self.settings.dataset.input_mode
        return [
            channel(contract.Channel.DATASET, path="$.plan.dataset_uri", input_mode=mode),
            channel(contract.Channel.MANIFEST, path="$.plan.manifest_uri"),
            *([channel(contract.Channel.WEIGHTS, uri=self.dataset.uri(weights))] if weights else []),
            *([channel(contract.Channel.WHEELS, uri=self.dataset.uri(wheels))] if wheels else []),
        ]


def channel(
    name: contract.Channel, *, path: str | None = None, uri: str | None = None, input_mode: str = "File"
) -> dict[str, Any]:
    """Return an input channel: the files below the S3 URI `uri`, or below the one at the JSONPath `path`.

    Every instance gets all of them: jobs on several instances share the photos by their keys.
    """
    location = {"S3Uri.$": path} if path else {"S3Uri": uri}
    return {
        "ChannelName": name.value,
        "InputMode": input_mode,
        "DataSource": {
            "S3DataSource": {"S3DataType": "S3Prefix", "S3DataDistributionType": "FullyReplicated", **location}
        },
    }


def hyperparameters(
    *,
    program: contract.EntryPoint,
    source_uri: str,
    paths: Mapping[str, str],
    left_out: Sequence[str] = (),
    torchrun: bool = False,
) -> dict[str, str]:
    """Return the member `HyperParameters`: the training toolkit's own, and every one of the contract.

    Args:
        program: The script that the job runs.
        source_uri: The code that holds it.
        paths: JSONPaths of the values that do not come from `$.plan.hyperparameters`, which CheckDataset made of the
            settings and the run's overrides.
        left_out: Names that the tuning job chooses values for.
        torchrun: Whether torchrun starts the program, once for each GPU that nvidia-smi shows; the toolkit reads
            `sagemaker_torch_distributed_enabled` (sagemaker_pytorch_container/training.py).
    """
    chosen = {
        field.name: paths.get(field.name, f"$.plan.hyperparameters.{field.name}")
        for field in fields(contract.Hyperparameters)
        if field.name not in left_out
    }
    return {
        "sagemaker_program": program.value,
        "sagemaker_submit_directory": source_uri,
        **({"sagemaker_torch_distributed_enabled": "true"} if torchrun else {}),
        **{f"{name}.$": path for name, path in chosen.items()},
    }
