"""What the state machine hands each Lambda of a run: the `event` of its handler."""

from __future__ import annotations

from typing import TypedDict

from contract.debugger import Evaluator
from contract.lock import LockAction
from contract.releases import ChangeKind
from contract.run import EndpointDescription, RunDocument, Verdict

__all__ = [
    "ApprovalRequest",
    "CheckDatasetInput",
    "EndInput",
    "ExplainRolloutInput",
    "JudgeShadowInput",
    "RecordReleaseInput",
    "ReleaseLockInput",
    "RetireInput",
    "SmokeTestInput",
    "TrialCode",
    "VerdictInput",
]


class TrialCode(TypedDict):
    """The image and the source archive that a trial or the training runs, by which an earlier job is recognised."""

    image: str
    source: str


class CheckDatasetInput(TypedDict):
    """CheckDataset's input."""

    overrides: object
    """The execution's input, unchecked."""
    execution: str
    """The execution's name."""
    started: str
    """The execution's start, ISO 8601."""
    trial: TrialCode
    training: TrialCode


class VerdictInput(TypedDict):
    """Verdict's input."""

    run: str
    training_job: str
    model: str
    """URI of the trained model."""
    mode: str
    """The hyperparameter `mode`."""
    debugger: Evaluator


class ApprovalRequest(TypedDict):
    """AskApproval's input."""

    token: str
    """The task token that an answer needs."""
    run: str
    execution: str
    """The execution's ARN."""
    verdict: Verdict
    package: str
    """ARN of the model package."""


class ExplainRolloutInput(TypedDict):
    """ExplainRollout's input."""

    endpoint: EndpointDescription
    begun: str
    """When the run set about to update the endpoint, ISO 8601."""


class JudgeShadowInput(TypedDict):
    """JudgeShadow's input."""

    begun: str
    """When the shadow stood, ISO 8601."""
    until: str
    """When its time was over, ISO 8601."""


class SmokeTestInput(TypedDict):
    """SmokeTest's input."""

    run: str
    dataset_uri: str


class RecordReleaseInput(TypedDict):
    """RecordRelease's input: a change of the model in service, by names of endpoint configurations."""

    at: str
    """When the state began, ISO 8601: the same at a second attempt, which writes the same object."""
    kind: ChangeKind
    config: str
    """The configuration in service from now on; empty where there is none."""
    replaced: str
    """The one in service before; empty where there was none."""
    execution: str
    """The execution's ARN."""
    overrides: object
    """The execution's input."""
    why: str
    verdict: Verdict


class ReleaseLockInput(TypedDict):
    """ReleaseLock's input."""

    action: LockAction
    execution: str
    """The execution's ARN."""
    run: str
    at: str
    """When the state began, ISO 8601: on a local cloud whose clock runs fast, the only clock that knows the time."""


class RetireInput(TypedDict):
    """Retire's input: names of endpoint configurations. `previous` is empty where none was in service before."""

    current: str
    previous: str


class EndInput(TypedDict):
    """Report's and Notify's input: the whole document, and the ARNs of the execution and its state machine."""

    run: RunDocument
    execution: str
    state_machine: str
