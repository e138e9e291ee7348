"""Files with more parts than a photo has are refused, and photos with many parts are not."""

from __future__ import annotations

import io
import random
import struct

import numpy as np
import pytest
from PIL import Image

from benchmarks.hostile import jpegs, pngs, tiffs
from training import file_limits
from training.preprocess import ImageError, decode


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def noise(width: int = 60, height: int = 80, mode: str = "RGB") -> Image.Image:
    return Image.effect_noise((width, height), 60).convert(mode)


def refused(data: bytes) -> str:
    """The words with which the file is refused."""
    with pytest.raises(ImageError) as error:
        decode(data)
    return str(error.value)


def test_refuses_a_jpeg_that_is_scanned_a_thousand_times() -> None:
    data = encoded(noise(500, 500, "L"), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    times = 1_000
    assert "scans allowed" in refused(data[:last] + data[last:-2] * times + b"\xff\xd9")
    assert decode(data[:last] + data[last:-2] * 50 + b"\xff\xd9").size == (500, 500)


def test_a_large_jpeg_may_have_fewer_scans_than_a_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(noise(500, 500), "JPEG", progressive=True)
    monkeypatch.setattr(file_limits, "MAX_SCANNED_PIXELS", 250_000 * data.count(b"\xff\xda"))
    assert decode(data).size == (500, 500)
    last = data.rindex(b"\xff\xda")
    assert "times over 500 x 500 pixels" in refused(data[:last] + data[last:-2] * 2 + b"\xff\xd9")


@pytest.mark.parametrize(
    ("between", "what"),
    [
        (jpegs.segment(0xFE, b"") * 500_000, "metadata segments"),
        (jpegs.segment(0xE1, b"Exif\0\0" + bytes(60_000)) * 10, "EXIF"),
        (b"\xff" * 500_000, "bytes between them"),
        (b"\0" * 500_000, "bytes between them"),
        (b"\xff\0" * 500_000, "bytes between them"),
    ],
    ids=["comments", "EXIF", "fill", "rubbish", "escaped"],
)
def test_refuses_a_jpeg_with_very_much_before_its_pixels(between: bytes, what: str) -> None:
    data = encoded(noise(), "JPEG")
    assert what in refused(data[:2] + jpegs.segment(0xFE, b"a comment") + between + data[2:])


def test_takes_a_jpeg_with_megabytes_of_metadata() -> None:
    data = encoded(noise(), "JPEG", exif=Image.Exif().tobytes() + bytes(60_000))
    depth_map = jpegs.segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(65_000)) * 200
    assert decode(data[:2] + depth_map + data[2:]).size == (60, 80)


@pytest.mark.parametrize("size", [(65_500, 700), (600, 80), (60, 88), (3_000, 3_000)])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_refuses_a_jpeg_that_announces_more_than_it_holds(size: tuple[int, int], progressive: bool, mode: str) -> None:
    data = bytearray(encoded(noise(mode=mode), "JPEG", progressive=progressive))
    at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    data[at + 5 : at + 9] = struct.pack(">HH", size[1], size[0])
    words = refused(bytes(data))
    assert "cannot hold them" in words or "announces more pixels than there are" in words


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_takes_a_jpeg_whose_last_pixels_are_middle_grey(progressive: bool, mode: str) -> None:
    picture = noise(mode=mode)
    picture.paste(128 if mode == "L" else (128, 128, 128), (0, 40, 60, 80))
    found = decode(encoded(picture, "JPEG", progressive=progressive))
    assert np.asarray(found)[-1, -1].tolist() == [128, 128, 128]


def test_takes_a_jpeg_that_lacks_nothing_but_its_end_marker() -> None:
    data = encoded(noise(), "JPEG")
    assert decode(data[:-2]).tobytes() == decode(data).tobytes()


def test_refuses_a_png_of_very_many_chunks() -> None:
    data = encoded(noise(), "PNG")
    begin = data.index(b"IDAT") - 4
    chunk = pngs.chunk(b"tEXt", b"")
    assert "chunks" in refused(data[:begin] + chunk * 2_000 + data[begin:])
    assert decode(data[:begin] + chunk * 500 + data[begin:]).size == (60, 80)


