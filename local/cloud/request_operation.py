"""Which operation of which service an HTTP request calls, by the API models that botocore brings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qs

from local.sagemaker.account.operations import SERVICES, service_model

__all__ = ["called_operation", "signing_name"]

_SCOPE: Final = re.compile(r"Credential=[^/\s]+/\d{8}/[^/]+/([^/]+)/aws4_request")
_RPC: Final = re.compile(r"/service/[^/]+/operation/(\w+)")
_FORM: Final = "application/x-www-form-urlencoded"

Query = Mapping[str, list[str]]


@dataclass(frozen=True)
class _Route:
    """What a request of one REST operation looks like.

    Attributes:
        operation: the operation's name.
        method: the HTTP method.
        path: what the whole path matches.
        literals: number of path segments that are fixed.
        query: parameters that must be there, with their value if it is fixed.
        headers: headers in lower case that must be there.
    """

    operation: str
    method: str
    path: re.Pattern[str]
    literals: int
    query: Mapping[str, str | None]
    headers: frozenset[str]


def called_operation(
    method: str, path: str, headers: Mapping[str, str], body: bytes, query: Query
) -> tuple[str, str] | None:
    """Return the service, by boto3's name, and the operation that a signed request calls.

    Args:
        method: the HTTP method.
        path: the path, with bucket names in it.
        headers: the headers, with names in lower case.
        body: the body, which has the action of form requests.
        query: the parameters of the query string.

    Returns:
        None if the request is not signed for one of the services that faults know, or calls none of their operations.
    """
    scope = signing_name(headers, query)
    for service in SERVICES:
        if scope and service_model(service).signing_name == scope:
            operation = _operation(service, method, path, headers, body, query)
            if operation is not None:
                return service, operation
    return None


def signing_name(headers: Mapping[str, str], query: Query) -> str | None:
    """Return the service that a request is signed for, by its header or as a presigned URL; None if it is unsigned."""
    presigned = "".join(query.get("X-Amz-Credential", []))
    found = _SCOPE.search(headers.get("authorization", "") or f"Credential={presigned}")
    return found[1] if found else None


def _operation(
    service: str, method: str, path: str, headers: Mapping[str, str], body: bytes, query: Query
) -> str | None:
    # protocols that name the operation
    form = parse_qs(body.decode("latin-1")) if headers.get("content-type", "").startswith(_FORM) else {}
    rpc = _RPC.fullmatch(path)
    names = (
        headers.get("x-amz-target", "").rpartition(".")[2],
        "".join(query.get("Action", form.get("Action", []))),
        rpc[1] if rpc else "",
    )
    named = next(filter(None, names), None)
    if named is not None:
        return named if named in service_model(service).operation_names else None

    # protocols in which method, path, parameters and headers tell it: the most particular route counts
    fitting = [route for route in _routes(service) if _fits(route, method, path, headers, query)]
    best = max(fitting, key=lambda route: (route.literals, len(route.query) + len(route.headers)), default=None)
    return best.operation if best else None


def _fits(route: _Route, method: str, path: str, headers: Mapping[str, str], query: Query) -> bool:
    return (
        route.method == method
        and route.path.fullmatch(path) is not None
        and all(name in query and value in (None, *query[name]) for name, value in route.query.items())
        and all(name in headers for name in route.headers)
    )


@cache
def _routes(service: str) -> tuple[_Route, ...]:
    model = service_model(service)
    if not model.protocol.startswith("rest"):
        return ()
    return tuple(_route(model.operation_model(name)) for name in model.operation_names)


def _route(operation: Any) -> _Route:
    path, _, fixed = operation.http["requestUri"].partition("?")
    segments = [segment for segment in path.split("/") if segment]
    pattern = "".join(
        "(?:/.+)" if segment.endswith("+}") else "/[^/]+" if segment.startswith("{") else f"/{re.escape(segment)}"
        for segment in segments
    )

    # parameters of the URI, and members that the operation requires elsewhere than in the path
    query: dict[str, str | None] = {}
    for part in filter(None, fixed.split("&")):
        name, has_value, value = part.partition("=")
        query[name] = value if has_value else None
    required = list(_required(operation))
    query |= {name: None for location, name in required if location == "querystring"}
    return _Route(
        operation=operation.name,
        method=operation.http["method"],
        path=re.compile(f"{pattern}/?"),
        literals=sum(not segment.startswith("{") for segment in segments),
        query=query,
        headers=frozenset(name.lower() for location, name in required if location == "header"),
    )


def _required(operation: Any) -> Iterator[tuple[str | None, str]]:
    shape = operation.input_shape
    for name in shape.required_members if shape is not None else []:
        member = shape.members[name].serialization
        yield member.get("location"), member.get("name", name)
