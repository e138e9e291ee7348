from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.unknown import ODDEST, POINTS, answered_curve, describe, measure_unknown

CLASSES = ["cat", "dog"]
PROBABILITIES = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]], dtype=np.float32)
LABELS = np.array([0, 1, 1, 0])
PATHS = ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]


def measured(*distances: float) -> dict[str, object]:
    found = measure_unknown(
        np.array(distances, dtype=np.float32),
        PROBABILITIES,
        LABELS,
        paths=PATHS,
        classes=CLASSES,
        promised_share=0.95,
    )
    return dict(found)


def test_known_and_unknown_photos_are_counted_apart() -> None:
    """The first two are right; a distance of exactly 1 is known."""
    found = measured(1.0, 1.1, 0.5, 3.0)
    assert found["known_share"] == 0.5
    assert (found["accuracy_known"], found["accuracy_unknown"]) == (0.5, 0.5)
    assert found["promised_share"] == 0.95
    oddest = found["oddest"]
    assert isinstance(oddest, list)
    assert [(each["path"], each["label"]) for each in oddest] == [
        ("d.jpg", "cat"),
        ("b.jpg", "dog"),
        ("a.jpg", "cat"),
        ("c.jpg", "dog"),
    ]
    assert oddest[0]["distance"] == 3.0


def test_no_known_or_no_unknown_photo_has_no_accuracy() -> None:
    assert measured(0.0, 0.1, 0.2, 0.3)["accuracy_unknown"] is None
    assert measured(2.0, 2.0, 2.0, 2.0)["accuracy_known"] is None


def test_the_curve_goes_from_the_surest_photo_to_all() -> None:
    curve = answered_curve(np.array([0.9, 0.8, 0.6, 0.7]), np.array([True, True, False, False]))
    assert curve == [
        {"answered": 0.25, "accuracy": 1.0},
        {"answered": 0.5, "accuracy": 1.0},
        {"answered": 0.75, "accuracy": pytest.approx(2 / 3)},
        {"answered": 1.0, "accuracy": 0.5},
    ]


def test_many_photos_have_a_short_curve_and_list() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(2), size=1234).astype(np.float32)
    found = measure_unknown(
        rng.random(1234).astype(np.float32),
        probabilities,
        rng.integers(0, 2, 1234),
        paths=["x.jpg"] * 1234,
        classes=CLASSES,
        promised_share=0.95,
    )
    assert len(found["curve"]) == POINTS
    assert found["curve"][-1]["answered"] == 1.0
    assert len(found["oddest"]) == ODDEST


def test_the_log_says_where_photos_were_too_few() -> None:
    found = measure_unknown(
        np.array([0.5]), PROBABILITIES[:1], LABELS[:1], paths=PATHS[:1], classes=CLASSES, promised_share=0.9
    )
    said = describe(found, [{"promised": 0.9, "realised": 0.875, "mean_labels": 1.5}], held_out=9)
    assert "by 9 validation photos, more of which would be needed for 95%" in said
    assert "coverage 0.90 promised, 0.8750 realised on the test photos with 1.50 labels on average" in said
    assert "more of which" not in describe({**found, "promised_share": 0.95}, [], held_out=100)
