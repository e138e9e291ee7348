"""GIF, WebP, AVIF and BMP of the same intentions, and honest files that something has damaged."""

from __future__ import annotations

import io
import random
import struct
from functools import cache
from typing import Final

from PIL import Image

__all__ = ["KINDS", "honest"]

_FORMS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "MPO")


@cache
def honest(form: str, size: tuple[int, int] = (320, 240), mode: str = "RGB") -> bytes:
    """Return a noisy picture in that format."""
    file = io.BytesIO()
    Image.effect_noise(size, 60).convert(mode).save(file, form)
    return file.getvalue()


def truncated(rng: random.Random) -> bytes:
    """An honest file that ends too early."""
    data = honest(rng.choice(_FORMS))
    return data[: rng.randrange(len(data))]


def flipped(rng: random.Random) -> bytes:
    """An honest file with some bits turned over, most of them near its begin."""
    data = bytearray(honest(rng.choice(_FORMS)))
    for _ in range(rng.choice([1, 3, 30])):
        end = len(data) if rng.random() < 0.4 else min(600, len(data))
        data[rng.randrange(end)] ^= 1 << rng.randrange(8)
    return bytes(data)


def spliced(rng: random.Random) -> bytes:
    """The begin of one format and the rest of another."""
    one, other = honest(rng.choice(_FORMS)), honest(rng.choice(_FORMS))
    return one[: rng.randrange(len(one))] + other[rng.randrange(len(other)) :]


def rubbish(rng: random.Random) -> bytes:
    """No picture at all, or the first bytes of one."""
    jpeg, png, webp = b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF\xff\xff\xff\x7fWEBPVP8 "
    magic = rng.choice([b"", jpeg, png, b"GIF89a", webp, b"BM", b"II*\0"])
    return magic + rng.randbytes(rng.choice([0, 1, 50, 5_000, 3_000_000]))


def gif(rng: random.Random) -> bytes:
    """Very many comments or frames, or a canvas that is too large."""
    data = honest("GIF", mode="P")
    begin = 13 + 3 * 2 ** ((data[10] & 7) + 1)
    what = rng.randrange(4)
    if what == 0:
        return data[:begin] + (b"\x21\xfe" + b"\x01x" * rng.choice([100, 1_000_000]) + b"\0") + data[begin:]
    if what == 1:
        return data[:begin] + b"\x21\xf9\x04\0\0\0\0\0" * rng.choice([100, 400_000]) + data[begin:]
    if what == 2:
        return data[:-1] + data[begin:-1] * 200 + b";"
    size = rng.choice([(7_000, 7_000), (65_535, 65_535), (50_000, 999)])
    frame = data.index(b",", begin)
    changed = bytearray(data)
    changed[6:10] = struct.pack("<HH", *size)
    changed[frame + 5 : frame + 9] = struct.pack("<HH", *size)
    return bytes(changed)


@cache
def _flat(form: str, side: int, mode: str, frames: int) -> bytes:
    file = io.BytesIO()
    more = [Image.new(mode, (side, side), (n % 256,) * len(mode)) for n in range(1, frames)]
    options = {"save_all": True, "append_images": more} if more else {}
    Image.new(mode, (side, side)).save(file, form, **({"speed": 10} if form == "AVIF" else {"method": 0}), **options)
    return file.getvalue()


def webp(rng: random.Random) -> bytes:
    """A picture as large as is allowed, or an animation."""
    side, frames = rng.choice([(3_000, 1), (7_000, 1), (12_000, 1), (500, 40)])
    return _flat("WEBP", side, rng.choice(["RGB", "RGBA"]), frames)


def avif(rng: random.Random) -> bytes:
    """The same in AVIF."""
    side, frames = rng.choice([(3_000, 1), (7_000, 1), (8_000, 1), (300, 10)])
    return _flat("AVIF", side, rng.choice(["RGB", "RGBA"]), frames)


def boxes(rng: random.Random) -> bytes:
    """An AVIF whose boxes have other sizes than they say."""
    data = bytearray(honest("AVIF"))
    for _ in range(rng.randint(1, 8)):
        data[rng.randrange(min(400, len(data)))] = rng.choice([0, 1, 127, 255, rng.randrange(256)])
    return bytes(data)


def bmp(rng: random.Random) -> bytes:
    """Run-length encoding, which is decoded by the byte, and sizes that are not the file's."""
    width, height = rng.choice([(1_900, 1_900), (7_000, 7_000), (60_000, 800), (2**31 - 1, 1)])
    bits, compression = rng.choice([(8, 1), (4, 2), (8, 0), (24, 0), (32, 3)])
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, 0, 0, 0, 256, 0)
    runs = rng.choice([b"\x01\x05", b"\xff\x07", b"\0\0", b"\0\x02\x01\0", b"\0\x03\1\2\3\0"])
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 54 + 1024) + info + bytes(1024) + runs * rng.choice([100, 1_000_000])


KINDS: Final = (truncated, flipped, spliced, rubbish, gif, webp, avif, boxes, bmp)
