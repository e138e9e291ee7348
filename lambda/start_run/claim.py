"""The claim on the next start: of two events that come at once, the second sees the run of the first.

ListExecutions is eventually consistent, and two invocations may look at it before either starts anything. So each
writes the name of its execution into an object in the data bucket, where nobody has written since it looked, and then
starts it. The claim of an invocation that was killed lapses.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError
from shared.aws_errors import is_already_there, is_missing_execution, is_unreadable_object, was_written_meanwhile

import contract

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_stepfunctions.type_defs import ExecutionListItemTypeDef

__all__ = ["Claims"]

_PAUSE: Final = 2
"""Seconds between two looks for the execution that another invocation is about to start."""


@dataclass(frozen=True, kw_only=True)
class _Claim:
    name: str
    """Of the execution."""
    at: str
    """When it was claimed, ISO 8601; with it no two contents, and so no two ETags, are the same."""


class Claims:
    """The claim of one environment, as one invocation sees it."""

    def __init__(self, s3: S3Client, states: SFNClient, *, bucket: str, key: str, machine: str) -> None:
        self._s3 = s3
        self._states = states
        self._bucket, self._key, self._machine = bucket, key, machine
        self._etag: str | None = None

    def last_started(self) -> ExecutionListItemTypeDef | None:
        """Return the execution that another event has just started and that goes on; None where there is none.

        One that is being started is waited for, until its claim lapses.
        """
        while True:
            claim = self._read()
            if claim is None:
                return None
            lapses = datetime.fromisoformat(claim.at) + contract.START_HOLD
            if datetime.now(UTC) >= lapses:
                return None
            arn = f"{self._machine.replace(':stateMachine:', ':execution:')}:{claim.name}"
            try:
                found = self._states.describe_execution(executionArn=arn)
            except ClientError as error:
                if not is_missing_execution(error):
                    raise
                time.sleep(_PAUSE)
                continue
            if found["status"] != "RUNNING":
                return None
            return {
                "executionArn": arn,
                "stateMachineArn": self._machine,
                "name": claim.name,
                "status": found["status"],
                "startDate": found["startDate"],
            }

    def take(self, name: str) -> bool:
        """Claim the next start for an execution, and return False where another invocation has since `last_started`."""
        claim = _Claim(name=name, at=datetime.now(UTC).isoformat())
        unchanged = {"IfNoneMatch": "*"} if self._etag is None else {"IfMatch": self._etag}
        try:
            self._s3.put_object(
                Bucket=self._bucket,
                Key=self._key,
                Body=json.dumps(asdict(claim)).encode(),
                ContentType="application/json",
                **unchanged,  # type: ignore[arg-type]
            )
        except ClientError as error:
            if is_already_there(error) or was_written_meanwhile(error):
                return False
            raise
        return True

    def _read(self) -> _Claim | None:
        try:
            found = self._s3.get_object(Bucket=self._bucket, Key=self._key)
        except ClientError as error:
            # missing; one that may not be read fails at `take`
            if is_unreadable_object(error):
                self._etag = None
                return None
            raise
        self._etag = found["ETag"]
        return _Claim(**json.loads(found["Body"].read()))
