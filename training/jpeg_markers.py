"""The markers of a JPEG as its decoder meets them: none of its metadata's previews, none of what follows its end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

__all__ = ["START_OF_SCAN", "markers"]

START_OF_SCAN: Final = 0xDA
_END_OF_IMAGE: Final = 0xD9

# The codes of ITU-T T.81, table B.1. What is left out belongs to a scan: a byte 0xFF of its data (followed by 0), fill
# before a marker, and restarts.
_MARKER: Final = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_WITHOUT_LENGTH: Final = frozenset({0x01, 0xD8, _END_OF_IMAGE})
_UNKNOWN: Final = frozenset({*range(0x02, 0xC0), *range(0xF0, 0xFE)})
"""Reserved codes, at which libjpeg gives up."""


def markers(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the code and the position of each marker, from the first byte to the end of the image.

    As libjpeg walks: what stands between two segments is passed over, a scan's pixels as well as rubbish, and nothing
    is read after the end of the image. A telephone puts whole videos there.
    """
    at = 0
    while found := _MARKER.search(data, at):
        code = found[1][0]
        yield code, found.start()
        if code == _END_OF_IMAGE or code in _UNKNOWN:
            return
        at = found.end()
        if code not in _WITHOUT_LENGTH:
            at += max(int.from_bytes(data[at : at + 2], "big"), 2)
