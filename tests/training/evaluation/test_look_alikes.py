"""Groups of photos of one class that look alike."""

from __future__ import annotations

import numpy as np
import pytest

from training.doctor.table import unit
from training.evaluation.look_alikes import clusters, look_alikes


def test_photos_of_one_burst_are_one_group_and_those_of_two_classes_never() -> None:
    rng = np.random.default_rng(0)
    scenes = rng.normal(0, 1, (6, 200))
    rows = (np.repeat(scenes, 4, axis=0) + rng.normal(0, 0.3, (24, 200))).astype(np.float32)
    labels = np.array([0] * 12 + [1] * 12)
    labels[3] = 1  # of the first scene, in the other class
    groups = look_alikes(unit(rows), labels)
    expected = np.repeat(np.arange(6), 4)
    expected[3] = 6
    assert len(np.unique(groups)) == 7
    assert len(set(zip(groups.tolist(), expected.tolist(), strict=True))) == 7


@pytest.mark.parametrize("seed", range(5))
def test_the_chain_gives_the_clusters_of_merging_the_nearest_first(seed: int) -> None:
    rows = unit(np.random.default_rng(seed).normal(0.8, 1, (30, 6)).astype(np.float32))
    alike = rows @ rows.T
    # the definition: merge the two nearest of all, again and again
    merged = [[at] for at in range(30)]
    while True:
        means = [
            (float(alike[np.ix_(one, other)].mean()), i, j)
            for i, one in enumerate(merged)
            for j, other in enumerate(merged[:i])
        ]
        value, i, j = max(means)
        if value < 0.75:
            break
        merged[j] += merged.pop(i)
    found = clusters(alike, limit=0.75)
    assert {frozenset(np.flatnonzero(found == number).tolist()) for number in np.unique(found)} == {
        frozenset(cluster) for cluster in merged
    }
    assert 1 < len(merged) < 30


def test_equal_photos_do_not_go_round_in_a_circle() -> None:
    assert clusters(np.ones((9, 9), dtype=np.float32), limit=0.75).tolist() == [0] * 9


def test_what_all_photos_have_in_common_does_not_make_them_look_alike() -> None:
    rng = np.random.default_rng(0)
    common = 4 * rng.normal(0, 1, (1, 300))
    rows = (common + np.repeat(rng.normal(0, 1, (6, 300)), 3, axis=0) + rng.normal(0, 0.3, (18, 300))).astype(
        np.float32
    )
    directions = unit(rows)
    assert (directions @ directions.T).min() > 0.9
    groups = look_alikes(directions, np.repeat([0, 1], 9))
    assert groups.tolist() == np.repeat(np.arange(6), 3).tolist()
