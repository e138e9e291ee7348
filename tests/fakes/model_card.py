"""The card of a model that tells colours apart, beside `tests.inference.onnx_file`'s network."""

from __future__ import annotations

from typing import Any

import contract

__all__ = ["model_card"]


def model_card(labels: list[str], *, image_size: int, resize: int, **more: Any) -> contract.ModelCard:
    """Return a card, with more fields or others."""
    card: contract.ModelCard = {
        "run": "r1",
        "backbone": "none",
        "labels": labels,
        "image_size": image_size,
        "resize": resize,
        "dataset_fingerprint": "f" * 64,
        "test_accuracy": 1.0,
        "temperature": 1.0,
        "precision": "fp32",
        "precision_reason": "it is the only one",
        "test_accuracy_fp32": 1.0,
        "test_accuracy_int8": None,
    }
    card.update(more)  # type: ignore[typeddict-item] # the caller's
    return card
