"""The account that the service plays: its document, which is read again when it changes, and what it remembers."""

from __future__ import annotations

import threading
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from local.sagemaker.account.document import AccountDocument, Answering, DocumentError, Lingering, parse_document
from local.sagemaker.account.faults import Faults
from local.sagemaker.account.quotas import Quotas
from local.sagemaker.account.taken_names import TakenNames

__all__ = ["Account"]

_DOCUMENT: Final = "account.json"
_FIRED: Final = "account-faults.jsonl"
_NAMES: Final = "account-names.txt"


class Account:
    """The account's faults, quotas, taken names and slow resources.

    Args:
        state: folder of `account.json` and of what is written beside it; None for an account without a document, which
            forgets everything with the object.

    Raises:
        DocumentError: the document is wrong.
    """

    def __init__(self, state: Path | None = None) -> None:
        self._file = state / _DOCUMENT if state else None
        self._lock = threading.Lock()
        self._version: tuple[int, int, int] | None = None
        self._document: AccountDocument | DocumentError = AccountDocument()
        record = state / _FIRED if state else None
        if record is not None:
            record.unlink(missing_ok=True)
        self.faults = Faults(self.document, record=record)
        self.quotas = Quotas(self.document)
        self.names = TakenNames(state / _NAMES if state else None)
        self.document()

    def document(self) -> AccountDocument:
        """Return the document as it is now; the same object as long as the file is the same.

        Raises:
            DocumentError: it is wrong.
        """
        with self._lock:
            version = self._file_version()
            if version != self._version:
                self._version = version
                self._document = self._read()
            if isinstance(self._document, DocumentError):
                raise DocumentError(str(self._document))
            return self._document

    def creating_seconds(self, endpoint: str) -> float:
        """Return the seconds that an endpoint stays Creating; 0 while the document is wrong."""
        return _seconds(self._readable().creating, "Endpoint", endpoint)

    def answering(self, model: str) -> Answering | None:
        """Return how a model's container answers; None if it is well, or the document is wrong."""
        entries = self._readable().answering
        return next((entry for entry in entries if fnmatchcase(model, entry.name)), None)

    def stopping_seconds(self, kind: str, job: str) -> float:
        """Return the seconds that a job stays Stopping after its programs have ended; 0 while the document is wrong."""
        return _seconds(self._readable().stopping, kind, job)

    def _readable(self) -> AccountDocument:
        """Return the document for a thread that nobody could tell that it is wrong; then an empty one."""
        try:
            return self.document()
        except DocumentError:
            return AccountDocument()

    def _file_version(self) -> tuple[int, int, int] | None:
        try:
            found = self._file.stat() if self._file else None
        except FileNotFoundError:
            found = None
        return (found.st_ino, found.st_size, found.st_mtime_ns) if found else None

    def _read(self) -> AccountDocument | DocumentError:
        if self._file is None or self._version is None:
            return AccountDocument()
        try:
            return parse_document(self._file.read_text())
        except DocumentError as error:
            return DocumentError(f"{self._file}: {error}")
        except (OSError, UnicodeDecodeError) as error:
            return DocumentError(f"{self._file} cannot be read: {error}")


def _seconds(entries: tuple[Lingering, ...], kind: str, name: str) -> float:
    """Return the seconds of the first entry that is for this resource."""
    fitting = (entry.seconds for entry in entries if entry.kind in (kind, "*") and fnmatchcase(name, entry.name))
    return next(fitting, 0.0)
