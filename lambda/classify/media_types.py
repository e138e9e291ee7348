"""What a body is: by its content type where that says it, else by its first bytes."""

from __future__ import annotations

from typing import Final

__all__ = ["FORM", "IMAGE", "JSON", "media_type_of"]

IMAGE: Final = "application/octet-stream"
"""An image of some format: the endpoint looks at its bytes, whatever it is called."""
JSON: Final = "application/json"
FORM: Final = "multipart/form-data"

_UNCLEAR: Final = ("", "*/*", "application/octet-stream", "application/x-www-form-urlencoded", "binary/octet-stream")
"""Types of bodies that say nothing of them: curl sends the fourth unless it is told otherwise."""

_JSON_BEGINS: Final = (b"{", b"[")


def media_type_of(content_type: str, body: bytes) -> str | None:
    """Return `IMAGE`, `JSON` or `FORM`; None for a type that no image has.

    A body of an unclear type is JSON if it begins as JSON does, which no image format does; else it is taken for an
    image, so that the endpoint, which knows all formats, decides and says what it found.
    """
    named = content_type.partition(";")[0].strip().lower()
    if named in _UNCLEAR:
        return JSON if body[:64].lstrip().startswith(_JSON_BEGINS) else IMAGE
    if named in (JSON, FORM):
        return named
    return IMAGE if named.startswith("image/") or named == "application/x-image" else None
