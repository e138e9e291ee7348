"""The surroundings that the service needs: a cloud to live in, and local programs that stand for container images."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from local.sagemaker.errors import validation
from local.sagemaker.rule_evaluator import RuleEvaluator

__all__ = ["DebuggerAccess", "Host", "Image", "find_image"]


class DebuggerAccess(StrEnum):
    """What SageMaker Debugger, which was closed to new customers on 2026-07-30, does for an account."""

    REFUSED = "false"
    """A request with any member of Debugger is refused."""

    GRANTED = "true"
    """Rules are evaluated, since the account used Debugger before."""

    UNEVALUATED = "unevaluated"
    """Such a request is accepted, but no rule is evaluated, and the description has no statuses of rules."""

    ERROR = "error"
    """Such a request is accepted, and every rule ends with the status Error."""


@dataclass(frozen=True)
class Image:
    """Local programs that stand for a container image.

    Attributes:
        pattern: regular expression searched for in an image URI.
        train: argv of the program of a training job, or None if the image cannot train. The folder of `argv[0]` comes
            first on the PATH of everything that runs in this image.
        serve: argv of the program of an endpoint, or None if the image cannot serve.
        evaluate: evaluates Debugger's rules; None if the image cannot.
        environment: the image's own environment variables (ENV of a Dockerfile).
    """

    pattern: str
    train: Sequence[str] | None = None
    serve: Sequence[str] | None = None
    evaluate: RuleEvaluator | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


class Host(Protocol):
    """The cloud around the service."""

    @property
    def account_id(self) -> str:
        """The 12 digits of the account that everything belongs to."""
        ...

    @property
    def region(self) -> str:
        """The Region, e.g. `us-east-1`."""
        ...

    @property
    def endpoint_url(self) -> str:
        """The URL at which the cloud's services answer."""
        ...

    @property
    def debugger_access(self) -> DebuggerAccess:
        """What SageMaker Debugger does for the account."""
        ...

    def denial(self, role_arn: str, *, action: str, resource: str) -> str | None:
        """Return AWS's message if the role's policies do not allow the action on the resource, else None."""
        ...

    def credentials(self, role_arn: str, session_name: str) -> dict[str, str]:
        """Return environment variables (`AWS_…`) for a process that acts as this role."""
        ...

    def publish(self, *, detail_type: str, detail: dict[str, Any], resources: list[str]) -> None:
        """Put an event with the source `aws.sagemaker` on the default EventBridge bus."""
        ...

    def measure(self, *, namespace: str, metrics: Mapping[str, float], dimensions: Mapping[str, str]) -> None:
        """Put a value of each of these metrics into CloudWatch."""
        ...

    def alarm_states(self, names: Sequence[str]) -> Mapping[str, str]:
        """Return the states of the CloudWatch alarms with these names; one that does not exist is not among them."""
        ...


def find_image(images: Sequence[Image], uri: str) -> Image:
    """Return the first image whose pattern occurs in the URI.

    Raises:
        SageMakerError: ValidationException that names the URI and the images that this machine has.
    """
    for image in images:
        if re.search(image.pattern, uri):
            return image
    known = ", ".join(image.pattern for image in images) or "none"
    raise validation(f"The image '{uri}' has no program on this machine. Images matching these patterns have: {known}.")
