"""Faults on demand: which call is hit, how often, and what then happens to it."""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from local import clock
from local.sagemaker.account.document import AccountDocument, Fault

__all__ = ["INTERNAL_FAILURE", "FaultError", "Faults", "LostAnswerError"]

_LOGGER = logging.getLogger(__name__)

_T = TypeVar("_T")

INTERNAL_FAILURE = (
    "InternalFailure",
    "The request processing has failed because of an unknown error, exception or failure.",
    500,
)
"""Code, message and status of an internal failure (API references, "Common Error Types")."""


class FaultError(Exception):
    """A fault answers a call with an error."""

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class LostAnswerError(Exception):
    """A call was carried out, and its connection breaks before the answer has arrived."""


class Faults:
    """The faults of the account document, with a count of the calls that each has seen and hit.

    Args:
        document: returns the document as it is now. Another object begins the counts anew.
        record: file to which a line of JSON is appended for every fault that fires; None for no file.
    """

    def __init__(self, document: Callable[[], AccountDocument], *, record: Path | None) -> None:
        self._document = document
        self._record = record
        self._lock = threading.Lock()
        self._counted: AccountDocument | None = None
        self._seen: Counter[str] = Counter()
        self._fired: Counter[str] = Counter()

    @property
    def any(self) -> bool:
        """Whether the document has a fault at all; saves callers from finding out what is called.

        Raises:
            DocumentError: the document is wrong.
        """
        return bool(self._document().faults)

    def hit(self, service: str, operation: str) -> Fault | None:
        """Count a call, and return the fault that hits it; None if none does.

        Raises:
            DocumentError: the document is wrong.
        """
        document = self._document()
        with self._lock:
            if document is not self._counted:
                self._counted = document
                self._seen.clear()
                self._fired.clear()

            # every fault counts the call, also if an earlier one hits it
            hitting = None
            for fault in document.faults:
                if (service, operation) not in fault.hits:
                    continue
                self._seen[fault.name] += 1
                number = self._seen[fault.name] - fault.after
                if hitting is None and number >= 1 and (fault.times is None or number <= fault.times):
                    hitting = fault
            if hitting is not None:
                self._fired[hitting.name] += 1
                self._write(hitting, service, operation, self._fired[hitting.name])
            return hitting

    def through(self, service: str, operation: str, call: Callable[[], _T]) -> _T:
        """Make a call as the faults let it: return its result.

        Raises:
            FaultError: the call is answered with an error; after a lost answer with status 500, it was carried out.
            LostAnswerError: the call was carried out, but its answer is lost.
            DocumentError: the document is wrong.
        """
        fault = self.hit(service, operation)
        if fault is None:
            return call()
        clock.sleep(fault.delay_seconds)
        if fault.error is not None:
            raise FaultError(fault.error.code, fault.error.message, fault.error.status)
        result = call()
        if fault.lost_answer == "connection":
            raise LostAnswerError(f"the answer of {operation} was lost")
        if fault.lost_answer == "internal_failure":
            raise FaultError(*INTERNAL_FAILURE)
        return result

    def _write(self, fault: Fault, service: str, operation: str, count: int) -> None:
        what = f"error {fault.error.code}" if fault.error else f"lost answer ({fault.lost_answer})"
        if fault.error is None and fault.lost_answer is None:
            what = f"delay of {fault.delay_seconds:g} s"
        _LOGGER.warning("fault %s fired at %s %s: %s, for the %d. time", fault.name, service, operation, what, count)
        if self._record is None:
            return
        line = {
            "time": clock.time(),
            "fault": fault.name,
            "service": service,
            "operation": operation,
            "what": what,
            "count": count,
        }
        with self._record.open("a") as file:
            file.write(json.dumps(line) + "\n")
