"""What a request for a transform job must hold, and what the local SageMaker does not play."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from local.sagemaker.errors import validation
from local.sagemaker.store import Record

__all__ = ["TransformOptions", "read_request"]

_MAX_PAYLOADS: Final = 100
"""Largest product of MaxConcurrentTransforms and MaxPayloadInMB (API reference, "CreateTransformJob")."""

_UNSUPPORTED: Final = ("DataCaptureConfig", "DataProcessing", "ExperimentConfig")


@dataclass(frozen=True)
class TransformOptions:
    """A request's options, with AWS's defaults for what it leaves out."""

    concurrency: int
    """Requests that the container gets at once."""
    max_payload: int
    """Bytes that one may have."""
    timeout: int
    """Seconds within which it must be answered."""
    attempts: int
    """How often an object is tried."""


def read_request(parameters: Record) -> TransformOptions:
    """Return the options of a request that this machine can carry out.

    Raises:
        SageMakerError: it breaks a limit, or asks for what is not supported.
    """
    for name in _UNSUPPORTED:
        if parameters.get(name):
            raise validation(f"The local SageMaker does not support {name} of transform jobs; leave it out.")
    source = parameters["TransformInput"]
    if source.get("SplitType", "None") != "None" or source.get("CompressionType", "None") != "None":
        raise validation(
            "The local SageMaker passes each object whole to the container; give SplitType=None and "
            "CompressionType=None."
        )
    if source["DataSource"]["S3DataSource"]["S3DataType"] == "AugmentedManifestFile":
        raise validation("The local SageMaker reads S3Prefix and ManifestFile; give one of them as S3DataType.")
    if parameters["TransformResources"]["InstanceCount"] != 1:
        raise validation("The local SageMaker runs transform jobs on one instance; give InstanceCount=1.")

    # 0 stands for AWS's default, too
    client = parameters.get("ModelClientConfig", {})
    concurrency = parameters.get("MaxConcurrentTransforms") or 1
    payload = parameters.get("MaxPayloadInMB", 6)
    if concurrency * payload > _MAX_PAYLOADS:
        raise validation(
            f"MaxConcurrentTransforms * MaxPayloadInMB must be at most {_MAX_PAYLOADS}, but it is "
            f"{concurrency} * {payload}."
        )
    return TransformOptions(
        concurrency=concurrency,
        max_payload=payload * 2**20,
        timeout=client.get("InvocationsTimeoutInSeconds", 600),
        attempts=1 + client.get("InvocationsMaxRetries", 0),
    )
