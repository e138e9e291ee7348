"""Check that this machine can run a CreateTrainingJob request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.sagemaker.context import Context
from local.sagemaker.errors import validation
from local.sagemaker.host import Image, find_image
from local.sagemaker.jobs.debugger_request import check_debugger_request
from local.sagemaker.jobs.metrics import MetricReader

__all__ = ["check_training_request"]

MAX_INSTANCES = 8
"""Hosts of a training job, each a process of this machine."""

_REQUIRED = ("AlgorithmSpecification", "RoleArn", "OutputDataConfig", "ResourceConfig", "StoppingCondition")
_UNSUPPORTED = ("ServerlessJobConfig", "ModelPackageConfig")


def check_training_request(context: Context, parameters: Mapping[str, Any]) -> Image:
    """Check the request, and return the image that the job runs in.

    Raises:
        SageMakerError: ValidationException that says what is wrong or not supported.
    """
    for name in _REQUIRED:
        if name not in parameters:
            raise validation(
                f"1 validation error detected: Value null at '{name[0].lower()}{name[1:]}' failed to satisfy "
                "constraint: Member must not be null"
            )
    for name in _UNSUPPORTED:
        if parameters.get(name):
            raise validation(f"The local SageMaker does not support {name}; leave it out.")
    check_debugger_request(context, parameters)

    # the image and its metrics
    algorithm = parameters["AlgorithmSpecification"]
    if "TrainingImage" not in algorithm:
        raise validation(
            "You must specify AlgorithmSpecification.TrainingImage; the local SageMaker has no built-in algorithms."
        )
    image = find_image(context.images, algorithm["TrainingImage"])
    if image.train is None and "ContainerEntrypoint" not in algorithm:
        raise validation(f"The image '{algorithm['TrainingImage']}' cannot train on this machine.")
    MetricReader(algorithm.get("MetricDefinitions", []))

    # instances, and the time limits of spot instances
    resources = parameters["ResourceConfig"]
    if "InstanceGroups" in resources:
        raise validation("The local SageMaker does not support InstanceGroups; give InstanceType and InstanceCount.")
    if not 1 <= resources.get("InstanceCount", 1) <= MAX_INSTANCES:
        raise validation(
            f"The local SageMaker trains on at most {MAX_INSTANCES} instances, each a process of this machine; give "
            "ResourceConfig.InstanceCount within that."
        )
    if parameters.get("EnableManagedSpotTraining"):
        stopping = parameters["StoppingCondition"]
        if stopping.get("MaxWaitTimeInSeconds", 0) < stopping.get("MaxRuntimeInSeconds", 86_400):
            raise validation(
                "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds"
            )

    # input channels
    names = [channel["ChannelName"] for channel in parameters.get("InputDataConfig", [])]
    if len(names) != len(set(names)):
        raise validation(f"Channel names must be unique: {', '.join(names)}")
    for channel in parameters.get("InputDataConfig", []):
        _check_channel(channel, algorithm["TrainingInputMode"])
    return image


def _check_channel(channel: Mapping[str, Any], default_mode: str) -> None:
    name = channel["ChannelName"]
    if name in (".", ".."):
        raise validation(f"'{name}' is not a channel's name.")
    source = channel["DataSource"].get("S3DataSource")
    if source is None:
        raise validation(f"Channel {name}: the local SageMaker reads S3DataSource only.")
    if source["S3DataType"] not in ("S3Prefix", "ManifestFile"):
        raise validation(
            f"Channel {name}: the local SageMaker reads S3Prefix and ManifestFile, not {source['S3DataType']}."
        )
    if channel.get("InputMode", default_mode) == "Pipe":
        raise validation(f"Channel {name}: the local SageMaker does not support Pipe mode; give File or FastFile.")
    if channel.get("CompressionType", "None") != "None":
        raise validation(f"Channel {name}: the local SageMaker does not unpack channels; give CompressionType=None.")
