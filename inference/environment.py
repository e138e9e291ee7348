"""What the container's environment says of the answers."""

from __future__ import annotations

import os

import contract
from inference.classifier import ModelError, available_cores

__all__ = [
    "batch_parameters",
    "metrics_endpoint",
    "metrics_seconds",
    "name_unknown",
    "release",
    "threads_of_a_worker",
    "worker_count",
]


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


def worker_count() -> int:
    """Return the number of workers: `SAGEMAKER_MODEL_SERVER_WORKERS`, or one for each core.

    Raises:
        ModelError: the variable is no whole number above 0.
    """
    value = os.environ.get("SAGEMAKER_MODEL_SERVER_WORKERS") or str(available_cores())
    if not value.isdecimal() or int(value) < 1:
        raise ModelError(f"SAGEMAKER_MODEL_SERVER_WORKERS is {value!r}; set it to a whole number above 0")
    return int(value)


def threads_of_a_worker() -> int:
    """Return the CPU threads that a worker classifies with."""
    return max(1, available_cores() // worker_count())


def metrics_endpoint() -> str | None:
    """Return the endpoint's name, under which metrics are written to the log; None where they are not."""
    return os.environ.get(contract.ServingVariable.METRICS_ENDPOINT) or None


def metrics_seconds() -> float:
    """Return the seconds between two lines of metrics; CloudWatch keeps a minute as its finest step by default.

    Raises:
        ModelError: the variable is no number above 0.
    """
    variable = contract.ServingVariable.METRICS_SECONDS
    value = os.environ.get(variable) or "60"
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ModelError(f"the environment variable {variable} is {value!r}; set it to a number of seconds above 0")
    return seconds
