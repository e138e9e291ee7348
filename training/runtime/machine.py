"""The machine's cores, and how many threads read photos on it."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

__all__ = ["LoaderPlan", "cores", "plan_loader"]

_AHEAD_BYTES = 256 * 2**20
"""Decoded photos waiting for the network: enough to ride out slow reads, small beside any machine's memory."""


@dataclass(frozen=True)
class LoaderPlan:
    """How photos are read ahead of the network."""

    threads: int
    batches_ahead: int
    pin_memory: bool
    """Page-locked batches, which a GPU fetches by itself while the CPU goes on."""

    def describe(self) -> str:
        """Return the plan in words, for the job's log."""
        return (
            f"{self.threads} decoding threads, {self.batches_ahead} batches ahead, "
            f"{'pinned' if self.pin_memory else 'pageable'} memory"
        )


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def plan_loader(*, batch_size: int, image_size: int) -> LoaderPlan:
    """Choose from the cores, the processes that share them (torchrun's LOCAL_WORLD_SIZE) and the device.

    A GPU trains on photos faster than the cores decode them, so all cores decode. On a CPU the network needs the cores:
    a quarter of them decodes, since a core decodes many times the photos it trains on.
    """
    share = max(1, cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    gpu = torch.cuda.is_available()
    ahead = _AHEAD_BYTES // (batch_size * image_size * image_size * 3)
    return LoaderPlan(threads=share if gpu else max(1, share // 4), batches_ahead=min(max(ahead, 1), 8), pin_memory=gpu)
