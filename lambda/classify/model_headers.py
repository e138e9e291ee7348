"""The headers that name the model of an answer, for those who log headers and not bodies."""

from __future__ import annotations

from contract import Answer

__all__ = ["MODEL_HEADERS", "model_headers"]

MODEL_HEADERS = {"Whippet-Run": "run", "Whippet-Release": "release", "Whippet-Test-Accuracy": "test_accuracy"}
"""Headers, and the fields of `contract.ServedModel` that they carry."""


def model_headers(answer: Answer | None) -> dict[str, str]:
    """Return the headers; none where there is no answer, or that of an earlier release, which names no model."""
    model = dict(answer["model"]) if answer is not None and "model" in answer else {}
    return {header: str(model[field]) for header, field in MODEL_HEADERS.items() if field in model}
