"""What the debugger hook saved, kept with the checkpoints for the training's next attempt.

SageMaker Debugger sends tensors to S3 as they come. In our own way they lie on the job's disk until its end, and an
interrupted spot instance takes them with it; but what lies with the checkpoints is brought back.
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
    """What an earlier attempt said of the tensors it left."""

    report: contract.HookReport
    tensors: list[str]
    """Names of all that were saved, which the collections have to list again."""


def keep(folder: Path, checkpoints: Path, kept: Kept) -> None:
    """Pack the folder of tensors beside the checkpoints, in place of what is there; all of it or nothing."""
    unfinished = checkpoints / f"{ARCHIVE}.tmp"
    text = json.dumps(asdict(kept)).encode()
    with tarfile.open(unfinished, "w") as archive:
        description = tarfile.TarInfo(_DESCRIPTION)
        description.size = len(text)
        archive.addfile(description, io.BytesIO(text))
        archive.add(folder, arcname=contract.Artefact.TENSORS.value)
    unfinished.replace(checkpoints / ARCHIVE)


def take_back(folder: Path, checkpoints: Path) -> Kept | None:
    """Unpack what an earlier attempt kept into the folder of tensors; None where there is nothing.

    Raises:
        OSError, tarfile.TarError, ValueError, KeyError: what is there cannot be read.
    """
    file = checkpoints / ARCHIVE
    if not file.is_file():
        return None
    with tarfile.open(file) as archive:
        description = archive.extractfile(_DESCRIPTION)
        values = json.loads(description.read()) if description else {}
        kept = Kept(report=values["report"], tensors=values["tensors"])
        for member in archive:
            inner = Path(member.name)
            if inner.parts[0] == contract.Artefact.TENSORS and len(inner.parts) > 1:
                member.name = str(inner.relative_to(contract.Artefact.TENSORS))
                archive.extract(member, folder, filter="data")
    return kept
