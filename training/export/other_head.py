"""A model file with another head: the one that has not learnt from the photos which judge the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor, nn

__all__ = ["write_with_head"]


def write_with_head(file: Path, output: Path, *, head: nn.Linear) -> None:
    """Write a model file that differs in its head alone, which is in float32 in every precision.

    It costs nothing beside exporting and quantizing another classifier.

    Args:
        file: as `onnx_export.export` or `quantization.quantize` wrote it.
        output: where the copy goes.
        head: of the same shape as the classifier's.

    Raises:
        ValueError: the file has no such head.
    """
    import onnx

    model = onnx.load(file)
    values: dict[str, Tensor] = {f"head.{name}": value for name, value in head.state_dict().items()}
    found = {
        tensor.name.removeprefix("classifier."): tensor
        for tensor in model.graph.initializer
        if tensor.name.removeprefix("classifier.") in values
    }
    for name, tensor in found.items():
        value = values[name].detach().numpy().astype(np.float32)
        if tuple(tensor.dims) != value.shape:
            raise ValueError(f"{tensor.name} of {file.name} has the shape {tuple(tensor.dims)}, not {value.shape}")
        tensor.CopyFrom(onnx.numpy_helper.from_array(value, tensor.name))
    if len(found) != len(values):
        raise ValueError(f"{file.name} has no {' and '.join(values.keys() - found.keys())}")
    onnx.save(model, output)
