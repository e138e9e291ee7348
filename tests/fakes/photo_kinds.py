"""A photo of every kind that the endpoint reads in a way of its own, for what must read them alike."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.training.icc_profiles import DISPLAY_P3, cmyk_profile, grey_profile, rgb_profile

__all__ = ["photos", "plain"]


def photos() -> dict[str, bytes]:
    """Return the photos by their names; every side and every corner of each differs, and so do its colours."""
    scene = _scene(180, 130)
    grey = scene.convert("L")
    deep = np.asarray(grey).astype(np.uint16)
    kinds = {f"exif{number}.jpg": _encoded(scene, "JPEG", exif=_exif(number)) for number in range(1, 9)}
    kinds |= {
        # how it is turned
        "exif6.png": _encoded(scene, "PNG", exif=_exif(6)),
        "exif6.webp": _encoded(scene, "WEBP", exif=_exif(6), lossless=True),
        "xmp6.jpg": _with_segment(_encoded(scene, "JPEG", quality=90), _xmp(6)),
        "exif8-after-xmp6.jpg": _with_segment(_encoded(scene, "JPEG", exif=_exif(8)), _xmp(6)),
        "exif6-cut-short.jpg": _with_segment(_encoded(scene, "JPEG"), b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x12"),
        # how a JPEG is written
        "no-end-marker.jpg": _encoded(scene, "JPEG").removesuffix(b"\xff\xd9"),
        "large.jpg": _encoded(_scene(900, 700), "JPEG", quality=92),
        "full-chroma.jpg": _encoded(scene, "JPEG", quality=95, subsampling=0),
        "progressive.jpg": _encoded(scene, "JPEG", progressive=True),
        # colours and profiles
        "grey.jpg": _encoded(grey, "JPEG"),
        "cmyk.jpg": _encoded(scene.convert("CMYK"), "JPEG", quality=95),
        "cmyk-profile.jpg": _encoded(scene.convert("CMYK"), "JPEG", icc_profile=cmyk_profile((60, -30, -40))),
        "display-p3.png": _encoded(scene, "PNG", icc_profile=rgb_profile(DISPLAY_P3, gamma=2.2)),
        "grey-profile.png": _encoded(grey, "PNG", icc_profile=grey_profile(1.0)),
        "damaged-profile.png": _encoded(scene, "PNG", icc_profile=b"none" * 40),
        # palettes and transparency
        "palette.png": _encoded(scene.quantize(64), "PNG"),
        "palette-transparent.png": _encoded(scene.quantize(64), "PNG", transparency=bytes(range(0, 256, 4))),
        "palette.gif": _encoded(scene.quantize(64), "GIF"),
        "alpha.png": _encoded(_with_alpha(scene), "PNG"),
        "alpha.webp": _encoded(_with_alpha(scene), "WEBP", lossless=True),
        # bits a pixel
        "bilevel.png": _encoded(grey.convert("1"), "PNG"),
        "grey-16.png": _encoded(Image.fromarray(deep * 257), "PNG"),
        "grey-12-of-16.png": _encoded(Image.fromarray(deep * 16), "PNG"),
        "colour-16.png": _png_of_16_bits(np.asarray(scene).astype(np.uint16) * 257),
        # sizes, and other formats
        "narrow.png": _encoded(_scene(300, 3), "PNG"),
        "tiny.png": _encoded(_scene(2, 3), "PNG"),
        "scene.bmp": _encoded(scene, "BMP"),
        "scene.avif": _encoded(scene, "AVIF", quality=80),
        "float.tiff": _encoded(Image.fromarray(np.asarray(grey).astype(np.float32) / 255), "TIFF"),
        "exif6.tiff": _encoded(scene, "TIFF", exif=_exif(6)),
    }
    return kinds


def plain(colour: str) -> bytes:
    """Return a JPEG of one colour."""
    return _encoded(Image.new("RGB", (60, 40), colour), "JPEG")


def _scene(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    waves = 20 * np.sin(40 * x * y)[..., np.newaxis]
    smooth = np.stack([230 * x, 230 * y, 200 * (1 - x) * y], axis=-1) + waves
    return Image.fromarray(np.clip(smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8))


def _encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def _xmp(orientation: int) -> bytes:
    name = b"http://ns.adobe.com/xap/1.0/\0"
    return name + f'<x:xmpmeta><rdf:Description tiff:Orientation="{orientation}"/></x:xmpmeta>'.encode()


def _with_segment(jpeg: bytes, content: bytes) -> bytes:
    """Return a JPEG with an APP1 segment before all others."""
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + jpeg[2:]


def _with_alpha(image: Image.Image) -> Image.Image:
    across = np.linspace(0, 255, image.width).astype(np.uint8)
    alpha = Image.fromarray(np.broadcast_to(across, (image.height, image.width)).copy())
    seen = image.convert("RGBA")
    seen.putalpha(alpha)
    return seen


def _png_of_16_bits(values: NDArray[np.uint16]) -> bytes:
    """Encode 16 bits a colour, (H, W, 3), which Pillow reads but does not write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.tobytes() for row in values.astype(">u2"))
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
