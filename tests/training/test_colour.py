"""Depths and colour spaces: a picture is seen as what it shows, however its values are stored."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from tests.training.icc_profiles import (
    ADOBE_RGB,
    DISPLAY_P3,
    PROPHOTO,
    Matrix,
    cmyk_profile,
    grey_profile,
    rgb_profile,
)
from training.colour import srgb_transform
from training.preprocess import decode

GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)
"""What is shown: every level once."""
COLOUR = np.stack([GREY, GREY.T, 255 - GREY], axis=-1)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def png(values: NDArray[np.uint16]) -> bytes:
    """Encode 16 bits a colour, (H, W, 3 or 4), which Pillow reads but does not write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width, bands = values.shape
    rows = b"".join(b"\0" + row.tobytes() for row in values.astype(">u2"))
    header = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[bands], 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def tiff(values: NDArray[np.uint16], *, order: str) -> bytes:
    """Encode 16 bits a colour, (H, W, 3), uncompressed, with the least of tags."""
    height, width, _ = values.shape
    pixels = values.astype(f"{order}u2").tobytes()
    at = 8 + 2 + 12 * 9 + 4
    tags = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, 3, at), (259, 3, 1, 1), (262, 3, 1, 2)]
    tags += [(273, 4, 1, at + 6), (277, 3, 1, 3), (278, 3, 1, height), (279, 4, 1, len(pixels))]
    file = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, len(tags))
    for tag, kind, count, value in tags:
        form = "HHIHH" if kind == 3 and count == 1 else "HHII"
        file += struct.pack(f"{order}{form}", tag, kind, count, value, *([0] if form == "HHIHH" else []))
    return file + bytes(4) + struct.pack(f"{order}3H", 16, 16, 16) + pixels


def seen(data: bytes) -> NDArray[np.int64]:
    return np.asarray(decode(data)).astype(int)


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param(GREY.astype(np.uint16) * 257, id="16 bits"),
        pytest.param(GREY.astype(np.uint16) * 16, id="12 bits in 16"),
        pytest.param(GREY.astype(np.uint16) * 4, id="10 bits in 16"),
        pytest.param(GREY.astype(np.uint16), id="8 bits in 16"),
        pytest.param(GREY.astype(np.int32), id="0 to 255 in 32"),
        pytest.param(GREY.astype(np.int32) * 16, id="12 bits in 32"),
        pytest.param(GREY.astype(np.int32) * 257, id="16 bits in 32"),
        pytest.param(GREY.astype(np.int32) * (2**31 // 256), id="31 bits in 32"),
        pytest.param(GREY.astype(np.int32) * 8 - 1024, id="below zero"),
        pytest.param(GREY.astype(np.float32) / 255, id="floats to 1"),
        pytest.param(GREY.astype(np.float32), id="floats to 255"),
        pytest.param(GREY.astype(np.float32) * 257, id="floats to 65535"),
        pytest.param(GREY.astype(np.float32) / 127.5 - 1, id="floats from -1 to 1"),
    ],
)
def test_grey_of_any_depth_is_scaled_by_its_own_range(stored: NDArray[np.generic]) -> None:
    assert np.abs(seen(encoded(Image.fromarray(stored), "TIFF"))[..., 0] - GREY).max() <= 1
    if stored.dtype == np.uint16:
        assert np.abs(seen(encoded(Image.fromarray(stored), "PNG"))[..., 0] - GREY).max() <= 1


def test_a_mask_of_zeros_and_ones_is_black_and_white() -> None:
    mask = (GREY > 100).astype(np.uint16)
    assert (seen(encoded(Image.fromarray(mask), "PNG"))[..., 0] == mask * 255).all()


def test_highlights_a_little_above_one_do_not_darken_a_picture_of_floats() -> None:
    bright = GREY.astype(np.float32) / 255
    bright[0, 0], bright[0, 1], bright[0, 2] = 1.2, np.nan, np.inf
    error = np.abs(seen(encoded(Image.fromarray(bright), "TIFF"))[..., 0] - GREY)
    assert error.ravel()[3:].max() <= 1


