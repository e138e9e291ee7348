"""PNGs that unfold to far more than their bytes, or that are cut into very many chunks."""

from __future__ import annotations

import random
import struct
import zlib
from functools import cache
from typing import Final

__all__ = ["KINDS"]

_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Values a pixel, by colour type (PNG specification, 11.2.2)."""


def chunk(kind: bytes, content: bytes, *, length: int | None = None) -> bytes:
    """Return a chunk, with a wrong length if one is given."""
    size = len(content) if length is None else length
    return struct.pack(">I", size) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@cache
def _flat(width: int, height: int, bits: int, colour: int, interlaced: int, value: int, rows: int) -> tuple[bytes, ...]:
    """Return header, palette and pixels of a picture of one value, of which `rows` rows are there."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced))
    row = b"\0" + bytes([value]) * (-(-width * _CHANNELS[colour] * bits // 8))
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(row) for _ in range(rows)) + packer.flush()
    return header, chunk(b"PLTE", bytes(768)) if colour == 3 else b"", packed


def _png(*chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + chunk(b"IEND", b"")


def bomb(rng: random.Random) -> bytes:
    """A picture of 49 megapixels in some kilobytes, of any depth and colour type, or of far too many."""
    bits, colour = rng.choice([(8, 0), (16, 0), (8, 2), (16, 2), (8, 3), (8, 4), (16, 4), (8, 6), (16, 6), (1, 0)])
    side = rng.choice([2_000, 7_000, 7_000, 100_000])
    rows = min(side, 7_000)
    header, palette, pixels = _flat(side, side, bits, colour, 0, rng.choice([0, 1, 255]), rows if side < 10_000 else 9)
    transparent = chunk(b"tRNS", b"\0" * 6)[: 0 if colour != 3 else None]
    return _png(header, palette, transparent, chunk(b"IDAT", pixels))


def interlaced(rng: random.Random) -> bytes:
    """The same in seven passes."""
    header, palette, pixels = _flat(5_000, 5_000, 8, rng.choice([0, 2, 6]), 1, 0, 9_400)
    return _png(header, palette, chunk(b"IDAT", pixels))


def overlong(rng: random.Random) -> bytes:
    """Many more rows than the header says."""
    header, palette, pixels = _flat(100, 100, 8, 2, 0, 0, rng.choice([200, 2_000_000]))
    return _png(header, palette, chunk(b"IDAT", pixels))


def chunks(rng: random.Random) -> bytes:
    """Hundreds of thousands of chunks, before the pixels or between them."""
    header, palette, pixels = _flat(100, 100, 8, 2, 0, 0, 100)
    name = rng.choice([b"tEXt", b"aaAa", b"IDAT", b"tIME", b"fcTL", b"eXIf", b"sPLT"])
    one = chunk(name, bytes(rng.choice([0, 0, 26, 300])))
    many = one * rng.randint(1_000, 6_000_000 // len(one))
    parts = (many, chunk(b"IDAT", pixels)) if rng.random() < 0.5 else (chunk(b"IDAT", pixels), many)
    return _png(header, palette, *parts)


def texts(rng: random.Random) -> bytes:
    """Compressed texts and profiles that unfold to gigabytes."""
    header, palette, pixels = _flat(100, 100, 8, 2, 0, 0, 100)
    packed = _packed_zeros(rng.choice([900_000, 50_000_000]))
    one = rng.choice(
        [
            chunk(b"zTXt", b"key\0\0" + packed),
            chunk(b"iCCP", b"key\0\0" + packed),
            chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + packed),
            chunk(b"eXIf", b"MM\0*\0\0\0\x08\xff\xff" + bytes(800_000)),
            chunk(b"zTXt", b"Raw profile type exif\0\0" + packed),
        ]
    )
    return _png(header, palette, one * rng.randint(1, 100), chunk(b"IDAT", pixels))


@cache
def _packed_zeros(size: int) -> bytes:
    return zlib.compress(bytes(size), 9)


def lengths(rng: random.Random) -> bytes:
    """Chunks whose length is not theirs."""
    header, palette, pixels = _flat(100, 100, 8, 2, 0, 0, 100)
    wrong = chunk(rng.choice([b"IDAT", b"tEXt", b"PLTE"]), pixels, length=rng.choice([0, 1, 2**31 - 1, 2**32 - 1]))
    return _png(header, palette, wrong, chunk(b"IDAT", pixels))


def frames(rng: random.Random) -> bytes:
    """An animation of very many frames."""
    header, _, pixels = _flat(100, 100, 8, 2, 0, 0, 100)
    count = rng.randint(100, 20_000)
    control = struct.pack(">IIIIIHHBB", 0, 100, 100, 0, 0, 1, 10, 0, 0)
    more = b"".join(chunk(b"fcTL", control) + chunk(b"fdAT", bytes(4) + pixels) for _ in range(count))
    animation = chunk(b"acTL", struct.pack(">II", rng.choice([count, 2**31 - 1]), 0))
    return _png(header, animation, chunk(b"fcTL", control), chunk(b"IDAT", pixels), more)


KINDS: Final = (bomb, interlaced, overlong, chunks, texts, lengths, frames)
