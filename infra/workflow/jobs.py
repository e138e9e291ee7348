"""What the payloads of the three kinds of training job have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import aws_cdk as cdk

import contract
from infra.instances import gpus
from infra.settings import Settings

__all__ = ["CHECKPOINTS", "JobParts", "channel", "hyperparameters"]

CHECKPOINTS = "/opt/ml/checkpoints"
"""`CheckpointConfig.LocalPath`: the service's default, where the jobs look for their checkpoints."""

_RETRIES = 2
"""Attempts after the first that SageMaker makes of a job which its own side interrupted (InternalServerError)."""

_QUEUE = cdk.Duration.hours(1)
"""What a job may wait for its machine and spend on downloads, beside its own time limit."""

_SPOT_WAIT = cdk.Duration.hours(24)
"""What a job may wait for spot capacity, at its start and after interruptions, beside its own time limit."""


@dataclass(frozen=True, kw_only=True)
class JobParts:
    """What the phases need from the rest of the stack to write their payloads."""

    settings: Settings
    role_arn: str
    training_image: str
    tuning_image: str
    source_uri: str
    trial_source_uri: str
    weights_uri: str | None
    rules_image: str
    rules_program_uri: str
    rules_program: str
    """The file's name in the job."""
    debugger_image: str
    debugger_way: str
    """`managed` where the region has Debugger's image, else `own`."""
    code_version: str
    """Hash of the training code's bundle."""

    @property
    def tags(self) -> list[dict[str, str]]:
        """On everything a run makes, so that costs can be told apart."""
        return [{"Key": "whippet:environment", "Value": self.settings.env}]

    def resources(self, instance_type: str, *, count: int = 1) -> dict[str, Any]:
        """`ResourceConfig`."""
        volume = self.settings.training.volume_gib
        return {"InstanceType": instance_type, "InstanceCount": count, "VolumeSizeInGB": volume}

    def environment(self, instance_type: str, variables: Mapping[str, str]) -> dict[str, str]:
        """`Environment`: the run the job belongs to, `variables`, and what makes CPUs fast where there is no GPU."""
        tuned = {} if gpus(instance_type) else contract.JOB_ENVIRONMENT
        return {f"{contract.JobVariable.RUN}.$": "$.plan.run", **tuned, **variables}

    def limits(self, minutes: int, *, spot: bool = False) -> dict[str, Any]:
        """`StoppingCondition` and what becomes of a job whose machine is lost."""
        stopping = {"MaxRuntimeInSeconds": minutes * 60}
        if spot:
            stopping["MaxWaitTimeInSeconds"] = minutes * 60 + int(_SPOT_WAIT.to_seconds())
        return {
            "StoppingCondition": stopping,
            "RetryStrategy": {"MaximumRetryAttempts": _RETRIES},
            **({"EnableManagedSpotTraining": True} if spot else {}),
        }

    @staticmethod
    def wait(minutes: int, *, spot: bool = False) -> cdk.Duration:
        """How long a state waits for a job that may run for `minutes`."""
        return cdk.Duration.minutes(minutes).plus(_SPOT_WAIT if spot else _QUEUE)

    def photo_channels(self) -> list[dict[str, Any]]:
        """The photos, the manifest that says which is what, and weights where the settings name a file of them."""
        return [
            channel(contract.Channel.DATASET, path="$.plan.dataset_uri", input_mode=self.settings.dataset.input_mode),
            channel(contract.Channel.MANIFEST, path="$.plan.manifest_uri"),
            *self.weights_channel(),
        ]

    def weights_channel(self) -> list[dict[str, Any]]:
        """The channel with pretrained weights, where the settings name a file of them."""
        return [channel(contract.Channel.WEIGHTS, uri=self.weights_uri)] if self.weights_uri else []


def channel(
    name: contract.Channel, *, path: str | None = None, uri: str | None = None, input_mode: str = "File"
) -> dict[str, Any]:
    """An input channel of files below an S3 URI, which is given or stands at a JSONPath of the state's input.

    Every machine gets all of it: jobs on several share the photos by their keys.
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
    processes: int = 1,
) -> dict[str, str]:
    """`HyperParameters` of a job: the toolkit's own two, and every one of the contract.

    Values come from `$.plan.hyperparameters`, which CheckDataset made of settings and overrides, but for those that
    `paths` takes from elsewhere and those `left_out` (which the tuning job chooses). More `processes` than one are
    started by torchrun, for which the toolkit reads `sagemaker_torch_distributed_enabled`
    (sagemaker_pytorch_container/training.py).
    """
    chosen = {
        field.name: paths.get(field.name, f"$.plan.hyperparameters.{field.name}")
        for field in fields(contract.Hyperparameters)
        if field.name not in left_out
    }
    return {
        "sagemaker_program": program.value,
        "sagemaker_submit_directory": source_uri,
        **({"sagemaker_torch_distributed_enabled": "true"} if processes > 1 else {}),
        **{f"{name}.$": path for name, path in chosen.items()},
    }
