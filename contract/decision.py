"""`decision.json`: whether a model may go into service, why, and everything that was decided on."""

from __future__ import annotations

from typing import Literal, TypedDict

from contract.debugger import Evaluator, RuleResult

__all__ = ["ApprovalStatus", "Check", "CheckName", "Comparison", "Decision", "Leakage", "Thresholds"]

ApprovalStatus = Literal["Approved", "Rejected", "PendingManualApproval"]
"""`ModelApprovalStatus` of the model package in the registry."""

CheckName = Literal["accuracy", "class_recall", "in_service", "leakage", "rules"]


class Check(TypedDict):
    """One of the questions a model is asked before its release."""

    name: CheckName
    outcome: Literal["passed", "warned", "blocked", "skipped"]
    reason: str
    """A whole sentence, with the value, the threshold, and the setting that holds it."""


class Comparison(TypedDict):
    """The model in service against this one, photo by photo of the same test split."""

    config: str
    run: str
    comparable: bool
    why: str
    test_accuracy: float | None
    only_new_right: int | None
    """Test photos that this model gets right and the one in service wrong; None where they cannot be paired."""
    only_old_right: int | None
    p_value: float | None
    """One-sided exact McNemar test: how probable so many losses are if the two are equally good."""


class Leakage(TypedDict):
    """Photos that stand in two splits, by their content's hash."""

    left_out: int
    """Copies that CheckDataset found and left out of the stricter split's rivals: harmless."""
    remaining: int
    """Photos of the test or validation split that were also trained on."""
    examples: list[str]


class Thresholds(TypedDict):
    """The settings the decision was made by."""

    min_accuracy: float
    min_class_recall: float
    tolerance: float
    significance: float
    blocking_rules: list[str]


class Decision(TypedDict):
    """`Artefact.DECISION`."""

    run: str
    model: str
    """S3 URI of the model artefact."""
    code_version: str
    """Hash of the training code's bundle."""
    decided_at: str
    """ISO 8601, UTC."""
    accepted: bool
    approval: ApprovalStatus
    reasons: list[str]
    """Of a rejected model what speaks against it, of an accepted one what speaks for it."""
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
