"""What the container's environment says of the answers."""

from __future__ import annotations

import os

import contract
from inference.classifier import ModelError

__all__ = ["batch_parameters", "name_unknown", "release"]


def batch_parameters() -> str | None:
    """Return the parameters of every photo where SageMaker runs a transform job, as CustomAttributes; else None.

    SageMaker says so by SAGEMAKER_BATCH (developer guide, "Use Your Own Inference Code with Batch Transform").
    """
    if os.environ.get("SAGEMAKER_BATCH") != "true":
        return None
    return os.environ.get(contract.ServingVariable.BATCH_PARAMETERS, "")


def name_unknown() -> bool:
    """Return whether answers name the likeliest class of an unknown photo, too; they do unless it is said otherwise.

    Raises:
        ModelError: the variable is neither `true` nor `false`.
    """
    variable = contract.ServingVariable.NAME_UNKNOWN
    value = os.environ.get(variable, "true")
    if value not in ("true", "false"):
        raise ModelError(f"the environment variable {variable} is {value!r}; set it to true or false")
    return value == "true"


def release() -> str:
    """Return the name of the release; empty where the container was not started by one."""
    return os.environ.get(contract.ServingVariable.RELEASE, "")
