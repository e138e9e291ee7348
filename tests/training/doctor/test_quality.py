"""What pixels say: tiny, blurred, dark and bright photos among others, and what is usual in a data set."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import ExifTags, Image

from tests.training.doctor.pictures import blurred, photo
from training.doctor.pixels import decoded, measure
from training.doctor.quality import flaws
from training.preprocess import ImageError

BAD: dict[str, Callable[[Image.Image], Image.Image]] = {
    "tiny": lambda image: image.resize((40, 30)),
    "blurred": blurred,
    "dark": lambda image: image.point(lambda value: value // 12),
    "bright": lambda image: image.point(lambda value: 240 + value // 17),
}


def found(images: list[Image.Image], *, image_size: int = 224) -> dict[int, set[str]]:
    """The kinds of flaws by the photo's number."""
    pixels = np.stack([measure(image, size=image.size) for image in images])
    kinds: dict[int, set[str]] = {}
    for flaw in flaws(pixels, image_size=image_size):
        kinds.setdefault(flaw.position, set()).add(flaw.kind)
        assert flaw.reason
    return kinds


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_photo_among_good_ones_is_named_and_no_other(kind: str) -> None:
    images = [photo(seed) for seed in range(20)]
    images[3] = BAD[kind](images[3])
    kinds = found(images)
    assert kinds == {3: {kind}}


@pytest.mark.parametrize("kind", BAD)
def test_what_all_photos_of_a_data_set_have_in_common_is_no_flaw(kind: str) -> None:
    assert found([BAD[kind](photo(seed)) for seed in range(20)]) == {}


def test_a_small_photo_is_not_called_blurred_for_its_size() -> None:
    images = [photo(seed, width=1200, height=900) for seed in range(12)] + [photo(40, width=320, height=240)]
    assert "blurred" not in found(images).get(12, set())


def test_the_size_is_that_of_the_upright_photo() -> None:
    image, file, exif = photo(1, width=640, height=480), io.BytesIO(), Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    image.save(file, "JPEG", exif=exif)
    upright, size = decoded(file.getvalue(), shorter_side=100)
    assert size == (480, 640)
    assert upright.width < upright.height
    with pytest.raises(ImageError):
        decoded(file.getvalue()[:200], shorter_side=100)


def test_no_photos_have_no_flaws() -> None:
    assert flaws(measure(photo(1), size=(320, 240))[None][:0], image_size=224) == []
