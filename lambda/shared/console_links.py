"""Links into the AWS console."""

from __future__ import annotations

from urllib.parse import quote

__all__ = ["execution_link", "object_link", "quota_link", "region_of"]


def execution_link(execution: str) -> str:
    """Return the link to an execution of a state machine, from its ARN."""
    return f"{_console(region_of(execution), 'states/home')}#/v2/executions/details/{execution}"


def object_link(bucket: str, key: str, *, region: str) -> str:
    """Return the link to an object in S3; the console offers to open it or to download it."""
    return f"{_console(region, f's3/object/{bucket}')}&prefix={quote(key)}"


def quota_link(code: str, *, region: str) -> str:
    """Return the link to one of SageMaker's quotas, where an increase is asked for."""
    return _console(region, f"servicequotas/home/services/sagemaker/quotas/{code}")


def region_of(arn: str) -> str:
    """Return the region in an ARN; empty where the text has none."""
    parts = arn.split(":")
    return parts[3] if len(parts) > 3 else ""


def _console(region: str, path: str) -> str:
    return f"https://{region}.console.aws.amazon.com/{path}?region={region}"
