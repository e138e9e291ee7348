"""Objects already downloaded from S3, kept as read-only files that jobs get as hard links."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

__all__ = ["ObjectCache"]


class ObjectCache:
    """Files by role, bucket, key, ETag and size.

    The role is part of the key: what one role may read is never handed to another without asking S3. A file is
    trusted only while its size and its modification time (set to the object's) are as they were kept, so a job that
    writes through its link (root may, even to a read-only file) costs a download and never harms another job later.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder.chmod(0o700)

    def place(
        self, target: Path, *, identity: tuple[str, ...], size: int, modified: int, fetch: Callable[[Path], None]
    ) -> None:
        """Put the object's file at `target`, fetching it first if it is not kept.

        Args:
            target: path of a file that does not exist; its folder does.
            identity: what tells the object from any other (role, bucket, key, ETag).
            size: bytes of the object.
            modified: the object's time, epoch seconds.
            fetch: writes the object to the path it is given.
        """
        digest = hashlib.sha256("\0".join(identity).encode()).hexdigest()
        kept = self._folder / digest[:2] / digest[2:]
        if not _is_intact(kept, size, modified):
            kept.parent.mkdir(exist_ok=True)
            part = kept.with_name(f"{kept.name}.{os.getpid()}.{threading.get_ident()}")
            try:
                fetch(part)
                part.chmod(0o444)
                os.utime(part, (modified, modified))
                part.replace(kept)
            finally:
                part.unlink(missing_ok=True)
        try:
            os.link(kept, target)
        except FileExistsError:
            raise
        except OSError:  # another file system, or no more links to this file: a copy does as well
            shutil.copyfile(kept, target)


def _is_intact(path: Path, size: int, modified: int) -> bool:
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    return status.st_size == size and status.st_mtime == modified
