"""Objects that were downloaded from S3, kept as read-only files that jobs get as hard links."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

__all__ = ["ObjectCache"]


class ObjectCache:
    """A cache of files by role, bucket, key, ETag and size.

    The role is part of the key, so that no role gets an object without asking S3 for it. A file is used only while its
    size and its modification time, which is set to the object's, are unchanged. So a job that writes through its link,
    as root can even if the file is read-only, costs another download but never changes the input of a later job.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder.chmod(0o700)

    def place(
        self, target: Path, *, identity: tuple[str, ...], size: int, modified: int, fetch: Callable[[Path], None]
    ) -> None:
        """Link the object's file to `target`; fetch the object first if it is not in the cache.

        Args:
            target: path of a file that does not exist, in a folder that does.
            identity: identifies the object: role, bucket, key and ETag.
            size: bytes of the object.
            modified: modification time of the object, epoch seconds.
            fetch: writes the object to the path that it is given.
        """
        # fetch to a temporary name, so that two threads never see half a file
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
        except OSError:
            # a link is not possible, to another file system or beyond the limit of links to a file: copy
            shutil.copyfile(kept, target)


def _is_intact(path: Path, size: int, modified: int) -> bool:
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    return status.st_size == size and status.st_mtime == modified
