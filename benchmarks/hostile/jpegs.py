"""JPEGs that cost more than they show: scans, markers, and headers that announce what is not there."""

from __future__ import annotations

import io
import random
import struct
from functools import cache
from typing import Final

from PIL import Image

__all__ = ["KINDS"]

_SIDES: Final = (16, 500, 2_000, 7_000)


@cache
def _plain(side: int, mode: str, *, progressive: bool) -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((side, side)).convert(mode).save(file, "JPEG", progressive=progressive)
    return file.getvalue()


def segment(code: int, content: bytes) -> bytes:
    """Return a marker with its length and content."""
    return struct.pack(">BBH", 0xFF, code, len(content) + 2) + content


def scans(rng: random.Random) -> bytes:
    """A picture whose last scan comes again and again: a pass over every pixel for a hundred bytes."""
    data = _plain(rng.choice(_SIDES), rng.choice(["L", "RGB"]), progressive=True)
    last = data.rindex(b"\xff\xda")
    scan = data[last:-2]
    times = rng.choice([rng.randint(50, 95), rng.randint(1_000, 3_000)])
    return data[:last] + scan * min(times, 20_000_000 // len(scan)) + b"\xff\xd9"


def empty_scans(rng: random.Random) -> bytes:
    """The same with scans that hold nothing at all."""
    data = _plain(rng.choice(_SIDES), "RGB", progressive=True)
    last = data.rindex(b"\xff\xda")
    header = data[last : last + 2 + int.from_bytes(data[last + 2 : last + 4], "big")]
    return data[:last] + header * rng.choice([90, 5_000, 100_000]) + b"\xff\xd9"


def markers(rng: random.Random) -> bytes:
    """Megabytes of segments before the pixels."""
    data = _plain(60, "RGB", progressive=False)
    code, content = rng.choice(
        [
            (0xFE, b""),
            (0xE1, b"Exif\0\0" + bytes(rng.randint(8, 20_000))),
            (0xE1, b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(60_000)),
            (0xE2, b"ICC_PROFILE\0\x01\xff" + bytes(rng.randint(0, 60_000))),
            (0xE2, b"MPF\0MM\0*\0\0\0\x08\0\x01" + bytes(500)),
            (0xED, b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0\0\0\0\0" * rng.randint(1, 5_000)),
            (0xDB, bytes(65)),
            (0xC0, data[data.index(b"\xff\xc0") + 4 :][:15]),
            (0xDD, b"\0\1"),
        ]
    )
    one = segment(code, content)
    return data[:2] + one * rng.randint(1, 6_000_000 // len(one)) + data[2:]


def markers_between(rng: random.Random) -> bytes:
    """Megabytes of segments between two scans, and bytes that look like scans behind the picture."""
    data = _plain(60, "RGB", progressive=True)
    last = data.rindex(b"\xff\xda")
    one = segment(rng.choice([0xFE, 0xE1]), bytes(rng.choice([0, 10, 1_000])))
    between = one * rng.choice([rng.randint(1, 900), 5_000_000 // len(one)])
    return data[:last] + between + data[last:] + b"\xff\xda" * rng.choice([0, 1_000_000])


def fill(rng: random.Random) -> bytes:
    """Megabytes of fill bytes or rubbish where a segment should begin."""
    data = _plain(60, "RGB", progressive=False)
    return data[:2] + rng.choice([b"\xff", b"\xff\x00", b"\x00", b"\xff\xd8", b"\xff\xd0"]) * 2_000_000 + data[2:]


def announces_more(rng: random.Random) -> bytes:
    """A small picture whose header says that it is large."""
    data = bytearray(_plain(rng.choice([16, 60, 500]), rng.choice(["L", "RGB"]), progressive=rng.random() < 0.5))
    at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    width, height = rng.choice([(65_500, 700), (700, 65_500), (7_000, 7_000), (65_535, 65_535), (600, 80), (0, 60)])
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def large(rng: random.Random) -> bytes:
    """A picture as large as is allowed, flat or noisy in a few bytes."""
    side = rng.choice([5_000, 7_000])
    return _plain(side, rng.choice(["L", "RGB", "CMYK"]), progressive=rng.random() < 0.5)


def sampling(rng: random.Random) -> bytes:
    """Sampling factors, components, tables and precision that a header should not have."""
    data = bytearray(_plain(500, "RGB", progressive=rng.random() < 0.5))
    at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    for _ in range(rng.randint(1, 4)):
        data[at + rng.choice([1, 4, 9, 11, 12, 14, 15, 17, 18])] = rng.randrange(256)
    return bytes(data)


def restarts(rng: random.Random) -> bytes:
    """Restart markers in the wrong order, or nothing else."""
    data = _plain(500, "RGB", progressive=False)
    at = data.rindex(b"\xff\xda") + 14
    return data[:at] + bytes(b for _ in range(200_000) for b in (0xFF, 0xD0 + rng.randrange(8))) + data[at:]


KINDS: Final = (scans, empty_scans, markers, markers_between, fill, announces_more, large, sampling, restarts)
