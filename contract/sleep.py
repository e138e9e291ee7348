"""A real-time endpoint that sleeps: the record of the configuration that it served, and the request that wakes it.

The record is an SSM parameter of the stack. It counts only while there is no endpoint, or one that failed to start:
what the endpoint itself serves is always right.
"""

from __future__ import annotations

from typing import Final, TypedDict

__all__ = [
    "NOTHING_SLEEPS",
    "WAKING_MINUTES",
    "Tag",
    "WakeRequest",
    "environment_tags",
    "has_model",
    "sleeping_config",
    "wake_request",
]

NOTHING_SLEEPS: Final = "none"
"""The record where no model sleeps; a parameter's value cannot be empty, and a configuration's name has a hyphen."""

WAKING_MINUTES: Final = 8
"""About how long SageMaker takes to start a real-time endpoint (`endpoint` in local/sagemaker/start_times.py)."""


class Tag(TypedDict):
    """A tag as SageMaker's API takes it."""

    Key: str
    Value: str


class WakeRequest(TypedDict):
    """The request of CreateEndpoint with which a sleeping model comes back."""

    EndpointName: str
    EndpointConfigName: str
    Tags: list[Tag]


def environment_tags(env: str) -> list[Tag]:
    """Return the tags of everything that is created for an environment; they tell the costs of environments apart."""
    return [{"Key": "whippet:environment", "Value": env}]


def has_model(status: str | None) -> bool:
    """Return whether an endpoint of this status, None for no endpoint, has a configuration that is in service.

    One that is being created or deleted has. Where this is false, a model may sleep.
    """
    return status not in (None, "Failed")


def sleeping_config(record: str) -> str | None:
    """Return the name of the configuration that a record names, or None where no model sleeps."""
    return None if record == NOTHING_SLEEPS else record


def wake_request(*, endpoint: str, config: str, env: str) -> WakeRequest:
    """Return the request that creates the endpoint as a run creates it, with a configuration that sleeps."""
    return {"EndpointName": endpoint, "EndpointConfigName": config, "Tags": environment_tags(env)}
