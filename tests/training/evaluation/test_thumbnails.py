"""The report's thumbnails: which photos have one, how they look, and how much they may weigh."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import contract
from training.evaluation import thumbnails
from training.evaluation.thumbnails import SIDE, mistaken_paths, photos_to_show, write_thumbnails


def written(root: Path, paths: Iterable[str]) -> dict[str, Image.Image]:
    """The thumbnails of these photos, by path."""
    write_thumbnails(root, paths, photos=root / "photos")
    found = json.loads((root / contract.Artefact.THUMBNAILS).read_text(encoding="utf-8"))
    return {path: Image.open(io.BytesIO(base64.b64decode(text))) for path, text in found.items()}


def test_thumbnails_are_small_and_upright_and_a_photo_that_cannot_be_read_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    lying = Image.new("RGB", (800, 400), "red")
    lying.paste("blue", (0, 0, 400, 400))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned to the right by a quarter
    lying.save(photos / "lying.jpg", exif=exif)
    (photos / "broken.jpg").write_bytes(b"no photo")
    Image.new("RGBA", (20, 10), (0, 0, 0, 0)).save(photos / "tiny.png")

    found = written(tmp_path, ["lying.jpg", "broken.jpg", "lying.jpg", "gone.jpg", "tiny.png"])
    assert list(found) == ["lying.jpg", "tiny.png"]
    upright = found["lying.jpg"]
    assert (upright.format, upright.size) == ("JPEG", (SIDE // 2, SIDE))
    top = upright.getpixel((SIDE // 4, 12))
    assert isinstance(top, tuple)
    assert top[2] > 200 > 50 > top[0]  # blue, which was on the left
    assert not upright.getexif()
    assert found["tiny.png"].size == (20, 10), "nothing is blown up"
    assert found["tiny.png"].getpixel((10, 5)) == (255, 255, 255)
    said = capsys.readouterr().out
    assert "no thumbnail of broken.jpg" in said
    assert "no thumbnail of gone.jpg" in said


def test_the_most_important_photos_are_kept_where_all_would_be_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos").mkdir()
    for name in "abc":
        Image.new("RGB", (200, 200), "red").save(tmp_path / "photos" / f"{name}.jpg")
    one = len(base64.b64encode(_bytes_of(tmp_path)))
    monkeypatch.setattr(thumbnails, "MAX_BYTES", 2 * one)
    assert list(written(tmp_path, ["b.jpg", "c.jpg", "a.jpg"])) == ["b.jpg", "c.jpg"]


def _bytes_of(root: Path) -> bytes:
    write_thumbnails(root, ["a.jpg"], photos=root / "photos")
    text: str = json.loads((root / contract.Artefact.THUMBNAILS).read_text(encoding="utf-8"))["a.jpg"]
    return base64.b64decode(text)


def test_photos_that_got_better_or_worse_have_a_picture(tmp_path: Path) -> None:
    def write(name: str, *right: bool) -> None:
        rows = [(f"{place}.jpg", "cat", "cat" if well else "dog", 0.5) for place, well in enumerate(right)]
        with (tmp_path / name).open("w", newline="") as file:
            csv.writer(file).writerows([("path", "label", "predicted", "confidence"), *rows])

    write(contract.Artefact.PREDICTIONS, True, True, False, False)
    assert thumbnails.disputed_paths(tmp_path) == [], "without a model in service"
    write(contract.Artefact.IN_SERVICE_PREDICTIONS, True, False, True, False)
    assert thumbnails.disputed_paths(tmp_path) == ["1.jpg", "2.jpg"]


def test_every_confusion_has_a_picture_before_one_has_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        ("1.jpg", "cat", "dog", 0.99),
        ("2.jpg", "cat", "dog", 0.98),
        ("3.jpg", "cat", "cat", 0.97),
        ("4.jpg", "dog", "cat", 0.40),
        ("5.jpg", "cat", "cow", 0.60),
    ]
    with (tmp_path / contract.Artefact.PREDICTIONS).open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "predicted", "confidence"), *rows])
    assert mistaken_paths(tmp_path) == ["1.jpg", "5.jpg", "4.jpg", "2.jpg"]
    monkeypatch.setattr(thumbnails, "MISTAKES", 3)
    assert mistaken_paths(tmp_path) == ["1.jpg", "5.jpg", "4.jpg"]


def test_photos_of_every_section_are_shown_the_hardest_mistakes_first() -> None:
    def finding(kind: str, path: str, other: str | None = None) -> Any:
        return {"kind": kind, "path": path, "other": other}

    many = [finding("odd", f"odd-{place}") for place in range(contract.REPORTED_FINDINGS["odd"] + 1)]
    evaluation: Any = {
        "hardest_mistakes": [{"path": "hard"}],
        "near_copies": {"examples": [{"path": "test copy", "trained": "trained"}]},
        "unknown": {"oddest": [{"path": "far"}]},
    }
    check: Any = {"findings": [finding("unreadable", "broken"), finding("label", "flipped", "like it"), *many]}
    summary: Any = {"in_two_classes": [["here", "there"]]}
    shown = list(photos_to_show(evaluation, mistakes=["hard", "wrong"], check=check, summary=summary))
    odd = [entry["path"] for entry in many[:-1]]
    assert shown == ["hard", "flipped", "like it", *odd, "test copy", "trained", "far", "here", "hard", "wrong"]

    bare: Any = {"hardest_mistakes": [], "near_copies": None, "unknown": None}
    assert list(photos_to_show(bare, mistakes=["wrong"], check=None, summary=summary)) == ["here", "wrong"]
