"""What the states of a run's state machine wait for, read from its definition, so that no state is named here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Definition", "Job", "JobKind"]


class JobKind(StrEnum):
    """A kind of SageMaker job, by the member of its Create call that holds the job's name."""

    TRAINING = "TrainingJobName"
    TUNING = "HyperParameterTuningJobName"
    PROCESSING = "ProcessingJobName"


_ACTIONS = {
    "createTrainingJob.sync": JobKind.TRAINING,
    "createHyperParameterTuningJob.sync": JobKind.TUNING,
    "createProcessingJob.sync": JobKind.PROCESSING,
}
"""Calls after which Step Functions waits for the job's end ("Create and manage Amazon SageMaker AI jobs")."""


@dataclass(frozen=True)
class Job:
    """A SageMaker job that a state waits for."""

    kind: JobKind
    name: str


class Definition:
    """A state machine's states, as the Amazon States Language describes them."""

    def __init__(self, states: Mapping[str, Any]) -> None:
        self._states = states

    @classmethod
    def of_execution(cls, stepfunctions: Any, execution: str) -> Definition:
        """Return the definition that an execution runs, whatever has been deployed since it started."""
        answer = stepfunctions.describe_state_machine_for_execution(executionArn=execution)
        return cls(json.loads(answer["definition"])["States"])

    def job(self, state: str, data: Mapping[str, Any]) -> Job | None:
        """Return the job that a state starts and waits for, or None if it waits for no job.

        Args:
            state: Name of the state.
            data: The state's input, in which the job's name stands.
        """
        kind = _ACTIONS.get(self._action(state))
        if kind is None:
            return None
        return Job(kind, _look_up(self._states[state]["Parameters"][f"{kind}.$"], data))

    def waits_for_job(self, state: str) -> bool:
        """Tell whether a state starts a job and waits for its end, so that `job` needs the state's input."""
        return self._action(state) in _ACTIONS

    def waits_for_answer(self, state: str) -> bool:
        """Tell whether a state waits until somebody answers with its task token."""
        return self._action(state).endswith(".waitForTaskToken")

    def told_wait(self, state: str) -> str:
        """Return what a state says that only waits, and is worth telling; empty for any other."""
        found = self._states.get(state, {})
        return str(found.get("Comment", "")) if found.get("Type") == "Wait" else ""

    def is_between(self, state: str, *, first: str, end: str) -> bool:
        """Tell whether a state is `first` or can follow it, and is neither `end` nor can follow that."""
        return state in self._reached_from(first) - self._reached_from(end)

    def _reached_from(self, first: str) -> set[str]:
        """Return a state and all that can follow it; nothing where the definition does not have it."""
        found: set[str] = set()
        waiting = [first] if first in self._states else []
        while waiting:
            name = waiting.pop()
            found.add(name)
            waiting.extend(following for following in _following(self._states[name]) if following not in found)
        return found

    def _action(self, state: str) -> str:
        resource: str = self._states.get(state, {}).get("Resource", "")
        return resource.rpartition(":")[2]


def _following(state: Mapping[str, Any]) -> list[str]:
    """Return the names of the states that a state can lead to."""
    ways = [state, *state.get("Choices", []), *state.get("Catch", [])]
    return [way[member] for way in ways for member in ("Next", "Default") if member in way]


def _look_up(path: str, data: Mapping[str, Any]) -> str:
    """Follow a JSONPath of member names only, such as `$.plan.training.job`."""
    value: Any = data
    for member in path.removeprefix("$.").split("."):
        value = value[member]
    return str(value)
