"""Add a service to ministack: its routing, its handler and the names of its IAM actions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.cloud import seam

__all__ = ["add_service"]


def add_service(name: str, service: Any, *, patterns: Mapping[str, Any]) -> None:
    """Add a service to ministack's tables.

    Args:
        name: the service's signing name, which is also the prefix of its IAM actions.
        service: an object with the functions that ministack expects of a service's module.
        patterns: how its requests are recognised, beside the signing name: ministack's `target_prefixes` and
            `host_patterns`.

    Raises:
        SeamError: ministack has such a service of its own, or its tables are others than expected.
    """
    app, router, actions = seam.module("app"), seam.module("core.router"), seam.module("core.iam_actions")
    for table in ("SERVICE_REGISTRY", "SERVICE_HANDLERS", "_loaded_modules"):
        seam.expect(app, table)
    if name in app.SERVICE_HANDLERS:
        raise seam.SeamError(f"ministack has a service {name} of its own now, which local/cloud does not expect")
    seam.expect(router, "SERVICE_PATTERNS")
    seam.expect(actions, "SERVICE_TO_IAM_NAMESPACE")
    lazy_handler = seam.expect(app, "_lazy_handler", "module_name")

    app._loaded_modules[name] = service
    app.SERVICE_REGISTRY[name] = {"module": name}
    app.SERVICE_HANDLERS[name] = lazy_handler(name)
    router.SERVICE_PATTERNS[name] = {"credential_scope": name, **patterns}
    actions.SERVICE_TO_IAM_NAMESPACE[name] = name
