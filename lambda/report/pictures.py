"""The pictures of the page: thumbnails that the training left, as data: URIs, and no more of them than a page bears."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

__all__ = ["Pictures"]

MAX_BYTES = 4_000_000
"""Most bytes of all pictures of a page together. One that is shown in two sections counts twice."""

MAX_PICTURE_BYTES = 64_000
"""Largest thumbnail, in base64. One of 128 pixels takes about 4 kB."""

_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")


class Pictures:
    """Small pictures of photos by their paths, from files of this run and of others."""

    def __init__(self, read: Callable[[str], Mapping[str, object]]) -> None:
        """Show the pictures that `read` returns for the key of a file: base64 by path."""
        self._read = read
        self._of_files: dict[str, Mapping[str, object]] = {}
        self._left = MAX_BYTES

    def uri(self, path: str, *, key: str) -> str | None:
        """Return a photo's picture in this file as a data: URI; None where there is none or the page has too many."""
        if key not in self._of_files:
            self._of_files[key] = self._read(key)
        text = self._of_files[key].get(path)
        if not isinstance(text, str) or len(text) > min(self._left, MAX_PICTURE_BYTES) or not _BASE64.fullmatch(text):
            return None
        self._left -= len(text)
        return f"data:image/jpeg;base64,{text}"
