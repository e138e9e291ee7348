"""The machine that a measurement was made on."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["describe", "today", "without_vnni"]

CPU_INFORMATION = Path("/proc/cpuinfo")


def describe() -> str:
    """Return the processor, the number of usable cores, whether int8 is slow on it, and the GPUs if there are any."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    slow = ["without VNNI"] if without_vnni() else []
    return ", ".join([_processor(), f"{cores} cores", *slow, *_gpus()])


def without_vnni() -> bool:
    """Return whether this is an x86 processor without instructions for products of 8-bit numbers.

    A network in int8 then takes some 0.6 of float32's time, where it takes a third on one that has them.
    """
    flags = _information("flags")
    return bool(flags) and "vnni" not in flags[0]


def today() -> str:
    """Return the date in UTC, as ISO 8601 writes it."""
    return datetime.now(tz=UTC).date().isoformat()


def _processor() -> str:
    return next(iter(_information("model name")), platform.processor() or platform.machine())


def _information(key: str) -> list[str]:
    """Return what Linux says under a key of each core; nothing on other systems and processors."""
    lines = CPU_INFORMATION.read_text().splitlines() if CPU_INFORMATION.exists() else []
    return [line.partition(":")[2].strip() for line in lines if line.startswith(key)]


def _gpus() -> list[str]:
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True)
    return [line.strip() for line in listed.stdout.splitlines() if line.strip()] if listed.returncode == 0 else []