def test_takes_a_large_png_in_chunks_of_the_usual_size() -> None:
    data = encoded(Image.effect_noise((3_000, 3_000), 90), "PNG", compress_level=0)
    begin, end = data.index(b"IDAT") - 4, data.rindex(b"IEND") - 4
    pixels, at = b"", begin
    while at < end:
        length = int.from_bytes(data[at : at + 4], "big")
        pixels += data[at + 8 : at + 8 + length]
        at += length + 12
    parts = b"".join(pngs.chunk(b"IDAT", pixels[place : place + 8_192]) for place in range(0, len(pixels), 8_192))
    assert parts.count(b"IDAT") > 1_000
    assert decode(data[:begin] + parts + data[end:]).size == (3_000, 3_000)


def test_refuses_a_png_with_more_exif_than_there_can_be() -> None:
    data = encoded(noise(), "PNG")
    begin = data.index(b"IDAT") - 4
    exif = b"MM\0*\0\0\0\x08\xff\xff" + bytes(file_limits.MAX_EXIF_BYTES)
    assert "EXIF" in refused(data[:begin] + pngs.chunk(b"eXIf", exif) + data[begin:])


@pytest.mark.parametrize("block", [b"\x21\xfe" + b"\x01x" * 50_000 + b"\0", b"\x21\xf9\0" * 50_000, b"\0" * 50_000])
def test_refuses_a_gif_with_very_much_before_its_first_frame(block: bytes) -> None:
    data = encoded(noise(mode="P"), "GIF")
    begin = 13 + 3 * 2 ** ((data[10] & 7) + 1)
    assert "blocks" in refused(data[:begin] + block + data[begin:])
    comment = b"\x21\xfe" + (b"\xff" + b"x" * 255) * 1_000 + b"\0"
    assert decode(data[:begin] + comment + data[begin:]).size == (60, 80)


def wide_tile(side: int, *, big: bool = False) -> bytes:
    """A picture of 100 x 100 pixels in one tile."""
    numbers = {256: 100, 257: 100, 258: 8, 259: 8, 262: 1, 322: side, 323: side, 324: 300, 325: 10}
    if not big:
        return tiffs.tiff({tag: (4, 1, number) for tag, number in numbers.items()}, bytes(300))
    parts = [struct.pack(">HHQII", tag, 4, 1, number, 0) for tag, number in numbers.items()]
    return b"MM\0\x2b\0\x08\0\0" + struct.pack(">QQ", 16, len(parts)) + b"".join(parts) + bytes(300)


@pytest.mark.parametrize("big", [False, True])
def test_refuses_a_tiff_whose_tiles_are_much_larger_than_its_picture(big: bool) -> None:
    assert "26,688 x 26,688 pixels, and the picture has 100 x 100" in refused(wide_tile(26_688, big=big))


def test_refuses_a_tiff_of_very_many_strips_or_entries() -> None:
    numbers = {256: 16, 257: 60_000, 258: 8, 259: 1, 262: 1, 277: 1, 278: 1}
    entries = {tag: (4, 1, number) for tag, number in numbers.items()}
    strips = entries | {273: (4, 60_000, tiffs.at(9)), 279: (4, 60_000, tiffs.at(9))}
    assert "60,000 strips or tiles" in refused(tiffs.tiff(strips, bytes(240_000)))
    assert "65,535 entries" in refused(tiffs.tiff(entries, bytes(9), count=65_535))


