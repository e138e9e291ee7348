"""A request with a photo and its right label, as a form or as JSON (`contract.FeedbackRequest`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from contract import FeedbackRequest, ServingMode, is_label
from contract.class_names import is_class_name, shown

from .image_limits import check_size
from .media_types import FORM, JSON, media_type_of
from .problems import Problem
from .request_form import read_form
from .request_image import body_of
from .request_json import Stored, images_in_json, json_object
from .request_parameters import check_names

__all__ = ["GivenFeedback", "read_feedback"]

_HOW_TO: Final = (
    "send a form, for example curl -F image=@photo.jpg -F label=dog -F consent=true, or JSON as "
    '{"inputs": "…", "label": "dog", "consent": true}'
)
_FIELDS: Final = tuple(FeedbackRequest.__annotations__)
_PHOTO_FIELDS: Final = ("inputs", "s3")
_FORM_FIELDS: Final = tuple(name for name in _FIELDS if name not in _PHOTO_FIELDS)
_NAME: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
"""What names of runs and ids of requests are made of."""


@dataclass(frozen=True)
class GivenFeedback:
    """A photo with the label that a caller says is right, who consents to both being kept."""

    photo: bytes | Stored
    label: str
    answered: str | None
    run: str | None
    request_id: str | None


def read_feedback(event: APIGatewayProxyEvent, *, mode: ServingMode) -> GivenFeedback:
    """Return the feedback of a request.

    Raises:
        Problem: the body is missing, too large or neither a form nor JSON; there is not one photo, no consent, or no
            label that could be a class.
    """
    body = body_of(event, how_to=_HOW_TO)
    content_type = event.headers.get("content-type") or ""
    kind = media_type_of(content_type, body)
    if kind == FORM:
        return _of_form(content_type, body, mode)
    if kind == JSON:
        return _of_json(body, mode)
    raise Problem(415, "No feedback", f"The content type is {content_type[:50]!r}; {_HOW_TO}.")


def _of_form(content_type: str, body: bytes, mode: ServingMode) -> GivenFeedback:
    form = read_form(content_type, body)
    check_names(form.texts, known=_FORM_FIELDS, what="The form")
    for name, values in form.texts.items():
        if len(values) != 1:
            raise Problem(400, "Field given twice", f"The form has {name} {len(values)} times; give one.")
    texts: dict[str, Any] = {name: values[0] for name, values in form.texts.items()}
    if len(form.files) != 1:
        raise Problem(400, "No image", f"The form has {len(form.files)} files; {_HOW_TO}.")
    return _given(texts | {"consent": texts.get("consent") == "true"}, form.files[0], mode)


def _of_json(body: bytes, mode: ServingMode) -> GivenFeedback:
    content = json_object(body, how_to=_HOW_TO)
    check_names(content, known=_FIELDS, what="The JSON")
    found = images_in_json(content, mode=mode, how_to=_HOW_TO)
    if found.is_batch:
        raise Problem(400, "Several images", f"The JSON has a list of images, and feedback is on one; {_HOW_TO}.")
    (photo,) = found.images
    if isinstance(photo, Problem):
        raise photo
    return _given(content, photo, mode)


def _given(fields: Mapping[str, Any], photo: bytes | Stored, mode: ServingMode) -> GivenFeedback:
    if fields.get("consent") is not True:
        raise Problem(
            400,
            "No consent",
            "The photo would be kept, looked at, and used for training: send consent as true if whoever it belongs to "
            "agrees to that. Nothing was kept.",
        )
    if isinstance(photo, bytes):
        if not photo:
            raise Problem(400, "No image", f"The file is empty; {_HOW_TO}.")
        check_size(len(photo), mode=mode)

    label = fields.get("label")
    if not isinstance(label, str) or not label:
        raise Problem(400, "No label", f"The request has no label, which says what the photo shows; {_HOW_TO}.")
    if not is_label(label):
        raise _unusable("label", label, "without slashes, without a dot at the beginning, ")
    answered = _text(fields, "answered")
    if answered is not None and not is_class_name(answered):
        raise _unusable("answered", answered, "")
    return GivenFeedback(photo, label, answered, _named(fields, "run"), _named(fields, "request_id"))


def _unusable(field: str, label: str, more: str) -> Problem:
    return Problem(
        400,
        "Unusable label",
        f'"{field}" is {shown(label[:80])}, which cannot be the name of a class: give readable text of at most '
        f"255 bytes, {more}without control and invisible characters and without spaces at the ends.",
    )


def _named(fields: Mapping[str, Any], field: str) -> str | None:
    """Return a field that names a run or a request; None where it is not given."""
    name = _text(fields, field)
    if name is None or _NAME.fullmatch(name):
        return name
    raise _unreadable(field, f"is {name[:50]!r}")


def _text(fields: Mapping[str, Any], field: str) -> str | None:
    text = fields.get(field)
    if text is None or isinstance(text, str):
        return text
    # not its value: of what is nested deeply, Python cannot write a text
    raise _unreadable(field, "is no text")


def _unreadable(field: str, given: str) -> Problem:
    return Problem(400, "Unreadable parameter", f'"{field}" {given}; give it as the answer had it, or leave it out.')
