from __future__ import annotations

import io
import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

import contract
from training.preprocess import ImageError, Preprocessing, center_crop, decode

RED, BLUE = (220, 30, 30), (30, 30, 220)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def halves(size: tuple[int, int] = (40, 20)) -> Image.Image:
    """Left half red, right half blue."""
    image = Image.new("RGB", size, RED)
    image.paste(BLUE, (size[0] // 2, 0, size[0], size[1]))
    return image


def near(pixel: object, colour: tuple[int, int, int], *, within: int = 12) -> bool:
    return bool(np.abs(np.array(pixel, dtype=int) - np.array(colour)).max() <= within)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_decodes_every_allowed_format_to_rgb(form: str) -> None:
    image = decode(encoded(halves(), form))
    assert (image.mode, image.size) == ("RGB", (40, 20))
    assert near(image.getpixel((5, 10)), RED, within=40)
    assert near(image.getpixel((35, 10)), BLUE, within=40)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_sets_every_exif_orientation_upright(orientation: int) -> None:
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    stored = halves() if undo is None else halves().transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decode(encoded(stored, "PNG", exif=exif))
    assert image.size == (40, 20)
    assert near(image.getpixel((5, 10)), RED)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0"])
def test_takes_a_photo_with_damaged_exif_as_upright(exif: bytes) -> None:
    assert decode(encoded(halves(), "JPEG", exif=exif)).size == (40, 20)


def test_a_readable_orientation_counts_whatever_stands_beside_it_in_the_exif() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Maker"
    damaged = bytearray(exif.tobytes())
    damaged[damaged.index(b"\x01\x0f") + 1] = 0  # the maker's text now stands under the tag of the width, a number
    assert decode(encoded(halves(), "JPEG", exif=bytes(damaged))).size == (20, 40)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("RGBA", (8, 8), (*RED, 255)), RED),
        (Image.new("RGBA", (8, 8), (*RED, 0)), (255, 255, 255)),
        (Image.new("LA", (8, 8), (0, 0)), (255, 255, 255)),
        (Image.new("L", (8, 8), 77), (77, 77, 77)),
        (Image.new("1", (8, 8), 1), (255, 255, 255)),
        (halves((8, 8)).quantize(4), RED),
        (Image.fromarray(np.full((8, 8), 0x8080, dtype=np.uint16)), (128, 128, 128)),
    ],
    ids=["opaque", "transparent", "grey transparent", "grey", "bits", "palette", "16 bits"],
)
def test_brings_every_png_mode_to_rgb(image: Image.Image, expected: tuple[int, int, int]) -> None:
    assert near(decode(encoded(image, "PNG")).getpixel((1, 1)), expected)


def test_lays_a_transparent_palette_colour_on_white() -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    assert decode(encoded(image, "PNG", transparency=0)).getpixel((1, 1)) == (255, 255, 255)


def test_decodes_cmyk() -> None:
    assert near(decode(encoded(halves().convert("CMYK"), "JPEG")).getpixel((5, 10)), RED, within=40)


@pytest.mark.parametrize(("dtype", "value"), [(np.float32, 0.5), (np.float32, 128.0), (np.int32, 0x8080)])
def test_decodes_wide_tiff(dtype: type, value: float) -> None:
    image = Image.fromarray(np.full((8, 8), value, dtype=dtype))
    assert near(decode(encoded(image, "TIFF")).getpixel((1, 1)), (128, 128, 128))


@pytest.mark.parametrize("form", ["GIF", "WEBP", "TIFF"])
def test_takes_the_first_frame_of_an_animation(form: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    data = encoded(frames[0], form, save_all=True, append_images=frames[1:])
    assert near(decode(data).getpixel((1, 1)), RED, within=40)


def test_decodes_a_phones_multi_picture_jpeg() -> None:
    data = encoded(halves(), "MPO", save_all=True, append_images=[halves()])
    assert decode(data).size == (40, 20)


def test_refuses_nothing_at_all() -> None:
    with pytest.raises(ImageError, match="empty"):
        decode(b"")


@pytest.mark.parametrize(
    "data", [b"hello, this is a text", b"\xff\xd8", b"%PDF-1.4 ...", b"<svg></svg>", bytes(1000)], ids=repr
)
def test_refuses_what_is_no_image(data: bytes) -> None:
    with pytest.raises(ImageError, match=r"not an image of a known format|damaged"):
        decode(data)


def test_refuses_a_format_outside_the_list() -> None:
    with pytest.raises(ImageError, match="known format"):
        decode(encoded(halves(), "PPM"))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_refuses_a_truncated_image(form: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    data = encoded(noise, form)
    with pytest.raises(ImageError):
        decode(data[: len(data) // 2])


def huge_png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    )


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [7_200, 10_000, 60_000])
def test_refuses_a_bomb_before_it_unfolds(side: int) -> None:
    with pytest.raises(ImageError, match=f"{contract.MAX_IMAGE_PIXELS:,}"):
        decode(huge_png(side, side))


def test_damaged_bytes_raise_image_errors_and_nothing_else() -> None:
    rng = random.Random(0)
    for form in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"):
        whole = encoded(halves(), form)
        for _ in range(150):
            data = bytearray(whole)
            for _ in range(rng.randint(1, 8)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            try:
                image = decode(bytes(data[: rng.randint(1, len(data))]))
            except ImageError:
                continue
            assert image.mode == "RGB"


@pytest.mark.parametrize("size", [(28, 28), (1, 1), (1, 500), (3000, 7), (224, 224), (640, 480)])
def test_center_crop_gives_the_asked_size_for_any_image(size: tuple[int, int]) -> None:
    crop = center_crop(Image.new("RGB", size, RED), Preprocessing.usual(96))
    assert crop.shape == (96, 96, 3)
    assert crop.dtype == np.uint8
    assert (crop == RED).all()


def test_center_crop_shows_the_middle() -> None:
    image = Image.new("RGB", (300, 100), BLUE)
    image.paste(RED, (100, 0, 200, 100))
    assert near(center_crop(image, Preprocessing.usual(64)).mean(axis=(0, 1)), RED, within=2)


def test_crop_of_an_image_with_extreme_sides_stays_small() -> None:
    image = decode(encoded(Image.new("RGB", (2, 200_000), RED), "PNG"))
    assert center_crop(image, Preprocessing.usual(224)).shape == (224, 224, 3)


def test_a_large_jpeg_decoded_smaller_gives_nearly_the_same_crop() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise).resize((1600, 1200), Image.Resampling.BICUBIC), "JPEG", quality=95)
    small = decode(data, shorter_side=128)
    assert 256 <= small.height < 1200
    crops = [center_crop(image, Preprocessing.usual(112)).astype(int) for image in (small, decode(data))]
    assert np.abs(crops[0] - crops[1]).mean() < 2
