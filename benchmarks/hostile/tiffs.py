"""TIFFs whose directories ask for more room or work than their pixels need."""

from __future__ import annotations

import io
import random
import struct
import zlib
from functools import cache
from typing import Final

from PIL import Image

__all__ = ["KINDS"]


def tiff(entries: dict[int, tuple[int, int, int]], content: bytes = b"", *, count: int | None = None) -> bytes:
    """Return a little-endian TIFF: its directory of tag → (type, count, value or place), and what follows it.

    `content` begins at `at(len(entries))`.
    """
    parts = [struct.pack("<HHII", tag, *entry) for tag, entry in sorted(entries.items())]
    head = struct.pack("<IH", 8, len(parts) if count is None else count)
    return b"II*\0" + head + b"".join(parts) + bytes(4) + content


def at(entries: int) -> int:
    """Return where the content of a TIFF with so many entries begins."""
    return 14 + 12 * entries


def _picture(width: int, height: int, *, compression: int = 8, bits: int = 8) -> dict[int, tuple[int, int, int]]:
    numbers = {256: width, 257: height, 258: bits, 259: compression, 262: 1, 277: 1}
    return {tag: (4, 1, value) for tag, value in numbers.items()}


@cache
def _packed(size: int) -> bytes:
    return zlib.compress(bytes(size), 9)


def tile(rng: random.Random) -> bytes:
    """A small picture in one tile that is enormous."""
    side = rng.choice([4_096, 7_056, 26_688, 65_536])
    packed = _packed(min(side * side, 50_000_000))
    entries = _picture(100, 100) | {322: (4, 1, side), 323: (4, 1, side), 324: (4, 1, at(9)), 325: (4, 1, len(packed))}
    del entries[277]
    return tiff(entries, packed)


def strip(rng: random.Random) -> bytes:
    """A picture of 49 megapixels in one strip, of 8, 16 or 32 bits."""
    bits = rng.choice([8, 16, 32])
    packed = _packed(49_000_000 * bits // 8)
    entries = _picture(7_000, 7_000, bits=bits)
    entries |= {273: (4, 1, at(9)), 278: (4, 1, rng.choice([7_000, 2**32 - 1])), 279: (4, 1, len(packed))}
    return tiff(entries, packed)


def strips(rng: random.Random) -> bytes:
    """Very many strips that all lie at one place."""
    count = rng.choice([40_000, 700_000])
    entries = _picture(rng.choice([16, 1_000]), count, compression=rng.choice([1, 8]))
    entries |= {273: (4, count, at(9)), 278: (4, 1, 1), 279: (4, count, at(9))}
    return tiff(entries, struct.pack("<I", 64) * count)


def tags(rng: random.Random) -> bytes:
    """Sixty thousand tags that share two megabytes."""
    entries = _picture(16, 16, compression=1) | {273: (4, 1, 8), 279: (4, 1, 256)}
    entries |= {40_000 + n: (rng.choice([1, 5, 12]), 200_000, 100) for n in range(rng.choice([500, 20_000]))}
    return tiff(entries, bytes(2_000_000), count=rng.choice([None, 65_535]))


def loop(rng: random.Random) -> bytes:
    """Directories that follow one another in a circle, and sub-directories that are their own."""
    entries = _picture(16, 16, compression=1) | {273: (4, 1, 8), 279: (4, 1, 256)}
    entries |= {330: (4, 1, 8), 34665: (4, 1, 8), 34853: (4, 1, 8)}
    data = bytearray(tiff(entries, bytes(300)))
    data[at(len(entries)) - 4 : at(len(entries))] = struct.pack("<I", 8)
    return bytes(data)


@cache
def _noisy(compression: str, mode: str) -> bytes:
    file = io.BytesIO()
    picture = Image.effect_noise((300, 300), 50)
    picture.convert(mode).save(file, "TIFF", compression=compression)
    return file.getvalue()


def header(rng: random.Random) -> bytes:
    """Any number of the directory changed."""
    compression, mode = rng.choice(["tiff_lzw", "packbits", "tiff_adobe_deflate", "jpeg", "raw"]), rng.choice("LI")
    data = bytearray(_noisy(compression, "L" if compression == "jpeg" else mode))
    (place,) = struct.unpack_from("<I", data, 4)
    for _ in range(rng.randint(1, 6)):
        where = place + 2 + 12 * rng.randrange(10) + rng.choice([2, 4, 5, 6, 7, 8, 9, 10, 11])
        if where < len(data):
            data[where] = rng.choice([0, 1, 127, 255, rng.randrange(256)])
    return bytes(data)


KINDS: Final = (tile, strip, strips, tags, loop, header)
