"""The AWS console's address in each partition."""

from __future__ import annotations

from typing import Final

__all__ = ["console_host"]

_HOSTS: Final = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
    "aws-eusc": "console.amazonaws-eusc.eu",
}
"""By partition, the second part of an ARN. A region's own console is at `<region>.<host>`."""


def console_host(partition: str) -> str:
    """Return the host of a partition's console. Those of the isolated partitions are not public: `aws` stands in."""
    return _HOSTS.get(partition, _HOSTS["aws"])
