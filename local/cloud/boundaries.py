"""Permission boundaries of roles in a stack, which ministack's handler of AWS::IAM::Role drops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from local.cloud import seam

__all__ = ["apply"]

Handler = Callable[..., tuple[str, dict[str, Any]]]


def apply(handler: dict[str, Any]) -> None:
    """Give a role its boundary when it is created or updated, and refuse one that does not exist, as IAM does."""
    iam = seam.module("services.iam")
    exists = seam.expect(iam, "_policy_exists", "arn")
    seam.expect(iam, "_roles")
    create: Handler = handler["create"]
    update: Handler = handler["update"]

    def check(properties: Mapping[str, Any]) -> None:
        boundary = properties.get("PermissionsBoundary")
        if boundary and not exists(boundary):
            raise ValueError(
                f"Scope ARN: {boundary} does not exist or is not attachable. (Service: Iam, Status Code: 404)"
            )

    def create_role(logical_id: str, properties: dict[str, Any], *rest: Any) -> tuple[str, dict[str, Any]]:
        check(properties)
        name, attributes = create(logical_id, properties, *rest)
        iam._roles[name]["PermissionsBoundary"] = properties.get("PermissionsBoundary")
        return name, attributes

    def update_role(
        physical_id: str, old: dict[str, Any], new: dict[str, Any], *rest: Any, **more: Any
    ) -> tuple[str, dict[str, Any]]:
        check(new)
        name, attributes = update(physical_id, old, new, *rest, **more)
        iam._roles[name]["PermissionsBoundary"] = new.get("PermissionsBoundary")
        return name, attributes

    handler.update(create=create_role, update=update_role)
