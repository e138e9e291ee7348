"""Photos of one burst, as `whippet upload` finds them and sends word of them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from PIL import ExifTags, Image, ImageFile
from rich.console import Console

from cli.bursts import find_bursts, groups_file, rows_in_bucket
from cli.photos import find_photos

PHONE, CAMERA = ("Apple", "iPhone 12", ""), ("Canon", "EOS R6", "0123")


def shoot(file: Path, *, at: str, by: tuple[str, str, str] = PHONE, form: str = "JPEG") -> None:
    exif = Image.Exif()
    make, model, serial = by
    if make:
        exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = make, model
    more = exif.get_ifd(ExifTags.IFD.Exif)
    more[ExifTags.Base.DateTimeOriginal] = at
    if serial:
        more[ExifTags.Base.BodySerialNumber] = serial
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(file, form, exif=exif)


def found(folder: Path) -> dict[str, str]:
    return find_bursts(find_photos(folder), console=Console(quiet=True))


def test_photos_of_one_camera_within_seconds_are_a_burst_however_long_its_chain(tmp_path: Path) -> None:
    for number, time in enumerate((1, 4, 7, 11, 12)):
        shoot(tmp_path / f"cat/{number}.jpg", at=f"2024:05:01 10:00:{time:02}")
    shoot(tmp_path / "dog/5.jpg", at="2024:05:01 10:00:13")  # the next class in the same burst
    shoot(tmp_path / "dog/6.jpg", at="2024:05:02 10:00:13")
    first, second = "2024-05-01 10:00:01 Apple iPhone 12", "2024-05-01 10:00:11 Apple iPhone 12"
    assert found(tmp_path) == {
        **{f"cat/{number}.jpg": first for number in range(3)},
        "cat/3.jpg": second,
        "cat/4.jpg": second,
        "dog/5.jpg": second,
    }


def test_another_camera_or_serial_number_is_another_burst(tmp_path: Path) -> None:
    others = (CAMERA, ("Canon", "EOS R6", "0456"), ("Canon", "EOS R5", "0123"), PHONE)
    for number, camera in enumerate(others):
        shoot(tmp_path / f"cat/{number}.jpg", at="2024:05:01 10:00:00", by=camera)
    shoot(tmp_path / "dog/9.webp", at="2024:05:01 10:00:01", by=CAMERA, form="WEBP")
    assert set(found(tmp_path)) == {"cat/0.jpg", "dog/9.webp"}


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: shoot(file, at="0000:00:00 00:00:00"),
        lambda file: shoot(file, at="yesterday"),
        lambda file: shoot(file, at="2024:05:01 10:00:00", by=("", "", "")),
        lambda file: Image.new("RGB", (8, 8)).save(file),
        lambda file: file.write_bytes(b"\xff\xd8\xff\xe1 no picture"),
    ],
    ids=["no time", "not a time", "no camera", "no EXIF", "damaged"],
)
def test_what_says_nothing_of_itself_is_in_no_burst(tmp_path: Path, damage: Any) -> None:
    shoot(tmp_path / "cat/0.jpg", at="2024:05:01 10:00:00")
    shoot(tmp_path / "dog/0.jpg", at="2024:05:01 11:00:00")
    damage(tmp_path / "cat/1.jpg")
    damage(tmp_path / "cat/2.jpg")
    assert found(tmp_path) == {}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF"])
@pytest.mark.parametrize("exif", [True, False], ids=["EXIF", "no EXIF"])
def test_no_picture_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, *, exif: bool) -> None:
    for label in ("cat", "dog"):
        file = tmp_path / label / f"0.{form.lower()}"
        shoot(file, at="2024:05:01 10:00:00")
        if not exif:
            Image.new("RGB", (8, 8)).save(file, form)
        elif form not in ("GIF", "BMP"):  # which hold none
            shoot(file, at="2024:05:01 10:00:00", form=form)
    decoded: list[str] = []
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: decoded.append(image.filename))
    bursts = found(tmp_path)
    assert decoded == []
    if exif and form not in ("GIF", "BMP", "TIFF"):  # Pillow writes no time into a TIFF
        assert len(bursts) == 2


def test_the_table_is_one_that_check_dataset_reads(tmp_path: Path) -> None:
    ((path, content),) = groups_file({'cat/a, "b".jpg': "2024-05-01 A, B", "cat/é.jpg": "x"}).items()
    assert path == Path(".whippet-groups.csv")
    assert content.decode() == 'path,group\n"cat/a, ""b"".jpg","2024-05-01 A, B"\ncat/é.jpg,x\n'
    assert groups_file({}) == {}


class Bucket:
    def __init__(self, content: bytes | None, *, error: str = "NoSuchKey") -> None:
        self.content, self.error = content, error

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        assert (Bucket, Key) == ("b", "dataset/.whippet-groups.csv")
        if self.content is None:
            raise ClientError({"Error": {"Code": self.error}}, "GetObject")
        return {"Body": io.BytesIO(self.content)}


def test_what_is_added_to_a_data_set_keeps_the_bursts_that_are_there() -> None:
    there = Bucket(b"path,group\ncat/1.jpg,x\ncat/2.jpg,x\ndog/1.jpg,y\n")
    kept = rows_in_bucket(there, bucket="b", prefix="dataset/", without=["cat/2.jpg"])
    assert kept == {"cat/1.jpg": "x", "dog/1.jpg": "y"}
    assert rows_in_bucket(Bucket(None), bucket="b", prefix="dataset/", without=[]) == {}
    with pytest.raises(ClientError, match="AccessDenied"):
        rows_in_bucket(Bucket(None, error="AccessDenied"), bucket="b", prefix="dataset/", without=[])
