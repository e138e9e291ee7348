"""The filters, the order and the pages of List operations, which are the same for every kind of resource."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

from local.sagemaker.errors import validation
from local.sagemaker.resources import Kind
from local.sagemaker.store import Record

__all__ = ["page", "select"]

_DEFAULT_PAGE = 10
"""Resources on a page if MaxResults is not given, as on AWS."""


def select(kind: Kind, records: Sequence[Record], parameters: Record) -> list[Record]:
    """Return the records that pass the request's filters, in the order it asks for (default: newest first)."""
    wanted = [record for record in records if _passes(kind, record, parameters)]
    member = {"Name": kind.name_member, "Status": kind.status_member}.get(parameters.get("SortBy", ""), "CreationTime")
    wanted.sort(key=lambda record: record[member], reverse=parameters.get("SortOrder", "Descending") == "Descending")
    return wanted


def page(records: Sequence[Any], parameters: Record) -> tuple[list[Any], dict[str, str]]:
    """Return one page of the records, and the answer's `NextToken` if there are more.

    Raises:
        SageMakerError: the request's NextToken is not that of an earlier answer.
    """
    start = _offset(parameters["NextToken"]) if "NextToken" in parameters else 0
    end = start + parameters.get("MaxResults", _DEFAULT_PAGE)
    return list(records[start:end]), ({"NextToken": _token(end)} if end < len(records) else {})


def _passes(kind: Kind, record: Record, parameters: Record) -> bool:
    checks = (
        ("NameContains", lambda wanted: wanted.lower() in record[kind.name_member].lower()),
        ("StatusEquals", lambda wanted: record[kind.status_member] == wanted),
        ("CreationTimeAfter", lambda wanted: record["CreationTime"] > wanted),
        ("CreationTimeBefore", lambda wanted: record["CreationTime"] < wanted),
        ("LastModifiedTimeAfter", lambda wanted: record["LastModifiedTime"] > wanted),
        ("LastModifiedTimeBefore", lambda wanted: record["LastModifiedTime"] < wanted),
    )
    return all(check(parameters[name]) for name, check in checks if name in parameters)


def _token(offset: int) -> str:
    return base64.urlsafe_b64encode(json.dumps({"offset": offset}).encode()).decode()


def _offset(token: str) -> int:
    try:
        offset = json.loads(base64.urlsafe_b64decode(token))["offset"]
    except (binascii.Error, ValueError, KeyError, TypeError):
        offset = None
    if not isinstance(offset, int) or offset < 0:
        raise validation("The NextToken is not valid; give that of the answer with the page before.")
    return offset
