"""What a file may be made of: counted by its markers and headers, before a decoder spends time or memory on it.

`contract.MAX_IMAGE_PIXELS` bounds the picture. It does not bound a file that has a small picture cut into a million
pieces, or one picture painted over a thousand times: a JPEG of 316 kB with 2,000 scans takes half a minute, and a TIFF
of 2 MB whose only tile is 26,688 pixels wide takes 2 GB. Each limit here is far above what cameras and programs write.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from PIL import Image

import contract
from training.jpeg_markers import START_OF_SCAN, markers

__all__ = [
    "MAX_COEFFICIENT_BYTES",
    "MAX_COPIED_PIXELS",
    "MAX_EXIF_BYTES",
    "MAX_RLE_BYTES",
    "MAX_RLE_PIXELS",
    "MAX_SCANNED_PIXELS",
    "MAX_SCANS",
    "MAX_SEGMENTS",
    "MAX_STRIPS",
    "MAX_STRIP_BYTES",
    "LimitError",
    "check_file",
    "check_opened",
]

MAX_SCANS: Final = 100
"""Scans of a JPEG; progressive ones have about 10."""
MAX_SCANNED_PIXELS: Final = 30 * contract.MAX_IMAGE_PIXELS
"""Of all scans together: each one passes over every pixel."""
MAX_SEGMENTS: Final = 1_000
"""Of a JPEG, scans left out. Metadata comes in segments of 64 kB, profiles and depth maps included."""
_ARITHMETIC: Final = frozenset({0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
"""Frame headers of JPEGs with arithmetic coding."""
_MAX_JUNK: Final = 10_000
"""Bytes between a JPEG's segments, which Pillow passes over one by one."""

MAX_EXIF_BYTES: Final = 2**18
"""Of EXIF, which its standard holds to 64 kB; Pillow reads it entry by entry."""

_CHUNKS: Final = 1_000
"""Chunks that a PNG may have whatever its size."""
_BYTES_PER_CHUNK: Final = 1_024
"""Of those beyond, on average; programs write 8 kB or more."""

_MAX_SUB_BLOCKS: Final = 20_000
"""Sub-blocks of 255 bytes before a GIF's first frame: 5 MB of metadata."""

_MAX_ENTRIES: Final = 4_096
"""Entries of a TIFF's first directory; programs write some dozen."""
MAX_STRIPS: Final = 50_000
"""Strips or tiles of a TIFF: a row each, for the tallest pictures."""
MAX_STRIP_BYTES: Final = 100_000_000
"""Of a compressed TIFF's strip or tile, unpacked: its decoder holds a whole one beside the picture."""
_USUAL_TILE: Final = 4_096
"""Side in pixels that a TIFF's tiles may have whatever the picture's; programs write 128 to 1,024."""

MAX_COEFFICIENT_BYTES: Final = 260_000_000
"""Of a progressive JPEG, whose decoder keeps two bytes for each value of each component until the last scan."""

MAX_RLE_PIXELS: Final = 2_000_000
MAX_RLE_BYTES: Final = 2_000_000
"""Of a run-length encoded BMP, which Pillow decodes in Python."""

MAX_COPIED_PIXELS: Final = 26_000_000
"""Of a WebP or AVIF, whose decoders keep up to four copies of a picture: as many as a camera of full frame has."""


class LimitError(ValueError):
    """The file has more of something than any photo; the message says of what, and how many are allowed."""


def check_file(data: bytes) -> None:
    """Check a file that no decoder has seen yet. Files of other formats than JPEG, PNG, GIF and TIFF always pass.

    Raises:
        LimitError: see the limits of this module.
    """
    if data.startswith(b"\xff\xd8\xff"):
        _check_jpeg(data)
    elif data.startswith(b"\x89PNG\r\n\x1a\n"):
        _check_png(data)
    elif data.startswith((b"GIF87a", b"GIF89a")):
        _check_gif(data)
    elif data.startswith((b"II", b"MM")):
        _check_tiff(data)


