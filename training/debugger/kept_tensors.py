"""Keeps the tensors that the debugger hook saved beside the checkpoints, for the training's next attempt.

SageMaker Debugger sends tensors to S3 as they come. With the evaluator `own` they lie on the job's disk until its end,
and a spot instance that is taken away takes them with it, without a signal to the training in AWS's images (their
entry point is a shell that does not pass SIGTERM on). What lies beside the checkpoints, SageMaker brings back. So each
checkpoint is preceded by an archive of what was saved since the one before: every tensor is packed once.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import contract
from training.runtime.tar import tarfile

__all__ = ["Kept", "TensorArchives"]

_DESCRIPTION: Final = "kept.json"


@dataclass(frozen=True)
class Kept:
    """What a hook had saved when an archive was packed, that of earlier archives included."""

    done: int
    """Optimiser steps done."""
    report: contract.HookReport
    tensors: list[str]
    """The names of all saved tensors, which the collections have to list again."""


class TensorArchives:
    """The archives of one training's tensors, in the order in which they were packed."""

    def __init__(self, folder: Path, *, checkpoints: Path):
        self._folder, self._checkpoints = folder, checkpoints
        self._names: list[str] = []
        self._done = 0

    @property
    def names(self) -> list[str]:
        """The archives' names, which a checkpoint holds: the tensors from the first step to that checkpoint's."""
        return list(self._names)

    def pack(self, places: Sequence[str], kept: Kept) -> None:
        """Pack these files of the folder of tensors as another archive; all of it or nothing.

        Raises:
            OSError: the disk is full, or a file is gone.
        """
        name = f"tensors-{len(self._names) + 1:05}-steps-{self._done}-{kept.done}.tar"
        unfinished = self._checkpoints / f"{name}.tmp"
        text = json.dumps(asdict(kept)).encode()
        with tarfile.open(unfinished, "w", format=tarfile.USTAR_FORMAT) as archive:
            _add(archive, _DESCRIPTION, text)
            for place in dict.fromkeys(places):
                with Path(f"{self._folder}/{place}").open("rb") as file:
                    _add(archive, f"{contract.Artefact.TENSORS.value}/{place}", file.read())
        unfinished.replace(self._checkpoints / name)
        self._names.append(name)
        self._done = kept.done

    def take_back(self, names: Sequence[str], *, failed: Callable[[str, Exception], None]) -> Kept | None:
        """Unpack the archives that a checkpoint names, up to one that is missing or damaged, and remove all others.

        An archive may be missing: SageMaker uploads files one by one, and the instance may be gone before the last.

        Args:
            names: the checkpoint's, in order.
            failed: is told of an archive that is there and cannot be read.

        Returns:
            What the last one that could be unpacked describes; None where there was none.
        """
        kept = None
        for name in names:
            if not (self._checkpoints / name).is_file():
                break
            try:
                kept = _unpacked(self._checkpoints / name, self._folder)
            except (OSError, tarfile.TarError, ValueError, KeyError) as error:
                failed("the tensors of the attempt before", error)
                break
            self._names.append(name)
            self._done = kept.done
        for other in self._checkpoints.glob("tensors-*.tar*"):
            if other.name not in self._names:
                other.unlink()
        return kept


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file without its owner and times: `TarFile.add` takes twice as long to look them up."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def _unpacked(file: Path, folder: Path) -> Kept:
    with tarfile.open(file) as archive:
        members = archive.getmembers()
        description = archive.extractfile(_DESCRIPTION)
        values = json.loads(description.read()) if description else {}
        kept = Kept(done=values["done"], report=values["report"], tensors=values["tensors"])

        # the tensors alone, into the folder itself
        for member in members:
            inner = Path(member.name)
            if inner.parts[0] == contract.Artefact.TENSORS and len(inner.parts) > 1:
                member.name = str(inner.relative_to(contract.Artefact.TENSORS))
                archive.extract(member, folder, filter="data")
    return kept
