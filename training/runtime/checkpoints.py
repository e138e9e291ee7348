"""Checkpoints that survive a kill in the middle of a write, a flipped bit, and another job in the same folder."""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch

__all__ = ["KEPT", "Checkpoints", "empty"]

KEPT: Final = 2
"""The newest checkpoint and the one before it, which is used if the newest turns out damaged."""

_MAGIC: Final = b"whippet checkpoint 1\n"
_DIGEST_BYTES: Final = 64
_SHARE_OF_TIME: Final = 0.05
"""Part of the training's time that writing checkpoints may take: large networks are written less often."""


class _DamagedError(Exception):
    """A checkpoint's bytes are not those that were written."""


class Checkpoints:
    """The checkpoints of one training in a folder.

    A file is `magic, SHA-256 of the rest in hexadecimal, torch.save of the state`; it is written beside its place,
    synchronised to disk and renamed, so that a file of that name is whole. Its name carries a hash of `identity`: what
    makes two trainings the same (hyperparameters, data, weights). Files of another identity are left alone.

    With `folder=None` (the job has no checkpoint folder) nothing is read or written.
    """

    def __init__(self, folder: Path | None, *, identity: Mapping[str, object], every: float = 60.0):
        self._folder = folder
        text = json.dumps({name: str(value) for name, value in identity.items()}, sort_keys=True)
        self._key = hashlib.sha256(text.encode()).hexdigest()[:16]
        self._every, self._due_at = every, time.monotonic() + every
        self._number = 0

    @property
    def kept(self) -> bool:
        """Whether there is a folder to keep anything in."""
        return self._folder is not None

    def due(self) -> bool:
        """Return whether it is time for another checkpoint."""
        return self._folder is not None and time.monotonic() >= self._due_at

    def load(self) -> dict[str, Any] | None:
        """Return the state of the newest checkpoint that is whole; None where there is none.

        A damaged one is removed with a warning, and the one before it is used.
        """
        if self._folder is None:
            return None

        # files that are not this training's, or were never finished
        others = [path for path in self._folder.glob("checkpoint-*.pt") if path not in self._own()]
        if others:
            print(
                f"warning: {len(others)} checkpoints of other hyperparameters, data or weights are ignored "
                f"({others[0].name}); give each job a checkpoint folder of its own",
                flush=True,
            )
        for unfinished in self._folder.glob(f"checkpoint-{self._key}-*.tmp"):
            unfinished.unlink()

        # the newest one that is whole
        state: dict[str, Any] | None = None
        for path in reversed(self._own()):
            self._number = max(self._number, int(path.stem.rpartition("-")[2]))
            if state is not None:
                continue
            try:
                state = _read(path)
            except _DamagedError as error:
                print(f"warning: {path.name} is damaged ({error}) and removed; the one before it is used", flush=True)
                path.unlink()
        return state

    def save(self, state: Mapping[str, Any]) -> None:
        """Write a checkpoint and remove all but the newest two. The state holds tensors, numbers, text, lists, dicts.

        Raises:
            OSError: the disk is full or not writable.
        """
        if self._folder is None:
            return
        start = time.monotonic()
        self._number += 1
        target = self._folder / f"checkpoint-{self._key}-{self._number:08}.pt"
        _write(target, dict(state))
        for old in self._own()[:-KEPT]:
            old.unlink()
        now = time.monotonic()
        self._due_at = now + max(self._every, (now - start) / _SHARE_OF_TIME)

    def discard(self) -> None:
        """Remove this training's checkpoints, once it needs them no more; SageMaker then deletes them in S3 too."""
        for path in self._own():
            path.unlink()

    def _own(self) -> list[Path]:
        """Return this training's checkpoints, oldest first."""
        return sorted(self._folder.glob(f"checkpoint-{self._key}-*.pt")) if self._folder is not None else []


def empty(folder: Path | None) -> None:
    """Remove everything that a job kept in its checkpoint folder, once it has its results.

    SageMaker then deletes it in S3 too ("Use checkpoints in Amazon SageMaker AI", developer guide). A job that is
    interrupted after this and before its results are uploaded trains anew.
    """
    for path in sorted(folder.iterdir()) if folder is not None else []:
        if path.is_file():
            path.unlink()


def _write(target: Path, state: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getbuffer()
    beside = target.with_suffix(".tmp")
    with beside.open("wb") as file:
        file.write(_MAGIC + hashlib.sha256(payload).hexdigest().encode())
        file.write(payload)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(target)
    # The rename itself lasts only once the folder is on disk.
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    if not content.startswith(_MAGIC):
        raise _DamagedError("it does not start as a checkpoint does")
    payload = memoryview(content)[len(_MAGIC) + _DIGEST_BYTES :]
    digest = content[len(_MAGIC) : len(_MAGIC) + _DIGEST_BYTES]
    if hashlib.sha256(payload).hexdigest().encode() != digest:
        raise _DamagedError("its checksum differs")
    state: dict[str, Any] = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    return state
