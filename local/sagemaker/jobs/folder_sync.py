"""Copy folders of a running job's hosts to S3: checkpoints, and the tensors that Debugger's hook saves."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
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

    With `on_refused_deletion`, it also deletes from S3 what it has uploaded or restored and no host has any more: what
    is deleted from the local checkpoint path "will also be deleted in the S3 folder" (developer guide, "Checkpoints in
    Amazon SageMaker AI"). What SageMaker does if the role may not delete is not documented. Here the job fails at its
    end, since its checkpoints would pile up and all be downloaded by the next attempt.

    Args:
        transfer: S3 as the job's role.
        uri: the S3 prefix.
        folders: one folder for each host; all share the prefix.
        unfinished: suffix of files that are still being written, which are left out.
        on_refused_deletion: called once with the reason, if the role may not delete an object. Without it, files that
            are deleted stay in S3.
    """

    def __init__(
        self,
        transfer: Transfer,
        *,
        uri: str,
        folders: Sequence[Path],
        unfinished: str | None = None,
        on_refused_deletion: Callable[[str], None] | None = None,
    ) -> None:
        self._transfer = transfer
        self._uri = f"{uri.rstrip('/')}/"
        self._folders = folders
        self._unfinished = unfinished
        self._on_refused_deletion = on_refused_deletion
        self._uploaded: dict[Path, tuple[int, int]] = {}
        self._told = False
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
        """Upload the last files, and delete the last objects.

        Raises:
            JobFailure: an object could not be written or deleted, and the block itself raised nothing.
        """
        self._left.set()
        self._thread.join()
        try:
            self._synchronise()
        except JobFailure:
            if error is None:
                raise
            _LOGGER.exception("the last changes did not reach %s", self._uri)

    def _work(self) -> None:
        while not self._left.wait(INTERVAL):
            try:
                self._synchronise()
            except JobFailure as failure:
                _LOGGER.warning("a change did not reach %s and is tried again: %s", self._uri, failure)

    def _synchronise(self) -> None:
        # upload first, so that a checkpoint is there before the older one goes
        present: set[Path] = set()
        for folder in self._folders:
            found = self._files(folder)
            present |= found.keys()
            changed = [path for path, seen in found.items() if self._uploaded.get(path) != seen]
            self._transfer.upload_files(changed, folder, self._uri, may_vanish=True)
            self._uploaded |= {path: found[path] for path in changed}

        if self._on_refused_deletion is not None:
            self._delete(present)

    def _delete(self, present: set[Path]) -> None:
        """Delete the objects of files that are gone from every host's folder."""
        kept = {self._key(path) for path in present}
        for path in [path for path in self._uploaded if path not in present]:
            if self._key(path) not in kept:
                try:
                    self._transfer.delete_object(f"{self._uri}{self._key(path)}")
                except JobFailure as failure:
                    if self._on_refused_deletion is not None and not self._told:
                        self._told = True
                        self._on_refused_deletion(str(failure))
                    raise
            del self._uploaded[path]

    def _key(self, path: Path) -> str:
        """Return the object's key below the prefix."""
        folder = next(folder for folder in self._folders if path.is_relative_to(folder))
        return path.relative_to(folder).as_posix()

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
