"""Keeps the tensors that the debugger hook saved beside the checkpoints, for the training's next attempt.

SageMaker Debugger sends tensors to S3 as they come. With the evaluator `own` they lie on the job's disk until its end,
and an interrupted spot instance takes them with it; what lies beside the checkpoints, SageMaker brings back.
"""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import contract

__all__ = ["ARCHIVE", "Kept", "keep", "take_back"]

ARCHIVE: Final = "tensors.tar"
_DESCRIPTION: Final = "kept.json"


@dataclass(frozen=True)
class Kept:
    """An earlier attempt's description of the tensors it kept."""

    report: contract.HookReport
    tensors: list[str]
    """The names of all saved tensors, which the collections have to list again."""


def keep(folder: Path, checkpoints: Path, kept: Kept) -> None:
    """Pack the folder of tensors beside the checkpoints, replacing an earlier archive; all of it or nothing."""
    unfinished = checkpoints / f"{ARCHIVE}.tmp"
    text = json.dumps(asdict(kept)).encode()
    with tarfile.open(unfinished, "w") as archive:
        description = tarfile.TarInfo(_DESCRIPTION)
        description.size = len(text)
        archive.addfile(description, io.BytesIO(text))
        archive.add(folder, arcname=contract.Artefact.TENSORS.value)
    unfinished.replace(checkpoints / ARCHIVE)


def take_back(folder: Path, checkpoints: Path) -> Kept | None:
    """Unpack the tensors of an earlier attempt into the folder of tensors; return None where it kept none.

    Raises:
        OSError, tarfile.TarError, ValueError, KeyError: the archive cannot be read.
    """
    file = checkpoints / ARCHIVE
    if not file.is_file():
        return None
    with tarfile.open(file) as archive:
        description = archive.extractfile(_DESCRIPTION)
        values = json.loads(description.read()) if description else {}
        kept = Kept(report=values["report"], tensors=values["tensors"])

        # the tensors alone, into the folder itself
        for member in archive:
            inner = Path(member.name)
            if inner.parts[0] == contract.Artefact.TENSORS and len(inner.parts) > 1:
                member.name = str(inner.relative_to(contract.Artefact.TENSORS))
                archive.extract(member, folder, filter="data")
    return kept
