"""Events that the system puts on the account's default event bus, for rules of its own and of others."""

from __future__ import annotations

from typing import Final, TypedDict

__all__ = ["DRIFT_DETAIL_TYPE", "EVENT_SOURCE", "DriftDetail"]

EVENT_SOURCE: Final = "whippet"
"""The `source` of every event of the system."""

DRIFT_DETAIL_TYPE: Final = "Drift Found"
"""The `detail-type` of the event of a drift check that found the answers to have changed."""


class DriftDetail(TypedDict):
    """The `detail` of a `Drift Found` event."""

    environment: str
    endpoint: str
    release: str
    """The run whose model is in service."""
    metrics: list[str]
    """What has drifted, by the names that the result of the check has."""
