"""Condition keys of IAM that ministack does not know: of PutMetricData and of PutEvents.

Source: service authorization reference, "Condition keys for Amazon CloudWatch" and "Condition keys for Amazon
EventBridge".
"""

from __future__ import annotations

import importlib
import json
from typing import Any
from urllib.parse import parse_qs

from local.cloud import seam

__all__ = ["apply", "condition_keys"]


def apply() -> None:
    """Let policies be evaluated with these keys.

    Raises:
        SeamError: ministack's authorization is not the expected one.
    """
    actions = seam.module("core.iam_actions")
    tags = seam.expect(actions, "request_tag_context", "service", "iam_action", "body", "params")

    def request_context(service: str, iam_action: str, body: bytes, params: dict[str, Any]) -> dict[str, Any]:
        return {**tags(service, iam_action, body, params), **condition_keys(iam_action, body)}

    actions.request_tag_context = request_context


def condition_keys(action: str, body: bytes) -> dict[str, Any]:
    """Return the keys of a request by their names, with their values; none of another action.

    Args:
        action: such as `events:PutEvents`.
        body: of the request, in JSON, CBOR, or as a form.
    """
    if action == "cloudwatch:PutMetricData":
        namespace = _members(body).get("Namespace")
        return {"cloudwatch:namespace": namespace} if isinstance(namespace, str) else {}
    if action == "events:PutEvents":
        entries = [entry for entry in _members(body).get("Entries") or [] if isinstance(entry, dict)]
        return {
            "events:source": sorted({str(entry.get("Source", "")) for entry in entries}),
            "events:detail-type": sorted({str(entry.get("DetailType", "")) for entry in entries}),
        }
    return {}


def _members(body: bytes) -> dict[str, Any]:
    try:
        if body[:1] == b"{":
            found = json.loads(body)
        elif body[:1] > b"\x7f":
            found = importlib.import_module("cbor2").loads(body)
        else:
            found = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    except ValueError:
        return {}  # the service itself refuses such a body
    return found if isinstance(found, dict) else {}
