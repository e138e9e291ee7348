"""A request as a form (`multipart/form-data`, RFC 7578), as a browser's form or `curl -F` sends it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from .problems import Problem

__all__ = ["Form", "read_form"]

_MAX_PARTS: Final = 64
_MAX_HEADER_BYTES: Final = 8_192
_MAX_TEXT_BYTES: Final = 1_024
"""The name of a class may have so many."""
_BOUNDARY: Final = re.compile(r"[ -~]{1,70}")
"""What a boundary may be (RFC 2046, 5.1.1), but for a few characters that no client uses."""

_PARAMETER: Final = re.compile(r";[ \t]*([A-Za-z]+\*?)=(?:\"([^\"]*)\"|([^;\"\s]*))")

_HOW_TO: Final = "send for example curl -F image=@photo.jpg"


@dataclass
class Form:
    """The files of a form in its order, and its other fields by name."""

    files: list[bytes] = field(default_factory=list)
    texts: dict[str, list[str]] = field(default_factory=dict)


def read_form(content_type: str, body: bytes) -> Form:
    """Return what a form holds. A part with a file name, or with a content type other than text, is a file.

    The body is cut at its boundaries, and no part of it is copied more than once: the standard library's parser makes
    objects of every line, of which a photo can have millions.

    Raises:
        Problem: the body is no such form.
    """
    boundary = _boundary(content_type)
    preamble, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary, _MAX_PARTS + 1)
    if not parts or preamble.strip():
        raise _broken("it does not begin with the boundary that the content type names")
    if len(parts) > _MAX_PARTS:
        raise _broken(f"it has more than {_MAX_PARTS} parts")
    if not parts[-1].startswith(b"--"):
        raise _broken("its end is missing")

    form = Form()
    for part in parts[:-1]:
        _read_part(part, form)
    return form


def _boundary(content_type: str) -> bytes:
    boundary = _parameters(content_type).get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise _broken("the content type names no boundary")
    return boundary.encode()


def _read_part(part: bytes, form: Form) -> None:
    end = part.find(b"\r\n\r\n", 0, _MAX_HEADER_BYTES)
    if end < 0 or not part.lstrip(b" \t").startswith(b"\r\n"):
        raise _broken("a part has no headers")
    headers = _headers(part[:end])
    content = part[end + 4 :]

    said = _parameters(headers.get("content-disposition", ""))
    is_text = headers.get("content-type", "text/plain").lower().startswith("text/")
    if said.keys() & {"filename", "filename*"} or not is_text:
        form.files.append(content)
        return
    name = said.get("name")
    if name is None:
        raise _broken("a field has no name")
    if len(content) > _MAX_TEXT_BYTES:
        raise _broken(f"the field {name[:50]!r} is longer than {_MAX_TEXT_BYTES} bytes and no file")
    form.texts.setdefault(name, []).append(content.decode("utf-8", "replace"))


def _headers(text: bytes) -> dict[str, str]:
    """Return a part's headers by their names in lower case."""
    lines = (line.partition(":") for line in text.decode("utf-8", "replace").split("\r\n"))
    return {name.strip().lower(): value.strip() for name, colon, value in lines if colon}


def _parameters(header: str) -> dict[str, str]:
    """Return the parameters of a header's value by their names in lower case.

    The standard library's parser takes more forms, which no client sends, and raises TypeError at some of them.
    """
    return {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(header)}


def _broken(reason: str) -> Problem:
    return Problem(400, "Unreadable form", f"The body is no form of the type multipart/form-data: {reason}; {_HOW_TO}.")
