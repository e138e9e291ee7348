"""What the payloads of the three kinds of training job have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import aws_cdk as cdk

from infra.settings import Settings
from training import contract

__all__ = ["JobParts", "channel", "hyperparameters", "wait_for_machine"]

_QUEUE = cdk.Duration.hours(1)
"""What a job may wait for its machine and spend on downloads, beside its own time limit."""


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

    @property
    def tags(self) -> list[dict[str, str]]:
        """On everything a run makes, so that costs can be told apart."""
        return [{"Key": "whippet:environment", "Value": self.settings.env}]

    def weights_channel(self) -> list[dict[str, Any]]:
        """The channel with pretrained weights, where the settings name a file of them."""
        return [channel(contract.Channel.WEIGHTS, uri=self.weights_uri)] if self.weights_uri else []


def channel(name: contract.Channel, *, path: str | None = None, uri: str | None = None) -> dict[str, Any]:
    """An input channel of files below an S3 URI, which is given or stands at a JSONPath of the state's input."""
    location = {"S3Uri.$": path} if path else {"S3Uri": uri}
    return {
        "ChannelName": name.value,
        "InputMode": "File",
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
) -> dict[str, str]:
    """`HyperParameters` of a job: the toolkit's own two, and every one of the contract.

    Values come from `$.plan.hyperparameters`, which CheckDataset made of settings and overrides, but for those that
    `paths` takes from elsewhere and those `left_out` (which the tuning job chooses).
    """
    chosen = {
        field.name: paths.get(field.name, f"$.plan.hyperparameters.{field.name}")
        for field in fields(contract.Hyperparameters)
        if field.name not in left_out
    }
    return {
        "sagemaker_program": program.value,
        "sagemaker_submit_directory": source_uri,
        **{f"{name}.$": path for name, path in chosen.items()},
    }


def wait_for_machine(minutes: int) -> cdk.Duration:
    """How long a state waits for a job that may run for `minutes`."""
    return cdk.Duration.minutes(minutes).plus(_QUEUE)
