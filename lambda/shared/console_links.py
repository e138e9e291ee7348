"""Links into the AWS console of the partition and the region that an ARN names."""

from __future__ import annotations

from urllib.parse import quote

import contract

__all__ = ["alarm_link", "execution_link", "object_link", "quota_link", "region_of"]


def alarm_link(alarm: str) -> str:
    """Return the link to an alarm, from its ARN."""
    return f"{_console(alarm, 'cloudwatch/home')}#alarmsV2:alarm/{quote(alarm.rpartition(':alarm:')[2], safe='')}"


def execution_link(execution: str) -> str:
    """Return the link to an execution of a state machine, from its ARN."""
    return f"{_console(execution, 'states/home')}#/v2/executions/details/{execution}"


def object_link(bucket: str, key: str, *, beside: str) -> str:
    """Return the link to an object in S3; the console offers to open it or to download it.

    Args:
        bucket: Name of the bucket.
        key: The object's key.
        beside: ARN of a resource in the bucket's region, since the bucket's own ARN does not name the region.
    """
    return f"{_console(beside, f's3/object/{bucket}')}&prefix={quote(key)}"


def quota_link(quota: str) -> str:
    """Return the link to a quota from its ARN, `arn:aws:servicequotas:REGION:ACCOUNT:SERVICE/CODE`.

    More can be asked for there.
    """
    service, _, code = quota.rpartition(":")[2].partition("/")
    return _console(quota, f"servicequotas/home/services/{service}/quotas/{code}")


def region_of(arn: str) -> str:
    """Return the region in an ARN; empty where the text has none."""
    parts = arn.split(":")
    return parts[3] if len(parts) > 3 else ""


def _console(arn: str, path: str) -> str:
    partition, region = arn.split(":")[1] if arn.startswith("arn:") else "aws", region_of(arn)
    return f"https://{region}.{contract.console_host(partition)}/{path}?region={region}"
