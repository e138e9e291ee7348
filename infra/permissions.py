"""A statement of an IAM policy, with the reason for the wildcards in its resources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aws_cdk import aws_iam as iam

__all__ = ["ASSETS", "LOG_STREAMS", "MODEL_VERSIONS", "NO_RESOURCES", "OBJECTS", "RUN_NAMES", "Permission"]

NO_RESOURCES: Final = "IAM has no resource-level permissions for these actions."
RUN_NAMES: Final = (
    "The name begins with the environment's prefix and ends with the run's id, which is not known at deployment."
)
OBJECTS: Final = "The objects lie below this prefix of the data bucket; their keys are not known at deployment."
ASSETS: Final = "A run reads the code that it was started with; a later deployment changes the code's key."
LOG_STREAMS: Final = "SageMaker chooses the names of the streams in its log groups."
MODEL_VERSIONS: Final = "The version number of a model package is not known at deployment."


@dataclass(frozen=True, kw_only=True)
class Permission:
    """Allow these actions on these resources.

    Raises:
        ValueError: a resource holds a wildcard and no reason is given.
    """

    actions: Sequence[str]
    resources: Sequence[str]
    reason: str = ""
    """Why a resource holds a wildcard; cdk-nag's finding of it is acknowledged with this text."""
    conditions: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.wildcards and not self.reason:
            raise ValueError(
                f"{', '.join(self.actions)} on {', '.join(self.wildcards)}: a wildcard needs a reason; give "
                "Permission(reason=…), such as RUN_NAMES, or name the resource in full"
            )

    @property
    def wildcards(self) -> list[str]:
        """The resources that hold a wildcard."""
        return [resource for resource in self.resources if "*" in resource]

    def statement(self) -> iam.PolicyStatement:
        """Return the policy statement."""
        return iam.PolicyStatement(
            actions=list(self.actions), resources=list(self.resources), conditions=dict(self.conditions)
        )
