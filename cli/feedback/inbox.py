"""The feedback that waits in the data bucket: records and photos, as the API has kept them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, cast

from botocore.exceptions import ClientError

import contract
from cli import CliError
from cli.aws_errors import read_object

__all__ = ["Inbox"]

_THREADS: Final = 8


@dataclass(frozen=True)
class Inbox:
    """The feedback of one environment."""

    s3: Any
    bucket: str

    def waiting(self) -> list[str]:
        """Return the ids of all feedback, the oldest first."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=contract.FEEDBACK_PREFIX)
        found = [(item["LastModified"], item["Key"]) for page in pages for item in page.get("Contents", [])]
        return [identity for _, key in sorted(found) if (identity := contract.feedback_id_in(key))]

    def records(self, ids: Iterable[str]) -> Iterator[contract.Feedback | None]:
        """Yield the record of each id; None where there is none any more."""
        with ThreadPoolExecutor(_THREADS) as threads:
            yield from threads.map(self._record, ids)

    def photos(self, records: Iterable[contract.Feedback], *, folder: Path) -> Iterator[str]:
        """Write the photo of each record into a folder, unless it is there; yield its name, empty where it is gone.

        A photo whose content is not the record's counts as gone.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(_THREADS) as threads:
            yield from threads.map(lambda record: self._photo(record, folder), records)

    def remove(self, record: contract.Feedback) -> None:
        """Delete a record and its photo.

        Raises:
            CliError: S3 did not delete one of them.
        """
        keys = [contract.feedback_key(record["id"]), record["photo"]]
        answer = self.s3.delete_objects(
            Bucket=self.bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
        )
        if answer and (errors := answer.get("Errors")):
            raise CliError(
                f"S3 did not delete {errors[0]['Key']}: {errors[0]['Message']}; allow s3:DeleteObject there, and apply "
                "the list again"
            )

    def _record(self, identity: str) -> contract.Feedback | None:
        body = self._object(contract.feedback_key(identity))
        if body is None:
            return None
        record = _parsed(body)
        if record is None or record["id"] != identity:
            raise CliError(
                f"s3://{self.bucket}/{contract.feedback_key(identity)} is no record that the API has written: delete it"
            )
        return record

    def _photo(self, record: contract.Feedback, folder: Path) -> str:
        name = PurePosixPath(record["photo"]).name
        file = folder / name
        if file.exists() and _is_content(file.read_bytes(), record):
            return name
        body = self._object(record["photo"])
        if body is None or not _is_content(body, record):
            return ""
        file.write_bytes(body)
        return name

    def _object(self, key: str) -> bytes | None:
        try:
            return read_object(self.s3, bucket=self.bucket, key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("NoSuchKey", "404"):
                raise
            return None


def _is_content(body: bytes, record: contract.Feedback) -> bool:
    return hashlib.sha256(body).hexdigest() == record["content"]


def _parsed(body: bytes) -> contract.Feedback | None:
    """Return a record; None where it does not hold what a record holds, so that no key or file can be named by it."""
    try:
        found = json.loads(body)
    except ValueError:
        return None
    if not isinstance(found, dict) or not found.keys() >= contract.Feedback.__annotations__.keys():
        return None
    texts = [found[name] for name in ("id", "photo", "content", "label", "received")]
    texts += [found[name] for name in ("answered", "run", "request_id") if found[name] is not None]
    if not all(isinstance(text, str) for text in texts):
        return None
    record = cast("contract.Feedback", found)
    suffix = PurePosixPath(record["photo"]).suffix
    known = suffix in contract.PHOTO_SUFFIXES and record["photo"] == contract.feedback_key(record["id"], suffix)
    return record if known and contract.is_label(record["label"]) else None
