"""Unpacks what the debugger needs from a training job's output archive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

import contract
from training.runtime.tar import tarfile

__all__ = ["ArchiveError", "extract"]

_MOST_BYTES: Final = 16 * 2**30
_MOST_FILES: Final = 1_000_000
"""Limits far above what a hook at its default interval writes. A processing job's volume holds 30 GB."""


class ArchiveError(Exception):
    """The archive cannot be used; the message says why."""


def extract(archive: Path, folder: Path) -> None:
    """Unpack the tensors, the hook's report and the profile into a folder, and nothing else.

    No file is written outside the folder, and no links or devices are made (tarfile's filter `data`).

    Raises:
        ArchiveError: there is no archive, or it is damaged or unpacks to too much.
    """
    try:
        with tarfile.open(archive, "r|*") as opened:
            opened.extractall(folder, members=_wanted(opened), filter="data")
    except FileNotFoundError:
        raise ArchiveError(f"there is no {archive.name} in {archive.parent}: the training left no output") from None
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ArchiveError(f"{archive.name} cannot be unpacked: {type(error).__name__}: {error}") from error


def _wanted(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    size = files = 0
    for member in archive:
        # take regular files of the debugger only
        parts = PurePosixPath(member.name).parts
        if not member.isfile() or not parts:
            continue
        if parts[0] != contract.Artefact.TENSORS and parts not in (
            (contract.Artefact.HOOK_REPORT,),
            (contract.Artefact.PROFILE,),
        ):
            continue

        # refuse an archive that would fill the disk
        size, files = size + member.size, files + 1
        if size > _MOST_BYTES or files > _MOST_FILES:
            raise ArchiveError(
                f"its tensors are more than {_MOST_BYTES >> 30} GiB or {_MOST_FILES:,} files: save them less often"
            )
        yield member
