"""The formats of photos by their first bytes: a cheap look, since the function has no decoder and must not need one."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["suffix_of"]

_BEGINS: Final = {
    ".jpg": re.compile(rb"\xff\xd8\xff"),
    ".png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    ".webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
    ".gif": re.compile(rb"GIF8[79]a"),
    ".bmp": re.compile(rb"BM"),
    ".tif": re.compile(rb"II[*+]\0|MM\0[*+]"),
    # the first box of an ISO media file; `mif1` stands for AVIF and HEIC alike, and then a compatible brand tells
    ".avif": re.compile(rb"....ftyp(?:avi[fs]|mif1....(?:....){0,16}?avi[fs])", re.DOTALL),
}
"""How files of each format begin, by the suffix of their names."""


def suffix_of(photo: bytes) -> str | None:
    """Return the suffix of the name of a file with this content; None for what is no photo of a format that is read."""
    return next((suffix for suffix, begins in _BEGINS.items() if begins.match(photo)), None)
