"""The machine's cores and GPUs, and how many threads read photos on it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from training.runtime.environment import JobError

__all__ = ["LoaderPlan", "cores", "has_cuda", "plan_loader", "reading_threads"]

_DRIVER: Final = Path("/proc/driver/nvidia/version")
"""Where NVIDIA's kernel module names its version; the container sees the host's."""

_STREAMING_THREADS: Final = 32
"""Reads that wait for S3 at the same time: each takes some 30 to 100 ms, most of it without a core."""

_AHEAD_BYTES = 256 * 2**20
"""Decoded photos waiting for the network: enough to ride out slow reads, small beside any machine's memory."""


@dataclass(frozen=True)
class LoaderPlan:
    """How photos are read ahead of the network."""

    threads: int
    batches_ahead: int
    pin_memory: bool
    """Page-locked batches, which a GPU fetches by itself while the CPU goes on."""
    chunk: int = 8
    """Photos a thread takes at once: enough to make the hand-over's cost negligible beside decoding."""

    def describe(self) -> str:
        """Return the plan in words, for the job's log."""
        return (
            f"{self.threads} decoding threads, {self.batches_ahead} batches ahead, "
            f"{'pinned' if self.pin_memory else 'pageable'} memory"
        )


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def has_cuda() -> bool:
    """Return whether torch can compute on a GPU.

    Raises:
        JobError: it can't, though the machine has GPUs: the job would pay for them and train on the CPU. Their number
            is SM_NUM_GPUS, which the sagemaker-training toolkit counts by nvidia-smi.
    """
    if torch.cuda.is_available():
        return True
    gpus = os.environ.get("SM_NUM_GPUS", "0")
    if gpus.isdecimal() and int(gpus):
        raise JobError(
            f"this machine has {gpus} GPU{'s' if int(gpus) > 1 else ''}, and torch {torch.__version__} cannot use CUDA "
            f"({_why_no_cuda()}; driver {_driver_version()}, torch was built for CUDA {torch.version.cuda or 'none'}); "
            "start the job again, choose another instance type in cdk.json, a CPU one if need be, or name a training "
            "image whose CUDA this driver supports"
        )
    return False


def reading_threads(*, streamed: bool) -> int:
    """Return how many threads read and decode photos where the cores have nothing else to do."""
    return max(cores(), _STREAMING_THREADS) if streamed else cores()


def plan_loader(*, batch_size: int, image_size: int, streamed: bool = False) -> LoaderPlan:
    """Choose from the cores, the processes that share them (torchrun's LOCAL_WORLD_SIZE) and the device.

    A GPU trains on photos faster than the cores decode them, so all cores decode. On a CPU the network needs the cores:
    a quarter of them decodes, since a core decodes many times the photos it trains on. Photos that are streamed from S3
    have more threads than there are cores, since these wait most of the time, and each takes one photo at once.
    """
    share = max(1, cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    gpu = has_cuda()
    threads = share if gpu else max(1, share // 4)
    most = max(1, _AHEAD_BYTES // (batch_size * image_size * image_size * 3))
    if not streamed:
        return LoaderPlan(threads=threads, batches_ahead=min(most, 8), pin_memory=gpu)

    # enough photos ahead to give every thread one
    threads = max(threads, _STREAMING_THREADS)
    ahead = min(most, max(8, -(-threads // batch_size)))
    return LoaderPlan(threads=threads, batches_ahead=ahead, pin_memory=gpu, chunk=1)


def _why_no_cuda() -> str:
    """Return torch's own reason."""
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except Exception as error:  # RuntimeError, AssertionError and more: torch has a kind for each reason
        return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return "it sees no device"


def _driver_version() -> str:
    try:
        said = _DRIVER.read_text()
    except OSError:
        return "unknown"
    version = re.search(r"\d+\.\d+(\.\d+)?", said)
    return version[0] if version else "unknown"
