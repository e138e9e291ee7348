"""Copies: resaved, resized and cropped pictures are the same, others are not, and pairs become groups."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.training.doctor.pictures import cropped, photo, read_back
from training.doctor.copies import group_copies, same_content, same_features, same_pictures
from training.doctor.neighbours import Neighbours
from training.doctor.pixels import measure
from training.doctor.same_picture import correlations

COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "resaved": lambda image: read_back(image, quality=60),
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "stretched": lambda image: image.resize((image.width, round(image.height * 1.1))),
    "cropped to 95 %": lambda image: cropped(image, 0.95),
    "cropped to 80 %": lambda image: cropped(image, 0.8),
    "cropped to 70 %": lambda image: cropped(image, 0.7),
    "cut to a square": lambda image: image.crop((10, 0, 10 + image.height, image.height)),
}


def compared(*pairs: tuple[Image.Image, Image.Image]) -> NDArray[np.float32]:
    pictures = [image for pair in pairs for image in pair]
    return correlations(
        np.stack([measure(image, size=image.size)["thumbnail"] for image in pictures]),
        np.arange(len(pictures)).reshape(-1, 2),
        proportions=np.array([image.width / image.height for image in pictures]),
    )


@pytest.mark.parametrize("kind", COPIES)
def test_copies_are_the_same_picture_in_either_order(kind: str) -> None:
    pairs = [(photo(seed), COPIES[kind](photo(seed))) for seed in range(4)]
    assert (compared(*pairs) > 0.75).all()
    assert (compared(*[(copy, image) for image, copy in pairs]) > 0.75).all()


def test_other_pictures_are_not_the_same() -> None:
    pairs = [(photo(seed), photo(seed + 1, width=240 + 40 * (seed % 3))) for seed in range(0, 24, 2)]
    assert (compared(*pairs) < 0.5).all()


def test_pictures_without_detail_are_not_the_same() -> None:
    grey, blue = (Image.new("RGB", (200, 200), colour) for colour in ("grey", "blue"))
    assert (compared((grey, blue), (grey, photo(1))) < 0.5).all()


def neighbours_of(*near: tuple[list[int], list[float]]) -> Neighbours:
    return Neighbours(np.array([positions for positions, _ in near]), np.array([c for _, c in near], dtype=np.float32))


def test_only_near_neighbours_are_looked_at_and_each_pair_once() -> None:
    images = [photo(1), read_back(photo(1), quality=60), photo(2), photo(1)]
    thumbnails = np.stack([measure(image, size=image.size)["thumbnail"] for image in images])
    near = neighbours_of(([1, 2], [0.9, 0.8]), ([0, 2], [0.9, 0.8]), ([0, 1], [0.8, 0.8]), ([0, 1], [0.5, 0.4]))
    pairs, likeness = same_pictures(near, thumbnails=thumbnails, proportions=np.full(4, 4 / 3))
    assert pairs.tolist() == [[0, 1]], "not 3, whose features are far from those of its copy"
    assert likeness[0] > 0.95


@pytest.mark.parametrize(("shared", "found"), [(0.0, True), (0.6, False)])
def test_where_all_pictures_are_alike_a_copy_must_be_more_alike(shared: float, found: bool) -> None:
    """As digits are: the same black ground, and strokes in the same places."""
    common = photo(100)
    images = [Image.blend(photo(seed), common, shared) for seed in range(30)]
    images.append(cropped(images[0], 0.9))
    thumbnails = np.stack([measure(image, size=image.size)["thumbnail"] for image in images])
    positions = np.array([np.roll(np.arange(31), -at)[1:11] for at in range(31)])
    near = Neighbours(positions, np.full((31, 10), 0.9, dtype=np.float32))
    pairs, _ = same_pictures(near, thumbnails=thumbnails, proportions=np.full(31, 4 / 3))
    assert ([0, 30] in pairs.tolist()) == found
    assert len(pairs) == found

    resaved = np.stack([*thumbnails[:30], measure(read_back(images[0], quality=60), size=(320, 240))["thumbnail"]])
    assert same_pictures(near, thumbnails=resaved, proportions=np.full(31, 4 / 3))[0].tolist() == [[0, 30]]


def test_without_pictures_nearly_equal_features_are_copies() -> None:
    near = neighbours_of(([1, 2], [0.99, 0.5]), ([0, 2], [0.99, 0.95]), ([1, 0], [0.95, 0.5]))
    pairs, likeness = same_features(near)
    assert pairs.tolist() == [[0, 1]]
    assert likeness.tolist() == pytest.approx([0.99])


def test_the_same_content_is_linked_to_its_first_photo() -> None:
    pairs, likeness = same_content(["x", "y", "x", "x", "z"])
    assert pairs.tolist() == [[0, 2], [0, 3]]
    assert likeness.tolist() == [1, 1]
    assert same_content(["x", "y"])[0].shape == (0, 2)


def test_a_chain_of_pairs_is_one_group() -> None:
    pairs = np.array([[3, 4], [0, 5], [4, 9], [5, 7]])
    groups = group_copies(pairs, np.array([0.8, 0.9, 0.95, 1.0], dtype=np.float32))
    assert [group.members for group in groups] == [[0, 5, 7], [3, 4, 9]]
    assert groups[1].likeness == pytest.approx({3: 0.8, 4: 0.95, 9: 0.95})


def test_hundreds_of_thousands_of_pairs_are_grouped() -> None:
    count = 300_000
    chain = np.stack([np.arange(count), np.arange(count) + 1], axis=1)
    (group,) = group_copies(chain[::-1], np.ones(count, dtype=np.float32))
    assert len(group.members) == count + 1
