"""The answers to the test photos, which the training of the model in service has left."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Final

import contract

from .comparison import Answers

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["UnreadableBaseline", "read_baseline", "read_listed"]

MOST_BYTES: Final = 64 * 2**20
"""The largest table: the verdict copies no larger file."""


class UnreadableBaseline(Exception):
    """The table of the answers cannot be read; the message is a clause that says why."""


def read_baseline(s3: S3Client, *, bucket: str, run: str) -> Answers | None:
    """Return the answers to the test photos of a run, or None where it left none.

    Raises:
        UnreadableBaseline: the table is too large, or is no such table.
    """
    content = read_listed(s3, bucket=bucket, key=contract.result_key(run, contract.Artefact.PREDICTIONS))
    if content is None:
        return None
    if len(content) > MOST_BYTES:
        raise UnreadableBaseline(f"it has more than {MOST_BYTES:,} bytes")
    found = Answers()
    try:
        for row in csv.DictReader(io.StringIO(content.decode("utf-8"))):
            distance = row.get("distance")
            found.add(row["predicted"], float(row["confidence"]), float(distance) if distance else None)
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise UnreadableBaseline(f"{type(error).__name__}: {error}") from None
    return found


def read_listed(s3: S3Client, *, bucket: str, key: str) -> bytes | None:
    """Return an object's content, or None where there is none.

    It is looked for in a listing: to a role that may list this prefix alone, S3 answers 403 for a missing object.
    """
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
    if not any(item["Key"] == key for page in pages for item in page.get("Contents", [])):
        return None
    content: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read(MOST_BYTES + 1)
    return content
