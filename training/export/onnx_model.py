"""An exported model as the endpoint runs it: ONNX Runtime on the CPU."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.export.predictions import Outputs
from training.runtime.machine import cores

__all__ = ["OnnxModel", "median_milliseconds"]

_WARM_UP_RUNS = 3
_TIMED_RUNS = 20


class OnnxModel:
    """A model file, loaded; by default with a thread for each core."""

    def __init__(self, file: Path, *, threads: int | None = None):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or cores()
        # Idle threads that spin for work cost up to four times the speed where cores are shared.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self._names = [output.name for output in self._session.get_outputs()]

    def __call__(self, images: NDArray[np.uint8]) -> Outputs:
        """Return all outputs of pixels (N, S, S, 3)."""
        probabilities, *others = self._session.run(self._names, {"image": images})
        return Outputs(probabilities, dict(zip(self._names[1:], others, strict=True)))

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities, (N, classes), of pixels (N, S, S, 3)."""
        return self(images).probabilities

    def evidence(self, images: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """Return what speaks for the likeliest classes, (N, rows, columns); None where the file does not give it."""
        return self(images).others.get("evidence")


def median_milliseconds(calls: Sequence[tuple[Path, NDArray[np.uint8]]]) -> list[float]:
    """Return the median time on one thread of each call: of a model file, with pixels (N, S, S, 3).

    They take turns, so that whatever else the machine does slows all of them alike.
    """
    models = [(OnnxModel(file, threads=1), images) for file, images in calls]
    times: list[list[float]] = [[] for _ in models]
    for _ in range(_WARM_UP_RUNS + _TIMED_RUNS):
        for (model, images), taken in zip(models, times, strict=True):
            begin = time.perf_counter()
            model(images)
            taken.append((time.perf_counter() - begin) * 1000)
    return [statistics.median(taken[_WARM_UP_RUNS:]) for taken in times]
