from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from training import contract, plots
from training.course import Epoch, Scores
from training.evaluation import measure
from training.results import write_results

NAMES = ["$x_1$", "a,b", 'say "hi"', "ordinary"]


def evaluation(classes: list[str]) -> contract.Evaluation:
    chance = np.random.default_rng(0)
    probabilities = chance.dirichlet(np.ones(len(classes)), size=40).astype(np.float32)
    labels = chance.integers(len(classes), size=40)
    return {
        "run": "r",
        "classes": classes,
        "dataset_fingerprint": "f",
        "test_fingerprint": "t",
        "validation_accuracy": 0.5,
        **measure(probabilities, labels, paths=["p"] * 40, classes=classes, temperature=1.0, seed=0),
        "precision": "fp32",
        "precision_reason": "only one",
        "model_files": [],
        "hyperparameters": {},
    }


def rows(file: Path) -> list[list[str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.reader(opened))


def test_every_picture_has_its_numbers_beside_it_with_any_class_names(tmp_path: Path) -> None:
    result = evaluation(NAMES)
    nothing = np.empty(0, dtype=np.int64)
    epochs = [
        Epoch(number=n, train_loss=2 / n, validation=Scores(loss=3 / n, accuracy=1 - 1 / n, predictions=nothing))
        for n in (1, 2, 3)
    ]
    write_results(tmp_path, result, epochs=epochs, best=epochs[2])
    assert '"a,b"' in (tmp_path / contract.Artefact.CONFUSION_MATRIX_CSV).read_text(encoding="utf-8")
    assert [row[0] for row in rows(tmp_path / contract.Artefact.PER_CLASS_CSV)] == ["name", *NAMES]
    assert [row[0] for row in rows(tmp_path / contract.Artefact.HISTORY)] == ["epoch", "1", "2", "3"]
    reliability = rows(tmp_path / contract.Artefact.RELIABILITY_CSV)
    assert reliability[0] == ["low", "high", "images", "confidence", "accuracy"]
    assert sum(int(row[2]) for row in reliability[1:]) == 40
    for name in ("CONFUSION_MATRIX", "PER_CLASS", "HISTORY", "RELIABILITY"):
        assert (tmp_path / contract.Artefact[f"{name}_PNG"]).stat().st_size > 1000


def test_many_classes_make_pictures_of_bearable_size(tmp_path: Path) -> None:
    file = tmp_path / "matrix.png"
    plots.draw_confusion_matrix(file, np.eye(300, dtype=np.int64), classes=[str(n) for n in range(300)])
    assert file.stat().st_size < 2_000_000
    scores = evaluation([str(n) for n in range(300)])["per_class"]
    plots.draw_per_class(file, scores)
    assert file.stat().st_size < 500_000
