"""The backbone on every device of a host: batches computed side by side, their features in the batches' order.

One process drives all devices, with a thread for each that only starts its device's work. The photos are decoded once,
by threads that all devices share. A batch is the same whatever the number of devices, and so are its features, as far
as the devices compute alike: CPUs of one kind to the bit, GPUs but for the rounding of the kernels that cuDNN picks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

import contract
from training.embedding.transfer import Arriving
from training.runtime.environment import JobError

if TYPE_CHECKING:
    from training.embedding.embedder import Embedder

__all__ = ["EmbedderPool", "PhotoBatch"]

_EACH: Final = 2
"""Batches in flight on a device: one that it works on, and the next, so that it never waits for the CPU."""

_LARGEST_HALF: Final = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class PhotoBatch:
    """Photos that go through the network together."""

    positions: list[int]
    """Where each photo stands in the manifest's split."""
    pixels: Tensor
    """uint8, (photos, views, S, S, 3)"""


class EmbedderPool:
    """Several copies of one backbone, each on its device; close it by leaving `with`."""

    def __init__(self, embedders: Sequence[Embedder], *, backbone: str):
        """Start a thread for each device.

        Args:
            embedders: One for each device, all in the same precision.
            backbone: The backbone's name, for messages.
        """
        self._embedders, self._backbone = embedders, backbone
        self._threads = [ThreadPoolExecutor(1, thread_name_prefix=f"embed {each.device}") for each in embedders]
        self._computes_in = embedders[0].precision

    def __len__(self) -> int:
        return len(self._embedders)

    @property
    def precision(self) -> contract.FeaturePrecision:
        """The precision that the features are kept in."""
        return self._embedders[0].precision

    @property
    def batch_pixels(self) -> int:
        """Pixels in a batch, over all of its photos and their views."""
        return self._embedders[0].batch_pixels

    def buffer(self, *shape: int) -> Tensor:
        """Return memory for a batch, uint8."""
        return self._embedders[0].transfer.buffer(*shape)

    def run(self, batches: Iterable[PhotoBatch]) -> Iterator[tuple[PhotoBatch, NDArray[np.float32]]]:
        """Yield each batch with its features, float32, (photos, views, dim), in the order of the batches.

        While the caller uses a batch's features, the devices work on the next ones.

        Raises:
            JobError: features that are no numbers, or too large for the precision that they are kept in.
        """
        waiting: deque[_Running] = deque()
        for number, batch in enumerate(batches):
            waiting.append(self._start(batch, on=number % len(self)))
            if len(waiting) == _EACH * len(self):
                yield self._finish(waiting)
        while waiting:
            yield self._finish(waiting)

    def _start(self, batch: PhotoBatch, *, on: int) -> _Running:
        images = batch.pixels.flatten(0, 1)
        future = self._threads[on].submit(self._embedders[on].start, images, precision=self._computes_in)
        return _Running(batch=batch, on=on, future=future)

    def _finish(self, waiting: deque[_Running]) -> tuple[PhotoBatch, NDArray[np.float32]]:
        """Wait for the oldest batch."""
        oldest = waiting.popleft()
        features = oldest.features()
        if self._computes_in == "float16" and not np.isfinite(features).all():
            print(
                f"float16 overflows in {self._backbone}: this batch and all later ones are computed in float32, which "
                "takes longer; a GPU with bfloat16, such as those of g5 and g6, does without",
                flush=True,
            )
            # Whatever is in flight is computed anew too, so that the number of devices makes no difference.
            self._computes_in = "float32"
            again = [self._start(running.batch, on=running.on) for running in (oldest, *waiting)]
            waiting.clear()
            waiting.extend(again[1:])
            features = again[0].features()

        self._check(features)
        return oldest.batch, features.reshape(*oldest.batch.pixels.shape[:2], -1)

    def _check(self, features: NDArray[np.float32]) -> None:
        if not np.isfinite(features).all():
            raise JobError(
                f"the features of {self._backbone} are infinite or not a number: its weights are damaged, or made for "
                "other images; choose another backbone or other weights"
            )
        if self.precision == "float16" and np.abs(features).max() > _LARGEST_HALF:
            raise JobError(
                f"features of {self._backbone} exceed {_LARGEST_HALF:.0f}, the largest number of float16, in which "
                "this GPU computes; choose another backbone, or an instance type with bfloat16 such as ml.g5.xlarge"
            )

    def __enter__(self) -> EmbedderPool:
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class _Running:
    """A batch that a device works on."""

    batch: PhotoBatch
    on: int
    """Number of the device."""
    future: Future[Arriving]

    def features(self) -> NDArray[np.float32]:
        """Wait for the features: (photos times views, dim)."""
        return self.future.result().wait()
