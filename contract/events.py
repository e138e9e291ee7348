"""Events that this system puts on EventBridge's default bus, and the rules of others may wait for."""

from __future__ import annotations

from typing import Final

__all__ = ["DRIFT_DETAIL_TYPE", "EVENT_SOURCE"]

EVENT_SOURCE: Final = "whippet"
"""The events' `source`."""

DRIFT_DETAIL_TYPE: Final = "Drift Found"
"""`detail-type` of the event that photos have drifted; its detail has the member `environment`."""
