"""Batches on their way to a device, and features on their way back.

A GPU copies by itself, from and to page-locked memory, while it computes and while the CPU goes on. So the next batch
comes in while the network works on this one, and nothing waits for features before they are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Arriving", "CudaTransfer", "HostTransfer", "Transfer", "transfer_for"]


@dataclass(frozen=True)
class Arriving:
    """Features, float32, that are in the host's memory once `copied` has happened."""

    features: Tensor
    copied: torch.cuda.Event | None = None
    """None where they were never elsewhere."""

    def wait(self) -> NDArray[np.float32]:
        """Return the features as soon as they are there."""
        if self.copied is not None:
            self.copied.synchronize()
        arrived: NDArray[np.float32] = self.features.numpy()
        return arrived


class Transfer(Protocol):
    """How batches reach one device."""

    def buffer(self, *shape: int) -> Tensor:
        """Return memory for a batch, uint8, from which it can be sent."""
        ...

    def send(self, pixels: Tensor) -> Tensor:
        """Return the pixels on the device; work that is queued there from now on waits for them."""
        ...

    def fetch(self, features: Tensor) -> Arriving:
        """Begin to bring features to the host."""
        ...


class HostTransfer:
    """Batches of a CPU, which are where they should be."""

    def buffer(self, *shape: int) -> Tensor:
        """Return ordinary memory."""
        return torch.empty(shape, dtype=torch.uint8)

    def send(self, pixels: Tensor) -> Tensor:
        """Return the pixels themselves."""
        return pixels

    def fetch(self, features: Tensor) -> Arriving:
        """Return the features themselves."""
        return Arriving(features)


class CudaTransfer:
    """Batches of a GPU: copied in a stream of their own, beside the one that computes."""

    def __init__(self, device: torch.device):
        self._device = device
        self._copying = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def buffer(self, *shape: int) -> Tensor:
        """Return page-locked memory. torch hands it out again only when no copy from it is under way."""
        return torch.empty(shape, dtype=torch.uint8, pin_memory=True)

    def send(self, pixels: Tensor) -> Tensor:
        """Queue the copy beside the network's work, and make its later work wait for the copy."""
        with torch.cuda.stream(self._copying):
            sent = pixels.to(self._device, non_blocking=True)
        computing = torch.cuda.current_stream(self._device)
        computing.wait_stream(self._copying)
        # the memory belongs to the copying stream; it must not be used anew before the network has read it
        sent.record_stream(computing)
        return sent

    def fetch(self, features: Tensor) -> Arriving:
        """Queue the copy behind the network's work, and return at once."""
        arriving = torch.empty(features.shape, dtype=features.dtype, pin_memory=True)
        arriving.copy_(features, non_blocking=True)
        copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
        copied.record(torch.cuda.current_stream(self._device))
        return Arriving(arriving, copied)


def transfer_for(device: torch.device) -> Transfer:
    """Return the way to a device."""
    return CudaTransfer(device) if device.type == "cuda" else HostTransfer()
