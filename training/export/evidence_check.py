"""The check that a model file's evidence adds up to its logits; a file where it does not gives none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.export.onnx_model import OnnxModel
from training.model.classifier import Classifier

__all__ = ["TOLERANCE", "EvidenceCheck", "settle_evidence"]

TOLERANCE: Final = 0.01
"""Largest difference of the evidence's sum from the logits, relative to them where they are more than 1."""

_SMALLEST: Final = 1e-30
"""Probabilities below are too small a float32 to tell their logits from them."""


@dataclass(frozen=True)
class EvidenceCheck:
    """Whether a model file has heat maps."""

    difference: float | None
    """Largest one between the evidence's sum and the logits, relative as `TOLERANCE` is; None where there is none."""

    @property
    def exact(self) -> bool:
        """Whether the file gives evidence that adds up."""
        return self.difference is not None and self.difference <= TOLERANCE

    def line(self) -> str:
        """Return what the job's log says."""
        if self.exact:
            return f"heat maps: what speaks for a label adds up to its logit within {self.difference:.1e}"
        if self.difference is None:
            return (
                "no heat maps: the head does not read averages over the places of a photo, so that its logits have no "
                "exact parts by place; answers to `explain` say so"
            )
        return (
            f"no heat maps: what speaks for a label differs from its logit by {self.difference:.1e}, more than "
            f"{TOLERANCE}; answers to `explain` say so"
        )


def settle_evidence(file: Path, classifier: Classifier, *, images: NDArray[np.uint8]) -> EvidenceCheck:
    """Compare the evidence of a model file with its own probabilities, and take the output away where they differ.

    Args:
        file: of any precision.
        classifier: whose head and temperature the file has.
        images: real photos, (N, S, S, 3).
    """
    model = OnnxModel(file)
    evidence = model.evidence(images)
    if evidence is None:
        return EvidenceCheck(None)

    # the likeliest logit minus the mean one, by the probabilities and without the biases
    probabilities = model.probabilities(images).astype(np.float64)
    likeliest = probabilities.argmax(axis=1)
    logits = np.log(np.maximum(probabilities, _SMALLEST)) * classifier.temperature
    logits -= classifier.head.get_parameter("bias").detach().numpy()
    expected = logits[np.arange(len(logits)), likeliest] - logits.mean(axis=1)

    apart = np.abs(evidence.sum(axis=(1, 2), dtype=np.float64) - expected) / np.maximum(np.abs(expected), 1)
    told = probabilities.min(axis=1) > _SMALLEST
    check = EvidenceCheck(float(apart[told].max()) if told.any() else float("inf"))
    if not check.exact:
        _take_away(file)
    return check


def _take_away(file: Path) -> None:
    import onnx

    model = onnx.load(file)
    outputs = [output for output in model.graph.output if output.name != "evidence"]
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    onnx.save(model, file)
