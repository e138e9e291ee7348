from __future__ import annotations

from pathlib import Path

import numpy as np

from training import contract
from training.evaluation import class_scores, confusion_matrix, write_confusion_matrix


def test_rows_are_the_true_classes() -> None:
    matrix = confusion_matrix(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0]), classes=3)
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]


def test_scores_of_each_class() -> None:
    scores = class_scores(np.array([[3, 1, 0], [0, 4, 0], [0, 3, 0]]), classes=["a", "b", "c"])
    assert scores[0] == {"name": "a", "images": 4, "precision": 1.0, "recall": 0.75, "f1": 6 / 7}
    assert scores[1]["precision"] == 0.5
    assert scores[2] == {"name": "c", "images": 3, "precision": 0.0, "recall": 0.0, "f1": 0.0}


def test_a_class_without_test_photos_scores_zero_and_does_not_fail() -> None:
    assert class_scores(np.zeros((1, 1), dtype=np.int64), classes=["a"])[0]["f1"] == 0.0


def test_writes_names_with_formulas_and_commas_as_they_are(tmp_path: Path) -> None:
    classes = ["$x_1$", "a,b", 'say "hi"', "ordinary"]
    write_confusion_matrix(tmp_path, np.eye(4, dtype=np.int64), classes=classes)
    assert '"a,b"' in (tmp_path / contract.Artefact.CONFUSION_MATRIX_CSV).read_text(encoding="utf-8")
    assert (tmp_path / contract.Artefact.CONFUSION_MATRIX_PNG).stat().st_size > 1000


def test_many_classes_make_a_picture_of_bearable_size(tmp_path: Path) -> None:
    write_confusion_matrix(tmp_path, np.eye(300, dtype=np.int64), classes=[str(n) for n in range(300)])
    assert (tmp_path / contract.Artefact.CONFUSION_MATRIX_PNG).stat().st_size < 2_000_000