def check_opened(image: Image.Image, data: bytes) -> None:
    """Check a file whose header Pillow has read, and whose pixels it has not.

    Raises:
        LimitError: see the limits of this module, or a JPEG has less than a bit for each block of pixels.
    """
    for name in ("exif", "Raw profile type exif"):
        if len(image.info.get(name) or b"") > MAX_EXIF_BYTES:
            raise LimitError(f"the image has more than {MAX_EXIF_BYTES:,} bytes of EXIF; save it without its metadata")

    tiles = getattr(image, "tile", [])
    is_rle = bool(tiles) and tiles[0][0] == "bmp_rle"
    if is_rle and (image.width * image.height > MAX_RLE_PIXELS or len(data) > MAX_RLE_BYTES):
        raise LimitError(
            f"a run-length encoded BMP may have {MAX_RLE_PIXELS:,} pixels in {MAX_RLE_BYTES:,} bytes, and this one has "
            f"{image.width} x {image.height} in {len(data):,}; save it as PNG"
        )
    if image.format in ("WEBP", "AVIF") and image.width * image.height > MAX_COPIED_PIXELS:
        raise LimitError(
            f"the image has {image.width} x {image.height} pixels, and {image.format} may have {MAX_COPIED_PIXELS:,}; "
            "send a smaller one, or a JPEG"
        )
    if tiles and tiles[0][0] == "libtiff":
        _check_strips(image, data)
    is_jpeg = image.format in ("JPEG", "MPO")
    codes = [code for code, _ in markers(data)] if is_jpeg else []
    scans = codes.count(START_OF_SCAN)
    if scans * image.width * image.height > MAX_SCANNED_PIXELS:
        raise LimitError(
            f"the JPEG passes {scans} times over {image.width} x {image.height} pixels, which is more than "
            f"{MAX_SCANNED_PIXELS:,} in all; save it with fewer scans"
        )
    # A Huffman code has a bit at least, and a block one code at least (ITU-T T.81, F.1.2); arithmetic ones have less.
    blocks = -(-image.width // 8) * -(-image.height // 8)
    if is_jpeg and 8 * len(data) < blocks and _ARITHMETIC.isdisjoint(codes):
        raise LimitError(
            f"the image announces {image.width} x {image.height} pixels, and its {len(data):,} bytes cannot hold them; "
            "send the whole file"
        )
    if is_jpeg and image.info.get("progressive"):
        _check_coefficients(image)


def _check_strips(image: Image.Image, data: bytes) -> None:
    across, down = _tile(_tiff_entries(data))
    # Pillow opens only numbers of bits that it knows
    bits = sum(image.tag_v2.get(_BITS, (1,)))  # type: ignore[attr-defined]
    size = across * down * bits // 8
    if size > MAX_STRIP_BYTES:
        raise LimitError(
            f"the TIFF has strips or tiles of {size:,} bytes, more than the {MAX_STRIP_BYTES:,} allowed; save it with "
            "smaller ones, or as PNG"
        )


def _check_coefficients(image: Image.Image) -> None:
    factors = [(across, down) for _, across, down, _ in getattr(image, "layer", [])]
    if not factors or not all(across and down for across, down in factors):
        return  # the decoder refuses it
    most = max(across for across, _ in factors) * max(down for _, down in factors)
    needed = 2 * image.width * image.height * sum(across * down for across, down in factors) // most
    if needed > MAX_COEFFICIENT_BYTES:
        raise LimitError(
            f"the progressive JPEG of {image.width} x {image.height} pixels takes {needed:,} bytes to decode, more "
            f"than the {MAX_COEFFICIENT_BYTES:,} allowed; save it as a baseline JPEG, or smaller"
        )


def _check_jpeg(data: bytes) -> None:
    _check_jpeg_header(data)
    scans = segments = 0
    for code, _ in markers(data):
        scans += code == START_OF_SCAN
        segments += code != START_OF_SCAN
        if scans > MAX_SCANS:
            raise LimitError(f"the JPEG has more than the {MAX_SCANS} scans allowed; save it anew")
        if segments > MAX_SEGMENTS:
            raise LimitError(f"the JPEG has more than the {MAX_SEGMENTS:,} segments allowed; save it anew")


def _check_jpeg_header(data: bytes) -> None:
    """Walk as Pillow does: to the first scan, over whatever stands between the segments, an end of the image, too."""
    at, segments, junk, exif = 2, 0, 0, 0
    while segments <= MAX_SEGMENTS and junk <= _MAX_JUNK and exif <= MAX_EXIF_BYTES:
        marker = data.find(b"\xff", at)
        if marker < 0 or marker + 2 > len(data):
            return
        junk += marker - at
        code = data[marker + 1]
        if code in (0x00, 0xFF):
            at, junk = marker + 1, junk + 1
            continue
        if code == START_OF_SCAN or code < 0xC0:  # below, Pillow finds no marker and refuses the file
            return
        segments += 1
        at = marker + 2
        if not (0xD0 <= code <= 0xD9 or 0xF0 <= code <= 0xFD or code == 0xC8):
            length = max(int.from_bytes(data[at : at + 2], "big"), 2)
            exif += length if code == 0xE1 and data.startswith(b"Exif\0\0", at + 2) else 0
            at += length
    what = "metadata segments" if segments > MAX_SEGMENTS else "bytes between them" if junk > _MAX_JUNK else "EXIF"
    raise LimitError(
        f"the JPEG has too much before its pixels ({what}): {MAX_SEGMENTS:,} segments, {_MAX_JUNK:,} bytes between "
        f"them and {MAX_EXIF_BYTES:,} bytes of EXIF are allowed; save it without its metadata"
    )


def _check_png(data: bytes) -> None:
    allowed = _CHUNKS + len(data) // _BYTES_PER_CHUNK
    at = 8
    for _ in range(allowed):
        if at + 8 > len(data):
            return
        length = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == b"eXIf" and length > MAX_EXIF_BYTES:
            raise LimitError(f"the PNG has more than {MAX_EXIF_BYTES:,} bytes of EXIF; save it without its metadata")
        at += length + 12
    raise LimitError(f"the PNG has more than {allowed:,} chunks, which is too many for its size; save it anew")


def _check_gif(data: bytes) -> None:
    if len(data) < 13:
        return
    at = 13 + (3 * 2 ** ((data[10] & 7) + 1) if data[10] & 0x80 else 0)
    is_inside = False
    for _ in range(_MAX_SUB_BLOCKS):
        if at >= len(data) or (not is_inside and data[at] in (0x2C, 0x3B)):  # a frame, or the end
            return
        if is_inside:
            is_inside = data[at] > 0
            at += data[at] + 1
        else:
            is_inside = data[at] == 0x21  # an extension; Pillow passes over any other byte
            at += 2 if is_inside else 1
    raise LimitError(f"the GIF has more than {_MAX_SUB_BLOCKS:,} blocks before its first frame; save it anew")


_UNITS: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
"""Bytes of each type of a TIFF's values."""
_WIDTH, _HEIGHT, _COMPRESSION, _STRIP_OFFSETS, _STRIP_ROWS = 256, 257, 259, 273, 278
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS = 322, 323, 324
_BITS = 258
_JPEG_IN_TIFF: Final = (6, 7)


@dataclass(frozen=True)
class _Entry:
    """A tag of a TIFF's directory."""

    count: int
    value: int
    """The value of a tag that has one number, else what stands in its place: where the numbers are."""


def _check_tiff(data: bytes) -> None:
    entries = _tiff_entries(data)
    width, height = _value(entries, _WIDTH, 0), _value(entries, _HEIGHT, 0)

    strips = max(entries[tag].count for tag in (_STRIP_OFFSETS, _TILE_OFFSETS) if tag in entries) if entries else 0
    if strips > MAX_STRIPS:
        raise LimitError(f"the TIFF has {strips:,} strips or tiles, more than the {MAX_STRIPS:,} allowed; save it anew")

    # a decoder makes room for a whole tile or strip, however small the picture is
    tile = _tile(entries)
    if tile[0] > max(width, _USUAL_TILE) or tile[1] > max(height, _USUAL_TILE):
        raise LimitError(
            f"the TIFF's tiles have {tile[0]:,} x {tile[1]:,} pixels, and the picture has {width:,} x {height:,}; save "
            f"it with tiles of at most {_USUAL_TILE:,} pixels a side"
        )
    if tile[0] * tile[1] > contract.MAX_IMAGE_PIXELS:
        raise LimitError(
            f"the TIFF's tiles have {tile[0]:,} x {tile[1]:,} pixels, more than the {contract.MAX_IMAGE_PIXELS:,} "
            "allowed; send a smaller one"
        )
    scans = data.count(bytes([0xFF, START_OF_SCAN])) if _value(entries, _COMPRESSION, 1) in _JPEG_IN_TIFF else 0
    if scans > MAX_SCANS + strips:
        raise LimitError(f"the TIFF's JPEG has {scans:,} scans, more than the {MAX_SCANS} allowed; save it anew")


def _tile(entries: dict[int, _Entry]) -> tuple[int, int]:
    """Return width and height of a tile, or of a strip."""
    if _TILE_OFFSETS in entries:
        return _value(entries, _TILE_WIDTH, 0), _value(entries, _TILE_HEIGHT, 0)
    height = _value(entries, _HEIGHT, 0)
    return _value(entries, _WIDTH, 0), min(_value(entries, _STRIP_ROWS, height), height)


def _value(entries: dict[int, _Entry], tag: int, missing: int) -> int:
    return entries[tag].value if tag in entries else missing


def _tiff_entries(data: bytes) -> dict[int, _Entry]:
    """Return the first directory's entries; what is cut short is left out.

    Raises:
        LimitError: it has more than `_MAX_ENTRIES`.
    """
    order = "<" if data.startswith(b"II") else ">"
    is_big = data[2:4] in (b"\x2b\0", b"\0\x2b")
    size, one = (20, struct.Struct(f"{order}HHQ8s")) if is_big else (12, struct.Struct(f"{order}HHL4s"))
    try:
        if is_big:
            (at,) = struct.unpack_from(f"{order}Q", data, 8)
            (count,) = struct.unpack_from(f"{order}Q", data, at)
            at += 8
        else:
            (at,) = struct.unpack_from(f"{order}L", data, 4)
            (count,) = struct.unpack_from(f"{order}H", data, at)
            at += 2
    except (struct.error, OverflowError):
        return {}
    if count > _MAX_ENTRIES:
        raise LimitError(f"the TIFF's directory has {count:,} entries, more than the {_MAX_ENTRIES:,} allowed")

    entries: dict[int, _Entry] = {}
    for place in range(at, min(at + count * size, len(data) - size + 1), size):
        tag, kind, values, field = one.unpack_from(data, place)
        unit = _UNITS.get(kind, 1)
        number = field[:unit] if values == 1 and unit <= len(field) else field
        # Pillow takes the first of a tag that is there twice
        entries.setdefault(tag, _Entry(values, int.from_bytes(number, "little" if order == "<" else "big")))
    return entries
