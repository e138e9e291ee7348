"""Links into the AWS console."""

from __future__ import annotations

from urllib.parse import quote

__all__ = ["execution_link", "object_link"]


def execution_link(execution: str) -> str:
    """A state machine's execution, from its ARN."""
    parts = execution.split(":")
    region = parts[3] if len(parts) > 3 else ""
    return f"https://{region}.console.aws.amazon.com/states/home?region={region}#/v2/executions/details/{execution}"


def object_link(bucket: str, key: str, *, region: str) -> str:
    """An object in S3; the console offers to open or download it."""
    return f"https://{region}.console.aws.amazon.com/s3/object/{bucket}?region={region}&prefix={quote(key)}"