@pytest.mark.parametrize("scale", [257, 64, 16, 4, 1])
@pytest.mark.parametrize("form", ["PNG", "PNG with alpha", "TIFF <", "TIFF >"])
def test_colours_of_any_depth_are_scaled_by_their_own_range(scale: int, form: str) -> None:
    values = COLOUR.astype(np.uint16) * scale
    if form.startswith("TIFF"):
        data = tiff(values, order=form[-1])
    else:
        opaque = np.full((16, 16, 1), 255 * scale, dtype=np.uint16)
        data = png(np.concatenate([values, opaque], axis=2) if "alpha" in form else values)
    assert np.abs(seen(data) - COLOUR).max() <= 1


SRGB: Matrix = ((0.43607, 0.38515, 0.14307), (0.22249, 0.71687, 0.06061), (0.01392, 0.09708, 0.71410))


def in_srgb(stored: NDArray[Any], *, to_xyz: Matrix, gamma: float) -> NDArray[np.float64]:
    """Return what colours are in sRGB by the definitions of both spaces (IEC 61966-2-1), out of range ones cut."""
    linear = (stored / 255) ** gamma @ np.array(to_xyz).T @ np.linalg.inv(np.array(SRGB)).T
    linear = np.clip(linear, 0, 1)
    result: NDArray[np.float64] = 255 * np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055
    )
    return result


@pytest.mark.parametrize(
    ("to_xyz", "gamma"),
    [
        pytest.param(ADOBE_RGB, 563 / 256, id="AdobeRGB"),
        pytest.param(DISPLAY_P3, 2.2, id="Display P3"),
        pytest.param(PROPHOTO, 1.8, id="ProPhoto"),
    ],
)
@pytest.mark.parametrize("form", ["PNG", "TIFF", "JPEG"])
def test_the_colours_of_a_wide_space_are_brought_to_srgb(to_xyz: Matrix, gamma: float, form: str) -> None:
    stored = np.kron(np.array([[[160, 90, 60], [100, 140, 90]]], dtype=np.uint8), np.ones((16, 16, 1), np.uint8))
    options: dict[str, object] = {"quality": 98, "subsampling": 0} if form == "JPEG" else {}
    data = encoded(Image.fromarray(stored), form, icc_profile=rgb_profile(to_xyz, gamma=gamma), **options)
    expected = in_srgb(stored, to_xyz=to_xyz, gamma=gamma)
    assert np.abs(expected - stored).max() > 5  # there is something to see
    assert np.abs(seen(data) - expected).max() <= 3


def test_transparency_and_palettes_keep_their_profile() -> None:
    profile = rgb_profile(ADOBE_RGB, gamma=563 / 256)
    flat = Image.new("RGB", (8, 8), (160, 90, 60))
    plain = seen(encoded(flat, "PNG", icc_profile=profile))[0, 0]
    for mode in ("RGBA", "P"):
        image = flat.convert(mode) if mode == "RGBA" else flat.quantize(2)
        assert np.abs(seen(encoded(image, "PNG", icc_profile=profile))[0, 0] - plain).max() <= 1


def test_a_grey_profile_is_applied() -> None:
    image = Image.new("L", (8, 8), 100)
    expected = in_srgb(np.full((1, 1, 3), 100, dtype=np.uint8), to_xyz=SRGB, gamma=1.5).ravel()
    assert np.abs(seen(encoded(image, "PNG", icc_profile=grey_profile(1.5)))[0, 0] - expected).max() <= 2


def test_ink_has_the_colour_that_its_profile_says() -> None:
    image = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    orange = seen(encoded(image, "JPEG", quality=98, icc_profile=cmyk_profile((70, 40, 60))))[8, 8]
    assert np.abs(orange - (247, 145, 58)).max() <= 6  # Lab (70, 40, 60), by the CIE's formulas
    assert seen(encoded(image, "JPEG", quality=98))[8, 8].tolist()[0] < 10  # without a profile: cyan has no red


def test_profiles_that_change_nothing_cost_nothing_whatever_their_name() -> None:
    built_in = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert srgb_transform(built_in, mode="RGB") is None
    assert srgb_transform(rgb_profile(ADOBE_RGB, gamma=2.2, name="sRGB IEC61966-2.1"), mode="RGB") is not None


@pytest.mark.parametrize("profile", [b"no profile", rgb_profile(ADOBE_RGB, gamma=2.2)[:200], grey_profile(1.0)])
def test_a_damaged_profile_or_one_of_another_space_is_ignored(profile: bytes) -> None:
    image = Image.new("RGB", (8, 8), (160, 90, 60))
    assert seen(encoded(image, "PNG", icc_profile=profile))[0, 0].tolist() == [160, 90, 60]