@pytest.mark.parametrize("mode", ["I", "I;16", "RGB"])
def test_refuses_a_compressed_tiff_whose_decoder_would_hold_it_whole(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = noise(64, 64, "L").convert("I").convert(mode)
    whole = 64 * 64 * {"I": 4, "I;16": 2, "RGB": 3}[mode]
    one, four = ({"compression": "tiff_adobe_deflate", "strip_size": whole // parts} for parts in (1, 4))
    monkeypatch.setattr(file_limits, "MAX_STRIP_BYTES", whole)
    assert decode(encoded(picture, "TIFF", **one)).size == (64, 64)
    monkeypatch.setattr(file_limits, "MAX_STRIP_BYTES", whole - 1)
    assert f"strips or tiles of {whole:,} bytes" in refused(encoded(picture, "TIFF", **one))
    assert decode(encoded(picture, "TIFF", **four)).size == (64, 64)
    # what is not compressed is read as it lies
    assert decode(encoded(picture, "TIFF", compression="raw", strip_size=whole)).size == (64, 64)


def test_refuses_jpeg_scans_in_a_tiff() -> None:
    data = encoded(noise(300, 300, "L"), "TIFF", compression="jpeg")
    assert decode(data).size == (300, 300)
    assert "TIFF's JPEG" in refused(data + b"\xff\xda\0\0" * 5_000)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"])
def test_takes_tiffs_of_every_compression(compression: str) -> None:
    assert decode(encoded(noise(900, 700, "L"), "TIFF", compression=compression)).size == (900, 700)


@pytest.mark.parametrize("form", ["WEBP", "AVIF"])
def test_refuses_what_is_copied_often_from_fewer_pixels_on(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(noise(), form)
    monkeypatch.setattr(file_limits, "MAX_COPIED_PIXELS", 60 * 80)
    assert decode(data).size == (60, 80)
    monkeypatch.setattr(file_limits, "MAX_COPIED_PIXELS", 60 * 80 - 1)
    assert "or a JPEG" in refused(data)


def test_refuses_a_large_picture_in_run_lengths_which_are_decoded_by_the_byte() -> None:
    def bmp(width: int, height: int, *, before: bytes = b"") -> bytes:
        info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, 0, 0, 0, 256, 0)
        runs = before + (b"\xff\x01" * (width // 255) + b"\0\0") * height + b"\0\1"
        return b"BM" + struct.pack("<IHHI", 0, 0, 0, 54 + 1024) + info + bytes(1024) + runs

    assert decode(bmp(510, 300)).size == (510, 300)
    assert "run-length" in refused(bmp(5_100, 3_000))
    # steps to the pixel where one is already: bytes without pixels
    assert decode(bmp(510, 300, before=b"\0\2\0\0" * 1_000)).size == (510, 300)
    assert "run-length" in refused(bmp(510, 300, before=b"\0\2\0\0" * 500_000))


@pytest.mark.parametrize(
    ("mode", "subsampling", "bytes_a_pixel"), [("L", 0, 2), ("RGB", 0, 6), ("RGB", 2, 3), ("CMYK", 0, 8)]
)
def test_a_progressive_jpeg_is_bounded_by_the_memory_of_its_coefficients(
    mode: str, subsampling: int, bytes_a_pixel: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decoder keeps them all until the last scan, two bytes each."""
    options = {} if mode == "L" else {"subsampling": subsampling}
    data = encoded(noise(64, 48, mode), "JPEG", progressive=True, **options)
    monkeypatch.setattr(file_limits, "MAX_COEFFICIENT_BYTES", bytes_a_pixel * 64 * 48)
    assert decode(data).size == (64, 48)
    monkeypatch.setattr(file_limits, "MAX_COEFFICIENT_BYTES", bytes_a_pixel * 64 * 48 - 1)
    assert "save it as a baseline JPEG" in refused(data)
    assert decode(encoded(noise(64, 48, mode), "JPEG", **options)).size == (64, 48)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("kind", [jpegs.fill, jpegs.sampling, jpegs.restarts, pngs.lengths, tiffs.loop, tiffs.tags])
def test_damaged_structures_end_in_a_picture_or_in_a_refusal(kind: object) -> None:
    assert callable(kind)
    for number in range(5):
        try:
            picture = decode(kind(random.Random(number)))
        except ImageError:
            continue
        assert picture.mode == "RGB"


def test_what_follows_a_jpegs_end_has_no_scans() -> None:
    """A telephone's motion photo has a video behind the picture, in which any two bytes come up by chance."""
    video = random.Random(0).randbytes(12_000_000)
    assert video.count(b"\xff\xda") > file_limits.MAX_SCANS
    assert decode(encoded(noise(640, 480), "JPEG") + video).size == (640, 480)


def test_a_jpegs_small_picture_is_none_of_its_scans() -> None:
    """The preview in the metadata is a JPEG, too; the corner is of the grey that a picture without its end has."""
    photo = noise(64, 64)
    photo.paste((128, 128, 128), (32, 32, 64, 64))
    data = encoded(photo, "JPEG", quality=95)
    preview = jpegs.segment(0xE2, b"preview\0" + encoded(noise(32, 32), "JPEG"))
    with_preview = data[:2] + preview + data[2:]
    assert decode(with_preview).getpixel((63, 63)) == (128, 128, 128)
    assert decode(with_preview).tobytes() == decode(data).tobytes()
    assert "damaged or incomplete" in refused(with_preview[: -len(data) // 3] + b"\xff\xd9")


def test_refuses_scans_with_a_million_segments_between_them() -> None:
    data = encoded(noise(), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    assert "segments allowed" in refused(data[:last] + jpegs.segment(0xFE, b"") * 500_000 + data[last:])
