"""The events of an execution, read as they come: each once, and without the data that they carry."""

from __future__ import annotations

import json
from typing import Any, Final

__all__ = ["History"]

_FIRST_PAGE: Final = 1000
"""Events that a call returns at most (API reference of GetExecutionHistory)."""

_LATER_PAGE: Final = 25
"""Events asked for at once later, newest first: more than come between two looks as a rule."""

_ENDED: Final = ("ExecutionSucceeded", "ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted")


class History:
    """The history of one execution.

    GetExecutionHistory cannot begin at an event. So the first look reads all pages from the oldest event on, and later
    ones read from the newest event back to the last one seen. Data is left out, since every event of a state carries
    the state's whole input or output.
    """

    def __init__(self, stepfunctions: Any, execution: str) -> None:
        self._stepfunctions = stepfunctions
        self._execution = execution
        self._last = 0
        self.ended = False
        """Whether the last event has been seen."""

    def new_events(self) -> list[dict[str, Any]]:
        """Return the events since the last call, the oldest first."""
        found: dict[int, dict[str, Any]] = {}
        backwards = self._last > 0
        options: dict[str, Any] = {"maxResults": _LATER_PAGE if backwards else _FIRST_PAGE}
        while True:
            page = self._read(reverseOrder=backwards, includeExecutionData=False, **options)
            found |= {event["id"]: event for event in page["events"] if event["id"] > self._last}
            reached = backwards and any(event["id"] <= self._last for event in page["events"])
            if reached or not page.get("nextToken"):
                break
            options["nextToken"] = page["nextToken"]

        events = [found[number] for number in sorted(found)]
        if events:
            self._last = events[-1]["id"]
        self.ended = self.ended or any(event["type"] in _ENDED for event in events)
        return events

    def input_of(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return the input of the state that an event of `new_events` entered."""
        options: dict[str, Any] = {"maxResults": min(self._last - event["id"] + 1, _FIRST_PAGE)}
        while True:
            page = self._read(reverseOrder=True, includeExecutionData=True, **options)
            for found in page["events"]:
                if found["id"] == event["id"]:
                    given: dict[str, Any] = json.loads(found["stateEnteredEventDetails"].get("input") or "{}")
                    return given
            if not page.get("nextToken"):
                return {}
            options["nextToken"] = page["nextToken"]

    def _read(self, **options: Any) -> dict[str, Any]:
        page: dict[str, Any] = self._stepfunctions.get_execution_history(executionArn=self._execution, **options)
        return page
