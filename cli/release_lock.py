"""The release lock, held by a command while it changes the endpoint (contract/lock.py)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

import contract
from cli import CliError
from cli.aws_errors import read_object_with_etag
from infra.outputs import StackOutput

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.target import Target

__all__ = ["hold_release_lock"]

_HOLD: Final = timedelta(minutes=3)
"""How long a command that was killed keeps runs and other commands away."""

_RENEW: Final = timedelta(minutes=2)
"""Before the hold lapses by so much, it is renewed."""

_REFUSED: Final = ("PreconditionFailed", "ConditionalRequestConflict")
"""S3's refusals of a conditional write that another write came before."""


@contextmanager
def hold_release_lock(target: Target, *, run: str, by: str) -> Iterator[Callable[[], None]]:
    """Hold the lock while the model of `run` is put into service; yield what keeps holding it, to be called meanwhile.

    Args:
        target: Where the stack is deployed.
        run: The run whose model is put into service.
        by: Who does it.

    Raises:
        CliError: a run or another command holds it.
    """
    lock = _Lock(target, run=run, holder=f"whippet rollback by {by} ({uuid.uuid4().hex[:8]})")
    lock.take()
    try:
        yield lock.keep
    finally:
        lock.give_back()


class _Lock:
    def __init__(self, target: Target, *, run: str, holder: str) -> None:
        self._target, self._run, self._holder = target, run, holder
        self._s3 = target.client("s3")
        self._object = {
            "Bucket": target.output(StackOutput.DATA_BUCKET),
            "Key": contract.release_lock_key(target.settings.prefix),
        }
        self._etag = ""
        self._until = datetime.now(UTC)

    def take(self) -> None:
        """Take the lock.

        Raises:
            CliError: somebody else holds it.
        """
        if self._write(self._wanted(), IfNoneMatch="*"):
            return
        body, etag = self._read()
        lock: contract.ReleaseLock = json.loads(body)
        if (held := self._held(lock)) is not None:
            raise CliError(held)
        if not self._write(self._wanted(), IfMatch=etag):
            raise CliError("somebody else has just begun to put a model into service: `whippet status` says who")

    def keep(self) -> None:
        """Renew the hold before it lapses.

        Raises:
            CliError: somebody has taken the lock over.
        """
        if datetime.now(UTC) < self._until - _RENEW:
            return
        if not self._write(self._wanted(), IfMatch=self._etag):
            raise CliError(
                "a run has taken the release lock over, since this command did not renew it in time: "
                "`whippet status` says what serves"
            )

    def give_back(self) -> None:
        """Give the lock back, unless somebody has taken it over."""
        free = contract.ReleaseLock(holder=contract.NO_HOLDER, run="", at=datetime.now(UTC).isoformat(), until="")
        self._write(free, IfMatch=self._etag)

    def _wanted(self) -> contract.ReleaseLock:
        now = datetime.now(UTC)
        self._until = now + _HOLD
        return contract.ReleaseLock(
            holder=self._holder, run=self._run, at=now.isoformat(), until=self._until.isoformat()
        )

    def _held(self, lock: contract.ReleaseLock) -> str | None:
        """Return why the lock cannot be taken; None where it can."""
        if lock["holder"] == contract.NO_HOLDER:
            return None
        if lock["until"]:
            until = datetime.fromisoformat(lock["until"])
            if datetime.now(UTC) >= until:
                return None
            return (
                f"{lock['holder']} puts the model of run {lock['run']} into service: try again when it has, or where "
                f"that command was killed, after {until:%Y-%m-%d %H:%M:%S} UTC"
            )
        if not self._goes_on(lock["holder"]):
            return None
        return (
            f"run {lock['run']} is releasing its model: try again once it has ended, as `whippet status` shows, and "
            "name the run to put back"
        )

    def _goes_on(self, execution: str) -> bool:
        """Return whether an execution goes on, or was ended so that it is still tidied up."""
        stepfunctions = self._target.client("stepfunctions")
        try:
            described = stepfunctions.describe_execution(executionArn=execution)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ExecutionDoesNotExist":
                return False
            raise
        if described["status"] in ("RUNNING", "SUCCEEDED"):
            return bool(described["status"] == "RUNNING")
        return bool(datetime.now(UTC) - described["stopDate"] < contract.TIDYING)

    def _write(self, lock: contract.ReleaseLock, **condition: str) -> bool:
        """Write the lock under a condition, and return whether it held."""
        body = json.dumps(lock, indent=2).encode()
        try:
            written: dict[str, Any] = self._s3.put_object(
                **self._object, Body=body, ContentType="application/json", **condition
            )
        except ClientError as error:
            if error.response["Error"]["Code"] not in _REFUSED:
                raise
            # the write before it may have been this very one, whose answer got lost
            found, etag = self._read()
            if found == body:
                self._etag = etag
            return found == body
        self._etag = written["ETag"]
        return True

    def _read(self) -> tuple[bytes, str]:
        """Return the lock's content and its ETag."""
        return read_object_with_etag(self._s3, bucket=self._object["Bucket"], key=self._object["Key"])
