"""`decision.json`: whether a model may go into service, and why; and `approval.json`, where a person decides."""

from __future__ import annotations

from typing import Literal, TypedDict

from contract.debugger import Evaluator, RuleResult

__all__ = [
    "AccuracyBy",
    "ApprovalQuestion",
    "ApprovalStatus",
    "Check",
    "CheckName",
    "ComparedPhoto",
    "Comparison",
    "Decision",
    "Leakage",
    "Thresholds",
]

ApprovalStatus = Literal["Approved", "Rejected", "PendingManualApproval"]
"""`ModelApprovalStatus` of the model package in the registry."""

CheckName = Literal["accuracy", "class_recall", "gap", "in_service", "leakage", "rules"]

AccuracyBy = Literal["photo", "group"]
"""Which accuracy must reach the floor: that on the test photos, or that with whole groups of photos held out."""


class Check(TypedDict):
    """One check that a model has to pass before its release, and its outcome."""

    name: CheckName
    outcome: Literal["passed", "warned", "undecided", "blocked", "skipped"]
    """`undecided`: there are too few test photos to tell, which is neither a pass nor a rejection."""
    reason: str
    """A whole sentence with the value, the threshold, and the setting that holds the threshold."""


class ComparedPhoto(TypedDict):
    """A photo that only one of two models classifies correctly."""

    path: str
    label: str
    old: str
    """What the model in service says."""
    new: str


class Comparison(TypedDict):
    """The model in service compared with this one, photo by photo."""

    config: str
    run: str
    comparable: bool
    why: str
    """On which photos the two are compared, or why they cannot be."""
    test_accuracy: float | None
    """Of the model in service, on the test photos of its own run; None if it is not known."""
    images: int | None
    """Number of photos that both were tested on; None without a comparison."""
    old_accuracy: float | None
    """Of the model in service, on these photos."""
    new_accuracy: float | None
    """Of this model, on these photos."""
    gained: list[ComparedPhoto]
    """At most 20 photos that only this model classifies correctly."""
    lost: list[ComparedPhoto]
    """At most 20 photos that only the model in service classifies correctly."""
    only_new_right: int | None
    """Test photos that this model classifies correctly and the one in service does not; None without a comparison."""
    only_old_right: int | None
    p_value: float | None
    """One-sided exact McNemar test: the probability of so many losses if the two models are equally good."""


class Leakage(TypedDict):
    """Photos that are in two splits, recognised by the hash of their content."""

    left_out: int
    """Copies that CheckDataset left out of the manifest: harmless."""
    remaining: int
    """Photos of the test or validation split that the model was also trained on."""
    examples: list[str]


class Thresholds(TypedDict):
    """The settings that the decision was made with."""

    min_accuracy: float
    accuracy_by: AccuracyBy
    min_class_recall: float
    max_near_copies: float
    tolerance: float
    significance: float
    blocking_rules: list[str]


class Decision(TypedDict):
    """The content of `Artefact.DECISION`."""

    run: str
    model: str
    """S3 URI of the model artefact."""
    code_version: str
    """Hash of the training code's bundle."""
    decided_at: str
    """ISO 8601, UTC."""
    accepted: bool
    undecided: bool
    """Whether nothing speaks against the model but that too few test photos tell: a person is asked, or else it is
    not released."""
    approval: ApprovalStatus
    reasons: list[str]
    """What speaks against a rejected model, or for an accepted one."""
    checks: list[Check]
    thresholds: Thresholds
    test_accuracy: float
    test_images: int
    validation_accuracy: float
    worst_class: str
    worst_class_recall: float
    in_service: Comparison | None
    leakage: Leakage
    debugger: Evaluator
    rules: list[RuleResult]
    classes: list[str]
    dataset_fingerprint: str
    test_fingerprint: str
    hyperparameters: dict[str, str]


class ApprovalQuestion(TypedDict):
    """The content of `Artefact.APPROVAL`: what a person is asked, and what the answer needs."""

    token: str
    """The task token for SendTaskSuccess and SendTaskFailure."""
    run: str
    execution: str
    """ARN of the execution."""
    decision: str
    """URI of `Artefact.DECISION`."""
    package: str
    """ARN of the model package."""
    asked_at: str
    """ISO 8601, UTC."""
    expires_at: str
    """ISO 8601, UTC: afterwards the model is rejected."""
