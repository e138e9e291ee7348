"""The part of a decision that the model registry keeps with the model."""

from __future__ import annotations

import re
from collections import Counter

from contract import Decision

__all__ = ["package_metadata"]

_MAX_ENTRIES = 50
_MAX_VALUE = 256
"""Limits of `CustomerMetadataProperties` (CreateModelPackage)."""

_REFUSED = re.compile(r"[^\w .:/=+@-]")
"""Characters that CreateModelPackage refuses in `CustomerMetadataProperties`."""


def package_metadata(decision: Decision, *, decision_uri: str) -> dict[str, str]:
    """Return `CustomerMetadataProperties`: at most 50 values, each of 1 to 256 characters."""
    counts = Counter(result["status"] for result in decision["rules"])
    issues = [result["rule"] for result in decision["rules"] if result["status"] == "IssuesFound"]
    values = {
        "run": decision["run"],
        "accepted": str(decision["accepted"]).lower(),
        "test_accuracy": f"{decision['test_accuracy']:.4f}",
        "test_images": str(decision["test_images"]),
        "validation_accuracy": f"{decision['validation_accuracy']:.4f}",
        "worst_class": decision["worst_class"],
        "worst_class_recall": f"{decision['worst_class_recall']:.4f}",
        "decision": decision_uri,
        "dataset_fingerprint": decision["dataset_fingerprint"],
        "test_fingerprint": decision["test_fingerprint"],
        "code_version": decision["code_version"],
        "debugger": decision["debugger"],
        "rules": " ".join(f"{status}={count}" for status, count in sorted(counts.items())),
        "rules_with_issues": " ".join(issues),
        **{f"hyperparameter.{name}": value for name, value in sorted(decision["hyperparameters"].items())},
    }

    # fit the values into the registry's limits
    cleaned = {name: _REFUSED.sub("-", value)[:_MAX_VALUE] for name, value in values.items() if value}
    return dict(list(cleaned.items())[:_MAX_ENTRIES])
