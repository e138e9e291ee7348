"""The endpoint's own metrics that alarms stand on: who writes them and who watches them agree by these names."""

from __future__ import annotations

from typing import Final

__all__ = ["ENDPOINT_DIMENSION", "SERVING_NAMESPACE", "UNKNOWN_SHARE", "UNKNOWN_SHARE_ANSWERS"]

SERVING_NAMESPACE: Final = "whippet"
"""Namespace of the metrics that the endpoint's containers write to their log."""

ENDPOINT_DIMENSION: Final = "EndpointName"
"""Their only dimension."""

UNKNOWN_SHARE: Final = "UnknownShare"
"""Percent of a container's answers that take the photo for unknown. Each container tells its own share, so that the
highest one is the new fleet's while a release gets only a part of the requests."""

UNKNOWN_SHARE_ANSWERS: Final = 20
"""Answers that a share stands on at least: a container with fewer waits with it."""
