"""A run that has ended, as its execution's history tells it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import contract

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

__all__ = ["EndedRun", "find_ended_run"]

_PAGE: Final = 20
"""Events that are read at once: each may hold the run's whole document of up to 256 KiB."""

_MAX_PAGES: Final = 50
"""A state is retried some twenty times at most, with five events each."""

_END_DETAILS: Final = ("executionAbortedEventDetails", "executionTimedOutEventDetails", "executionFailedEventDetails")


@dataclass(frozen=True, kw_only=True)
class EndedRun:
    """How far a run came, and how it ended."""

    name: str
    """`contract.run_id`"""
    execution: str
    """The execution's ARN."""
    status: contract.EndStatus
    state: str
    """The state that it was in; empty where it had not begun."""
    error: str
    cause: str
    document: Mapping[str, Any]
    """`contract.RunDocument` as far as it was written; empty before CheckDataset."""

    @property
    def told(self) -> bool:
        """Whether the run came to its own end, at which it has told and rolled back what was to be."""
        return "outcome" in self.document

    @property
    def passed_smoke_test(self) -> bool:
        """Whether its model is in service for good."""
        return "smoke_test" in self.document and not self.document["failure"]

    @property
    def config_before(self) -> str:
        """The endpoint configuration that the run found in service; empty where there was none."""
        before: str = self.document["before"]["config"] if self.document else ""
        return before

    @property
    def shadow(self) -> contract.ShadowState | None:
        """The shadow that the run may have given the model in service; None where it gave none."""
        shadow: contract.ShadowState | None = self.document.get("shadow")
        return shadow if shadow is not None and shadow["config"] else None

    @property
    def left_shadow(self) -> bool:
        """Whether the run told that it could not take its shadow away."""
        return "ShadowNotRemoved" in self.document.get("failure", {})

    @property
    def recorded(self) -> bool:
        """Whether a record says that its model came into service."""
        return "recorded" in self.document

    @property
    def replaces_realtime(self) -> bool:
        """Whether the run deletes the endpoint that it found, since no update makes a real-time one serverless."""
        served = self.document.get("served")
        return served is not None and "ServerlessConfig" not in served["ProductionVariants"][0]

    @property
    def keeps_instances(self) -> bool:
        """Whether its updates of the endpoint keep the number of instances that automatic scaling chose."""
        return bool(self.document.get("instances", {}).get("keep"))


def find_ended_run(states: SFNClient, *, name: str, execution: str, status: contract.EndStatus) -> EndedRun:
    """Return how far an execution came, from the newest events of its history."""
    state, error, cause = "", "", ""
    document: Mapping[str, Any] = {}
    for event in _newest_events(states, execution):
        ended = next((event[details] for details in _END_DETAILS if details in event), None)
        if ended is not None:
            error, cause = ended.get("error", ""), ended.get("cause", "")

        entered, left = event.get("stateEnteredEventDetails", {}), event.get("stateExitedEventDetails", {})
        state = state or entered.get("name", "") or left.get("name", "")
        document = document or _document(left.get("output") or entered.get("input") or "")
        if state and (document or state == "Start"):
            break
    return EndedRun(
        name=name, execution=execution, status=status, state=state, error=error, cause=cause, document=document
    )


def _newest_events(states: SFNClient, execution: str) -> Iterator[Mapping[str, Any]]:
    asked: dict[str, Any] = {}
    for _ in range(_MAX_PAGES):
        page = states.get_execution_history(
            executionArn=execution, reverseOrder=True, maxResults=_PAGE, includeExecutionData=True, **asked
        )
        yield from page["events"]
        if not page.get("nextToken"):
            return
        asked["nextToken"] = page["nextToken"]


def _document(text: str) -> Mapping[str, Any]:
    """Return the run's document; empty for the execution's own input and output, which are none."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) and {"execution", "polls", "before", "failure"} <= value.keys() else {}
