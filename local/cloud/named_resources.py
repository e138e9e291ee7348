"""Which resource an IAM policy must name for a request, where ministack cannot say it of a service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from local.cloud import seam

__all__ = ["Request", "name_resources"]


@dataclass(frozen=True)
class Request:
    """A request of the HTTP API."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def operation(self) -> str:
        """Name of the operation, of a service that takes JSON."""
        return self.headers.get("x-amz-target", "").rpartition(".")[2]


def name_resources(named: str, resource_of: Callable[[Request], str | None]) -> None:
    """Hold each request to the service `named` against the policies' resources by `resource_of`.

    Args:
        named: ministack's name of the service.
        resource_of: gives the ARN, `*` for a request that is about no resource, or None to leave it to ministack.

    Raises:
        SeamError: ministack is not the one that this package expects.
    """
    actions = seam.module("core.iam_actions")
    signature = ("service", "method", "path", "headers", "body", "query_params", "region", "account_id")
    original = seam.expect(actions, "extract_resource_arn", *signature)

    def extract_resource_arn(
        service: str,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        query_params: Any,
        region: str,
        account_id: str,
    ) -> str:
        resource = resource_of(Request(path, headers, body)) if service == named else None
        if resource is not None:
            return resource
        return str(original(service, method, path, headers, body, query_params, region, account_id))

    actions.extract_resource_arn = extract_resource_arn
