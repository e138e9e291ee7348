"""Feedback: photos with the right label from callers of the API, which are kept until a person has reviewed them."""

from __future__ import annotations

import hashlib
import re
from typing import Final, Literal, NotRequired, TypedDict

from contract.class_names import is_class_name
from contract.folders import is_system_file
from contract.names import FEEDBACK_PREFIX

__all__ = [
    "Feedback",
    "FeedbackReceipt",
    "FeedbackRequest",
    "feedback_id",
    "feedback_id_in",
    "feedback_key",
    "is_label",
]

_LONGEST_FOLDER_NAME: Final = 255
"""Longest name of a folder on common file systems, in bytes; S3 takes keys of 1,024 bytes."""

_RECORD: Final = ".json"
_RECORD_KEY: Final = re.compile(re.escape(FEEDBACK_PREFIX) + r"([0-9a-f]{32})" + re.escape(_RECORD))


class FeedbackRequest(TypedDict):
    """A photo with its right label as JSON; a form has the same fields, with the photo as the file `image`."""

    inputs: NotRequired[str]
    """The photo in base64, as in a request to classify it."""
    s3: NotRequired[str]
    """The key of a photo that was uploaded by an `Upload`."""
    label: str
    """What the photo shows: one of the model's classes, or another name."""
    answered: NotRequired[str]
    """The label that the model had answered."""
    run: NotRequired[str]
    """`model.run` of that answer."""
    request_id: NotRequired[str]
    """`X-Request-Id` of that answer."""
    consent: Literal[True]
    """That the photo may be kept and looked at, and the model trained on it. In a form: `true`."""


class FeedbackReceipt(TypedDict):
    """The response to feedback that is kept."""

    id: str
    """The same photo with the same label has the same one, and is kept once."""
    days: int
    """Days after which the photo and its label are deleted if nobody has reviewed them."""


class Feedback(TypedDict):
    """The record that is kept beside a photo, as JSON. All texts are a stranger's."""

    id: str
    photo: str
    """The photo's key."""
    content: str
    """SHA-256 of the photo, in hexadecimal digits."""
    label: str
    answered: str | None
    run: str | None
    request_id: str | None
    received: str
    """When it was received, as ISO 8601 in UTC."""
    consent: Literal[True]


def feedback_id(content: str, label: str) -> str:
    """Return the id of a photo with a label, 32 hexadecimal digits.

    Args:
        content: SHA-256 of the photo, in hexadecimal digits.
        label: What the photo is said to show.
    """
    return hashlib.sha256(f"{content}\n{label}".encode()).hexdigest()[:32]


def feedback_key(feedback: str, suffix: str = _RECORD) -> str:
    """Return the key of a record; of its photo with the suffix of its format, such as `.jpg`."""
    return f"{FEEDBACK_PREFIX}{feedback}{suffix}"


def feedback_id_in(key: str) -> str | None:
    """Return the id in the key of a record; None for any other key."""
    found = _RECORD_KEY.fullmatch(key)
    return found[1] if found else None


def is_label(name: str) -> bool:
    """Return whether a label can become a class: whether a folder of photos with this name would be one."""
    return is_class_name(name) and len(name.encode()) <= _LONGEST_FOLDER_NAME and not is_system_file(name)
