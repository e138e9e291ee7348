"""Findings of cdk-nag's AwsSolutions rules that are accepted, each with the reason why, where the construct is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import aws_cdk as cdk
from constructs import IConstruct

from infra.permissions import Permission

__all__ = ["acknowledge", "acknowledge_wildcards"]


def acknowledge(construct: IConstruct, reasons: Mapping[str, str]) -> None:
    """Accept findings of this construct and of those below it; `reasons` goes from the finding's id to the reason."""
    findings = [cdk.Acknowledgment(id=finding, reason=reason) for finding, reason in reasons.items()]
    cdk.Validations.of(construct).acknowledge(*findings)


def acknowledge_wildcards(construct: IConstruct, permissions: Iterable[Permission]) -> None:
    """Accept the wildcards in a policy's resources (AwsSolutions-IAM5) for the reasons its permissions give."""
    stack = cdk.Stack.of(construct)
    acknowledge(
        construct,
        {
            f"AwsSolutions-IAM5[Resource::{_as_nag_writes(stack.resolve(resource))}]": permission.reason
            for permission in permissions
            for resource in permission.wildcards
        },
    )


def _as_nag_writes(value: Any) -> str:
    """Write a resource as cdk-nag does: references in angle brackets, joined texts as one."""
    match value:
        case str():
            return value
        case {"Ref": name}:
            return f"<{name}>"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"<{name}.{attribute}>"
        case {"Fn::Sub": str(text)}:
            return text.replace("${", "<").replace("}", ">")
        case {"Fn::Join": [separator, parts]}:
            return str(separator).join(_as_nag_writes(part) for part in parts)
    raise TypeError(f"how cdk-nag writes {value} is not known; add it to infra/acknowledged.py")
