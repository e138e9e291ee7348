"""What CloudFormation sends to the function of a custom resource."""

from __future__ import annotations

from typing import Any


def event(url: str, kind: str, properties: dict[str, str], **more: str) -> dict[str, Any]:
    return {
        "RequestType": kind,
        "ResponseURL": url,
        "StackId": "stack",
        "RequestId": "request",
        "LogicalResourceId": "Resource",
        "ResourceProperties": properties,
        **more,
    }
