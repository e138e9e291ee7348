"""Nearest neighbours, in blocks as well as at once, and odd ones out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from training.doctor import neighbours as neighbours_module
from training.doctor import table as table_module
from training.doctor.neighbours import nearest
from training.doctor.odd import odd_ones
from training.doctor.table import directions, standardised


def features(photos: int = 90, dim: int = 40) -> NDArray[np.float32]:
    return np.random.default_rng(3).normal(1, 1, (photos, dim)).astype(np.float32)


@pytest.mark.parametrize("blocks", [(1024, 16384), (7, 13)])
def test_neighbours_are_those_of_all_cosines(blocks: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours_module, "_ROWS", blocks[0])
    monkeypatch.setattr(neighbours_module, "_COLUMNS", blocks[1])
    rows = features()
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -2)
    found = nearest(rows, count=5)
    assert (found.positions == np.argsort(-cosines, axis=1)[:, :5]).all()
    assert np.allclose(found.cosines, -np.sort(-cosines, axis=1)[:, :5], atol=1e-5)


def test_few_photos_have_as_many_neighbours_as_there_are_others() -> None:
    rows = features(3)
    assert nearest(rows / np.linalg.norm(rows, axis=1, keepdims=True)).positions.shape == (3, 2)


@pytest.mark.parametrize("photos", [30, 90])
def test_tables_keep_cosines_and_distances(photos: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_module, "_CHUNK", 16)
    given = features(photos)
    given[:, 7] = 3  # never changes
    table = directions(lambda at: given[at], photos=photos)
    exact = given / np.linalg.norm(given, axis=1, keepdims=True)
    assert np.allclose(table @ table.T, exact @ exact.T, atol=1e-4)

    scaled = (given - given.mean(axis=0)) / np.where(given.std(axis=0) > 1e-6, given.std(axis=0), 1)
    rows = standardised(lambda at: given[at], photos=photos)
    assert np.allclose(rows @ rows.T, scaled @ scaled.T, atol=1e-2)


def test_more_numbers_than_are_kept_leave_the_nearest_photos_near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_module, "DIMENSIONS", 8)
    centres = np.random.default_rng(4).normal(0, 1, (6, 40))
    given = (centres[np.arange(90) % 6] + np.random.default_rng(5).normal(0, 0.1, (90, 40))).astype(np.float32)
    table = directions(lambda at: given[at], photos=90)
    assert table.shape == (90, 8)
    assert (nearest(table, count=3).positions % 6 == (np.arange(90) % 6)[:, None]).all()


def clustered(strangers: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(6)
    rows = np.concatenate([rng.normal(0, 0.3, (120, 32)) + np.eye(32)[0] * 2, rng.normal(0, 1, (strangers, 32))])
    rows[120:, 0] = -2
    unit: NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def test_strangers_are_odd_and_nobody_else_even_if_several_are_alike() -> None:
    odd = odd_ones(nearest(clustered(4)))
    assert {at for at, _ in odd} == {120, 121, 122, 123}
    assert [factor for _, factor in odd] == sorted((factor for _, factor in odd), reverse=True)
    assert odd_ones(nearest(clustered(0))) == []


def test_a_data_set_in_which_no_photos_are_alike_has_no_odd_ones() -> None:
    rows = np.random.default_rng(7).normal(0, 1, (100, 200)).astype(np.float32)
    assert odd_ones(nearest(rows / np.linalg.norm(rows, axis=1, keepdims=True))) == []


def test_among_few_photos_none_is_odd() -> None:
    assert odd_ones(nearest(clustered(1)[90:])) == []
