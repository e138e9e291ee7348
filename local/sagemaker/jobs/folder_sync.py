"""Copy folders of a running job's hosts to S3: checkpoints, and the tensors that Debugger's hook saves."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from local.sagemaker.errors import JobFailure
from local.sagemaker.transfer import Transfer

__all__ = ["FolderSync"]

_LOGGER = logging.getLogger(__name__)

INTERVAL = 10.0
"""Seconds between two uploads. SageMaker does not document its own interval."""


class FolderSync:
    """A context manager that uploads what is new or changed in the hosts' folders, at intervals and once at its end.

    Files that a program deletes stay in S3, where the jobs' roles may not delete.

    Args:
        transfer: S3 as the job's role.
        uri: the S3 prefix.
        folders: one folder for each host; all share the prefix.
        unfinished: suffix of files that are still being written, which are left out.
    """

    def __init__(self, transfer: Transfer, *, uri: str, folders: Sequence[Path], unfinished: str | None = None) -> None:
        self._transfer = transfer
        self._uri = f"{uri.rstrip('/')}/"
        self._folders = folders
        self._unfinished = unfinished
        self._uploaded: dict[Path, tuple[int, int]] = {}
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"uploads to {uri}", daemon=True)

    def restore(self) -> None:
        """Download everything below the prefix to every host's folder.

        Raises:
            JobFailure: an object could not be read.
        """
        for folder in self._folders:
            self._transfer.download_prefix(self._uri, folder, may_be_empty=True)
        self._uploaded = {path: seen for folder in self._folders for path, seen in self._files(folder).items()}

    def __enter__(self) -> FolderSync:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Upload the last files.

        Raises:
            JobFailure: a file could not be written, and the block itself raised nothing.
        """
        self._left.set()
        self._thread.join()
        try:
            self._upload()
        except JobFailure:
            if error is None:
                raise
            _LOGGER.exception("the last files were not uploaded to %s", self._uri)

    def _work(self) -> None:
        while not self._left.wait(INTERVAL):
            try:
                self._upload()
            except JobFailure as failure:
                _LOGGER.warning("an upload to %s failed and is tried again: %s", self._uri, failure)

    def _upload(self) -> None:
        for folder in self._folders:
            found = self._files(folder)
            changed = [path for path, seen in found.items() if self._uploaded.get(path) != seen]
            self._transfer.upload_files(changed, folder, self._uri, may_vanish=True)
            self._uploaded |= {path: found[path] for path in changed}

    def _files(self, folder: Path) -> dict[Path, tuple[int, int]]:
        """Return every file with its modification time and size, without those that vanish in between."""
        found = {}
        for path in sorted(folder.rglob("*")):
            if self._unfinished is not None and path.name.endswith(self._unfinished):
                continue
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            if path.is_file():
                found[path] = (status.st_mtime_ns, status.st_size)
        return found
