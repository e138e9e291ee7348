"""What the service needs of its surroundings: a cloud to live in and programs that stand for images."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from local.sagemaker.errors import validation
from local.sagemaker.rule_evaluator import RuleEvaluator

__all__ = ["Host", "Image", "find_image"]


@dataclass(frozen=True)
class Image:
    """Local programs that stand for a container image.

    Attributes:
        pattern: regular expression searched for in an image URI.
        train: argv of a training job's program, or None where the image cannot train. The folder of `argv[0]` comes
            first on the PATH of everything that runs in this image.
        serve: argv of an endpoint's program, or None where the image cannot serve.
        evaluate: what evaluates Debugger's rules, or None where the image cannot.
        environment: the image's own environment variables (a Dockerfile's ENV).
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
        """The account everything belongs to, 12 digits."""
        ...

    @property
    def region(self) -> str:
        """The region, e.g. `us-east-1`."""
        ...

    @property
    def endpoint_url(self) -> str:
        """Where the cloud's services answer."""
        ...

    @property
    def debugger_access(self) -> bool:
        """Whether the account used Debugger before 2026-07-30, when it was closed to new customers."""
        ...

    def credentials(self, role_arn: str, session_name: str) -> dict[str, str]:
        """Environment variables (`AWS_…`) of a process that acts as this role."""
        ...

    def publish(self, *, detail_type: str, detail: dict[str, Any], resources: list[str]) -> None:
        """Put an event of source `aws.sagemaker` on the default EventBridge bus."""
        ...


def find_image(images: Sequence[Image], uri: str) -> Image:
    """The first image whose pattern occurs in the URI.

    Raises:
        SageMakerError: ValidationException naming the URI and what this machine has.
    """
    for image in images:
        if re.search(image.pattern, uri):
            return image
    known = ", ".join(image.pattern for image in images) or "none"
    raise validation(f"The image '{uri}' has no program on this machine. Images matching these patterns have: {known}.")
