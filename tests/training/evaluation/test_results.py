from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

import contract
from training.evaluation import plots
from training.evaluation.results import write_predictions, write_results
from training.evaluation.scores import measure
from training.loop.history import Epoch, Scores

NAMES = ["$x_1$", "a,b", 'say "hi"', "ordinary"]


def evaluation(classes: list[str]) -> contract.Evaluation:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(len(classes)), size=40).astype(np.float32)
    labels = rng.integers(len(classes), size=40)
    return {
        "run": "r",
        "classes": classes,
        "dataset_fingerprint": "f",
        "test_fingerprint": "t",
        "validation_accuracy": 0.5,
        "validation_images": 40,
        **measure(probabilities, labels, paths=["p"] * 40, classes=classes, temperature=1.0, seed=0),
        "precision": "fp32",
        "precision_reason": "only one",
        "model_files": [],
        "near_copies": None,
        "by_group": None,
        "unknown": None,
        "coverage": [],
        "mirror_averaging": None,
        "fine_tuning": None,
        "hyperparameters": {},
    }


def rows(file: Path) -> list[list[str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.reader(opened))


def test_every_picture_has_its_numbers_beside_it_with_any_class_names(tmp_path: Path) -> None:
    result = evaluation(NAMES)
    nothing = np.empty(0, dtype=np.int64)
    epochs = [
        Epoch(
            number=n,
            train_loss=2 / n,
            validation=Scores(loss=3 / n, loss_error=0.1, accuracy=1 - 1 / n, predictions=nothing),
        )
        for n in (1, 2, 3)
    ]
    write_results(tmp_path, result, epochs=epochs, kept=epochs[2])
    assert '"a,b"' in (tmp_path / contract.Artefact.CONFUSION_MATRIX_CSV).read_text(encoding="utf-8")
    assert [row[0] for row in rows(tmp_path / contract.Artefact.PER_CLASS_CSV)] == ["name", *NAMES]
    history = rows(tmp_path / contract.Artefact.HISTORY)
    assert [(row[0], row[-1]) for row in history] == [("epoch", "kept"), ("1", "0"), ("2", "0"), ("3", "1")]
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


def test_predictions_are_written_in_the_order_of_their_paths_with_the_classes_names(tmp_path: Path) -> None:
    write_predictions(
        tmp_path,
        np.array([[0.75, 0.25], [0.125, 0.875], [0.5, 0.5]], dtype=np.float32),
        np.array([0, 0, 1], dtype=np.int64),
        np.array([0.5, 1.25, 0], dtype=np.float32),
        paths=["b/1.jpg", 'a/",1.jpg', "a/0.jpg"],
        classes=["a,b", "other"],
    )
    assert rows(tmp_path / contract.Artefact.PREDICTIONS) == [
        ["path", "label", "predicted", "confidence", "distance"],
        ['a/",1.jpg', "a,b", "other", "0.875000", "1.2500"],
        ["a/0.jpg", "other", "a,b", "0.500000", "0.0000"],
        ["b/1.jpg", "a,b", "a,b", "0.750000", "0.5000"],
    ]
