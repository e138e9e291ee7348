"""Settings of the photos and their bucket."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from infra.settings.section import Section
from infra.settings.security import KEY_ARN

__all__ = ["DatasetSettings"]


def _pattern(text: str) -> str:
    """Check a regular expression.

    Raises:
        ValueError: it is none, is too long, or has no group in parentheses.
    """
    expected = "give a regular expression with the group in parentheses, such as ^[^/]+/([^_]+)_"
    if len(text) > 200:
        raise ValueError(f"it has {len(text)} characters, more than 200; {expected}")
    try:
        groups = re.compile(text).groups
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression ({error}); {expected}") from None
    if not groups:
        raise ValueError(f"{text!r} has no group in parentheses; {expected}")
    return text


class DatasetSettings(Section):
    """The photos and their bucket."""

    bucket: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
        description="Name of an existing bucket with the photos; empty: the stack creates one. On a standing stack, "
        "another bucket takes the endpoint's access to the model in service: start a run right after the change.",
    )
    bucket_key: str | None = Field(
        default=None,
        pattern=rf"^{KEY_ARN}$",
        description="ARN of the KMS key that encrypts the existing bucket, which the roles may then use for its "
        "objects; empty: it has none.",
    )
    prefix: str = Field(
        default="dataset/",
        pattern=r"^([A-Za-z0-9._-]+/)+$",
        description="Key prefix of the class folders with the photos; ends with a slash.",
    )
    min_images_per_class: int = Field(
        default=5, ge=3, le=10_000, description="Fewest photos that a class may have; a class with fewer fails the run."
    )
    group_pattern: Annotated[str, AfterValidator(_pattern)] | None = Field(
        default=None,
        description="Regular expression with a group in parentheses, looked for in each photo's path below the prefix: "
        "photos of which it finds the same text stay in one split, as those of one store, patient or product; empty: "
        "only copies do. Rows of a `groups.csv` (columns path and group) in the data set count before it.",
    )
    input_mode: Literal["File", "FastFile"] = Field(
        default="File",
        description="How a job gets the photos: copied to its disk before it starts (File), or streamed from S3 "
        "(FastFile, for data sets larger than the disk). The last training of a head, which reads only some of them, "
        "always streams them.",
    )
    keep_at_destroy: bool = Field(
        default=True, description="Keep the bucket and the photos when the stack is destroyed."
    )
    noncurrent_days: int = Field(
        default=30, ge=1, le=3650, description="Days for which an overwritten or deleted object can be restored."
    )
