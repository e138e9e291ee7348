"""Folders of a running job's hosts on their way to S3: checkpoints, and what Debugger's hook saves."""

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
"""Seconds between two looks at the folders. SageMaker does not say how long its own are."""


class FolderSync:
    """While entered, uploads what is new or changed in the hosts' folders; once more when left.

    Files that a program deletes stay in S3: the jobs' roles may not delete there. With `unfinished`, files whose names
    end so are passed over.
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
        """Everything that is in S3 into every host's folder.

        Raises:
            JobFailure: it could not be read.
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
        """Raises JobFailure where the last files could not be written, unless something else went wrong."""
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
            except JobFailure as failure:  # the next round, or the last one, tries again
                _LOGGER.warning("files wait for the next upload: %s", failure)

    def _upload(self) -> None:
        for folder in self._folders:
            found = self._files(folder)
            changed = [path for path, seen in found.items() if self._uploaded.get(path) != seen]
            self._transfer.upload_files(changed, folder, self._uri, may_vanish=True)
            self._uploaded |= {path: found[path] for path in changed}

    def _files(self, folder: Path) -> dict[Path, tuple[int, int]]:
        """Every file with its time and size; one that goes away meanwhile is passed over."""
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
