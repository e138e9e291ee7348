"""Captured answers in the data bucket: which files are read, and what their lines hold.

Sources: "Capture data from real-time endpoint" and "Interpret captured data" (SageMaker developer guide): a JSON object
a line, whose `captureData.endpointOutput` has the answer, as text or in base64.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from aws_lambda_powertools import Logger

import contract

from .comparison import Answers

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["ENOUGH_ANSWERS", "Captured", "read_captured"]

logger = Logger(child=True)

ENOUGH_ANSWERS: Final = 500
"""Answers for which a check looks back no further than to the check before."""

MOST_ANSWERS: Final = 10_000
"""Answers that a check compares: more would tell differences that matter to nobody."""

MOST_FILES: Final = 2_000
MOST_BYTES: Final = 256 * 2**20
"""What a check reads at most. A line with a photo has up to eight megabytes."""


@dataclass
class Captured:
    """The captured answers of one model."""

    answers: Answers = field(default_factory=Answers)
    others: int = 0
    """Answers of other models."""
    unreadable: int = 0
    """Lines that are no answers."""
    first: datetime | None = None
    last: datetime | None = None
    is_sample: bool = False
    """Whether there was more than a check reads."""


def read_captured(
    s3: S3Client,
    *,
    bucket: str,
    folder: str,
    release: str,
    run: str,
    now: datetime,
    every: timedelta,
    oldest: timedelta,
    has_time: Callable[[], bool],
) -> Captured:
    """Read the answers of a run's model: all since the check before, and older ones while there are not enough.

    Where there are more than a check reads, it takes a sample of whole files, drawn by their names' hashes.

    Args:
        s3: The client.
        bucket: The data bucket.
        folder: `contract.capture_folder`
        release: The endpoint configuration in service. A run that was tried again serves a model of another run.
        run: Its run, by which answers are known that name no release.
        now: When the check is made.
        every: How often checks are made.
        oldest: How far back answers are kept.
        has_time: Whether there is time to read another file.
    """
    found = Captured()
    read_bytes = files = 0

    # day by day, the newest first
    for day in _days(now, now - oldest):
        is_recent = day + timedelta(days=1) > now - every
        if not is_recent and len(found.answers) >= ENOUGH_ANSWERS:
            break
        for key, size in _keys(s3, bucket, folder, day):
            # older files only as long as there are too few answers
            hour = _hour(key, folder)
            if hour is None or hour > now:
                continue
            if hour + timedelta(hours=1) <= now - every and len(found.answers) >= ENOUGH_ANSWERS:
                continue

            # within the bounds of one check
            if (
                files >= MOST_FILES
                or read_bytes + size > MOST_BYTES
                or len(found.answers) >= MOST_ANSWERS
                or not has_time()
            ):
                found.is_sample = True
                return found
            files, read_bytes = files + 1, read_bytes + size
            _read_file(s3, bucket, key, release=release, run=run, found=found)
    return found


def _days(now: datetime, until: datetime) -> Iterator[datetime]:
    """Yield the days in UTC, the newest first."""
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    while day + timedelta(days=1) > until:
        yield day
        day -= timedelta(days=1)


def _keys(s3: S3Client, bucket: str, folder: str, day: datetime) -> list[tuple[str, int]]:
    """Return keys and sizes of a day's files in the order of their names' hashes, which is that of no time of day."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{folder}{day:%Y/%m/%d}/")
    found = [(item["Key"], item["Size"]) for page in pages for item in page.get("Contents", [])]
    return sorted(found, key=lambda one: hashlib.sha256(one[0].encode()).digest())


def _hour(key: str, folder: str) -> datetime | None:
    try:
        return datetime.strptime(key.removeprefix(folder)[: len("2026/01/31/23")], "%Y/%m/%d/%H").replace(tzinfo=UTC)
    except ValueError:
        return None


def _read_file(s3: S3Client, bucket: str, key: str, *, release: str, run: str, found: Captured) -> None:
    for line in s3.get_object(Bucket=bucket, Key=key)["Body"].iter_lines():
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            answer = _answer(entry["captureData"]["endpointOutput"])
            likeliest = answer["predictions"][0]
            label, score, distance = str(likeliest["label"]), float(likeliest["score"]), answer.get("distance")
            moment = datetime.fromisoformat(entry["eventMetadata"]["inferenceTime"])
            model = answer["model"]
            is_this = model["release"] == release if "release" in model else model["run"] == run
            distance = None if distance is None else float(distance)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            found.unreadable += 1
            logger.debug("a captured line is no answer", extra={"key": key, "error": repr(error)})
            continue
        if not is_this:
            found.others += 1
            continue
        found.answers.add(label, score, distance)
        found.first = min(found.first or moment, moment)
        found.last = max(found.last or moment, moment)


def _answer(output: Mapping[str, Any]) -> contract.Answer:
    """Return the answer of a captured output.

    Raises:
        ValueError: it is not JSON, or not base64 where it says so.
    """
    data = output["data"]
    try:
        text = base64.b64decode(data, validate=True) if output["encoding"] == "BASE64" else data
    except binascii.Error as error:
        raise ValueError(f"no base64: {error}") from None
    answer: contract.Answer = json.loads(text)
    return answer
