"""A check for drift that found a class more often and doubtful answers."""

from __future__ import annotations

import contract

__all__ = ["drift_check"]


def drift_check(*, classes: int = 4) -> contract.DriftCheck:
    """What CheckDrift writes."""
    names = [f"class number {number}" for number in range(classes)]
    shares: list[contract.ClassShare] = [
        {
            "name": name,
            "test": 1 / classes,
            "captured": 0.58 if number == 0 else 0.42 / (classes - 1),
            "low": 0.54 if number == 0 else 0.3 / (classes - 1),
            "high": 0.62 if number == 0 else 0.56 / (classes - 1),
        }
        for number, name in enumerate(names)
    ]
    before = [0.0, 0.0, 0.0, 0.01, 0.02, 0.03, 0.05, 0.09, 0.2, 0.6]
    after = [0.0, 0.0, 0.01, 0.04, 0.08, 0.1, 0.13, 0.17, 0.2, 0.27]
    bins: list[contract.Bin] = [
        {"low": number / 10, "high": (number + 1) / 10, "test": before[number], "captured": after[number]}
        for number in range(10)
    ]
    far: list[contract.Bin] = [
        {"low": number / 5, "high": (number + 1) / 5, "test": before[9 - number], "captured": after[9 - number]}
        for number in range(10)
    ]
    return {
        "verdict": "drifted",
        "checked": "2026-11-29T12:30:00Z",
        "environment": "dev",
        "endpoint": "whippet-dev",
        "run": "run-1",
        "why": "What is sent is unlike the test photos: class mix (33%), confidence (33%).",
        "answers": 612,
        "others": 0,
        "unreadable": 0,
        "since": "2026-11-28T12:31:07+00:00",
        "until": "2026-11-29T12:29:40+00:00",
        "is_sample": False,
        "test_photos": 450,
        "measures": [
            {"measure": "class_mix", "difference": 0.33, "p_value": 1e-20, "drifted": True},
            {"measure": "confidence", "difference": 0.33, "p_value": 1e-18, "drifted": True},
            {"measure": "distance", "difference": 0.06, "p_value": 0.21, "drifted": False},
        ],
        "classes": shares,
        "confidence": bins,
        "distance": far,
        "unknown": {"test": 0.05, "captured": 0.07, "low": 0.05, "high": 0.093},
        "told": ["class_mix", "confidence"],
    }
