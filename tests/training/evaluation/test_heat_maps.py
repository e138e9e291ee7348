"""The pictures of heat maps: their colours, and which photos have one."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import contract
from training.evaluation import heat_maps
from training.evaluation.heat_maps import SIDE, heat_over, write_heat_maps
from training.preprocess import Preprocessing

SEEN = Preprocessing(image_size=32, resize=36, interpolation="bilinear")


class Bright:
    """A model whose evidence is how bright each quarter of the photo is."""

    def evidence(self, images: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        of_quarters = images.astype(np.float32).reshape(len(images), 2, 16, 2, 16, 3).mean(axis=(2, 4, 5))
        return np.asarray(of_quarters - of_quarters.mean(), dtype=np.float32)


class Blind:
    def evidence(self, images: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        return None


def test_what_speaks_for_a_label_is_orange_what_speaks_against_it_blue_and_the_rest_the_photo() -> None:
    grey = np.full((32, 32, 3), 128, dtype=np.uint8)
    picture = np.asarray(heat_over(grey, [[1, 1, 0], [0, 0, 0], [0, 0, -1]], side=90)).astype(int)
    assert picture.shape == (90, 90, 3)
    red, _, blue = picture[4, 4]
    assert red > 180 > 100 > blue
    red, _, blue = picture[85, 85]
    assert blue > 140 > 80 > red
    assert (picture[45, 15] == 128).all()


def test_values_become_at_most_1_and_nothing_stays_nothing() -> None:
    assert contract.heat_values([[2.0, -4.0], [0.0, 1.0]]) == [[0.5, -1.0], [0.0, 0.25]]
    assert contract.heat_values([[0.0, 0.0]]) == [[0.0, 0.0]]


def photos(root: Path) -> list[str]:
    """A bright bar at the right of black, a file that is no photo, and the bar at the left."""
    for name, box in (("right.png", (20, 0, 40, 40)), ("left.png", (0, 0, 20, 40))):
        image = Image.new("RGB", (40, 40))
        image.paste((200, 200, 200), box)
        image.save(root / name)
    (root / "broken.png").write_bytes(b"no photo")
    return ["right.png", "broken.png", "left.png"]


def written(root: Path, model: Bright | Blind) -> dict[str, Image.Image]:
    write_heat_maps(root, photos(root), model=model, photos=root, preprocessing=SEEN)
    found = json.loads((root / contract.Artefact.HEAT_MAPS).read_text(encoding="utf-8"))
    return {path: Image.open(io.BytesIO(base64.b64decode(text))) for path, text in found.items()}


def test_each_photo_has_a_small_picture_and_one_that_cannot_be_read_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = written(tmp_path, Bright())
    assert list(found) == ["right.png", "left.png"]
    assert "no heat map of broken.png" in capsys.readouterr().out
    assert {(picture.format, picture.size) for picture in found.values()} == {("JPEG", (SIDE, SIDE))}
    for path, hot, cold in (("right.png", SIDE - 4, 4), ("left.png", 4, SIDE - 4)):
        pixels = np.asarray(found[path]).astype(int)
        assert pixels[SIDE // 2, hot, 0] > pixels[SIDE // 2, hot, 2] + 50
        assert pixels[SIDE // 2, cold, 2] > pixels[SIDE // 2, cold, 0] + 50


def test_no_more_than_some_photos_have_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heat_maps, "MOST", 1)
    assert list(written(tmp_path, Bright())) == ["right.png"]


def test_a_model_without_evidence_leaves_an_empty_file(tmp_path: Path) -> None:
    assert written(tmp_path, Blind()) == {}
