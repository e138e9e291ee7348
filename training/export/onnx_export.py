"""Backbone and head as one ONNX file, and the check that its probabilities are PyTorch's."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from training.export.onnx_model import OnnxModel
from training.model.classifier import Classifier
from training.model.evidence import Evidence, Explained
from training.model.served import ServedModel
from training.runtime.environment import JobError

__all__ = ["TOLERANCE", "check_export", "export"]

TOLERANCE = 1e-3
"""Largest difference of a probability between PyTorch and ONNX Runtime; float32 arithmetic alone stays below 1e-5."""


def export(model: Classifier | ServedModel, file: Path, *, image_size: int, evidence: Evidence | None = None) -> None:
    """Write the ONNX file: input `image`, output `probabilities`, any number of images at once.

    A `ServedModel` has the output `distance`, too, and with `evidence` there is the output of that name.
    """
    example = torch.zeros(2, image_size, image_size, 3, dtype=torch.uint8)
    outputs = ["probabilities"]
    module: nn.Module = model
    if isinstance(model, ServedModel):
        outputs.append("distance")
    if evidence is not None:
        classifier = model.classifier if isinstance(model, ServedModel) else model
        module = Explained(model, classifier=classifier, evidence=evidence)
        outputs.append("evidence")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations, of no use to whoever reads the job's log
        torch.onnx.export(
            module.eval(),
            (example,),
            file,
            input_names=["image"],
            output_names=outputs,
            dynamic_shapes={"image": {0: torch.export.Dim("images", min=1)}},
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def check_export(model: ServedModel, file: Path, *, images: NDArray[np.uint8]) -> float:
    """Return the largest difference between PyTorch's and ONNX Runtime's probabilities on real images.

    Raises:
        JobError: they differ by more than `TOLERANCE`, or the distances by more than that share of them, so the file
            must not be served.
    """
    served = OnnxModel(file)(images)
    with torch.inference_mode():
        probabilities, distances = (output.numpy() for output in model(torch.from_numpy(images)))
    difference = float(np.abs(served.probabilities - probabilities).max())
    of_distance = float((np.abs(served.others["distance"] - distances) / np.maximum(distances, 1)).max())
    for what, found in (("probabilities", difference), ("distances", of_distance)):
        if not found <= TOLERANCE:
            raise JobError(
                f"the exported model's {what} differ from PyTorch's by {found:.2g}, more than {TOLERANCE}; "
                "this backbone cannot be exported faithfully, choose another one"
            )
    return difference
