"""From photos to a served model, through the jobs' entry points."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
import tarfile
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

import contract
from tests.training.conftest import BACKBONE, CLASSES, IMAGE_SIZE, Workspace
from training import features, preprocess, train, trial
from training.embedding.store import read_index, read_split
from training.export.onnx_export import check_export
from training.model.classifier import Classifier
from training.model.distance import fit_distance
from training.model.served import ServedModel
from training.model.weights import load_backbone
from training.runtime.environment import JobError

HYPERPARAMETERS: dict[str, Any] = {"learning_rate": 0.03, "batch_size": 16}


@pytest.fixture
def embedded(workspace: Workspace) -> Workspace:
    workspace.fill(each=20)
    workspace.write_weights()
    workspace.start(channels=("dataset", "manifest", "weights"), model="features")
    features.main()
    return workspace


def start_training(workspace: Workspace, **hyperparameters: Any) -> Path:
    channels = ("features", "dataset", "manifest", "weights")
    return workspace.start(channels=channels, **{**HYPERPARAMETERS, **hyperparameters})


def found(log: str, name: str) -> list[float]:
    """What SageMaker reads out of a log with a metric's regex."""
    return [float(value) for value in re.findall(contract.metric(name).regex, log, flags=re.MULTILINE)]


def test_a_trial_prints_every_epochs_metrics_as_the_contract_reads_them(
    embedded: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    embedded.start(channels=("features",), **HYPERPARAMETERS)
    capsys.readouterr()
    trial.main()
    log = capsys.readouterr().out
    assert len(found(log, "train:loss")) == len(found(log, "validation:loss")) == 5
    assert len(found(log, "validation:accuracy")) == 5
    assert found(log, contract.OBJECTIVES[contract.DEFAULT_OBJECTIVE].metric.name)[-1] < np.log(3)
    assert found(log, "train:loss")[-1] < found(log, "train:loss")[0]
    assert found(log, "validation:accuracy")[-1] > 0.9
    assert "epoch 5/5:" in log


@pytest.mark.shipped_exporter
def test_training_writes_everything_the_contract_promises(
    embedded: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    model = start_training(embedded)
    (embedded.root / "dataset" / "red" / "12.jpg").unlink()  # of the validation photos, whose features are there
    capsys.readouterr()
    train.main()
    log = capsys.readouterr().out
    classes = list(CLASSES)
    output = embedded.root / "output"

    card = json.loads((model / contract.Artefact.MODEL_CARD).read_text(encoding="utf-8"))
    assert set(card) == set(contract.ModelCard.__annotations__)
    assert (card["run"], card["labels"], card["image_size"]) == ("r1", classes, IMAGE_SIZE)
    assert sorted(path.name for path in model.iterdir()) == ["model.json", "model.onnx"]

    evaluation = json.loads((output / contract.Artefact.EVALUATION).read_text(encoding="utf-8"))
    assert set(evaluation) == set(get_type_hints(contract.Evaluation))
    check = json.loads((output / contract.Artefact.CHECK).read_text(encoding="utf-8"))
    assert set(check) == set(get_type_hints(contract.DatasetCheck))
    assert (check["photos"], check["classes"]) == (60, classes)
    assert "photos that should be looked at, of 60:" in log
    assert evaluation["test_images"] == 12 == np.array(evaluation["confusion_matrix"]).sum()
    assert evaluation["test_accuracy"] == card["test_accuracy"] > 0.8
    assert evaluation["test_fingerprint"] == "t" * 64
    assert contract.Hyperparameters.from_strings(evaluation["hyperparameters"]).learning_rate == 0.03
    assert found(log, "test:accuracy") == [pytest.approx(evaluation["test_accuracy"], abs=1e-6)]

    with (output / contract.Artefact.CONFUSION_MATRIX_CSV).open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0][1:] == classes == [row[0] for row in rows[1:]]
    assert [[int(cell) for cell in row[1:]] for row in rows[1:]] == evaluation["confusion_matrix"]
    for picture in ("CONFUSION_MATRIX_PNG", "HISTORY_PNG", "PER_CLASS_PNG", "RELIABILITY_PNG"):
        assert preprocess.decode((output / contract.Artefact[picture]).read_bytes()).width > 200
    assert {path.name for path in output.iterdir()} <= {str(name) for name in contract.Artefact}

    with (output / contract.Artefact.HISTORY).open(encoding="utf-8", newline="") as file:
        history = list(csv.DictReader(file))
    assert [row["epoch"] for row in history] == ["1", "2", "3", "4", "5"]
    (kept,) = (row for row in history if row["kept"] == "1")
    lowest = min(history, key=lambda row: float(row["validation_loss"]))
    assert float(kept["validation_loss"]) <= float(lowest["validation_loss"]) + float(lowest["validation_loss_error"])
    finished = re.search(r"logistic regression: \S+, ([0-9.]+); .* kept: the logistic regression", log)
    assert finished, log
    assert evaluation["validation_accuracy"] == pytest.approx(float(finished[1]), abs=1e-4)
    assert evaluation["validation_images"] == 12
    assert "fitted on 48 photos that were held out" in log

    # the precision is chosen on the eleven validation photos that are left, not on the twelve test photos
    assert " on 11 photos" in evaluation["precision_reason"]
    fp32, int8 = evaluation["model_files"]
    assert set(int8) == set(contract.ModelFile.__annotations__)
    right = (11 * fp32["validation_accuracy"], 11 * int8["validation_accuracy"])
    assert right == (pytest.approx(round(right[0])), pytest.approx(round(right[1])))
    assert f"validation accuracy {int8['validation_accuracy']:.4f} against" in evaluation["precision_reason"]
    assert evaluation["mirror_averaging"]["images"] == 11
    assert "mirror averaging (not served): accuracy" in log

    check_predictions(output, evaluation)
    check_served_model(embedded, model=model, expected=evaluation["test_accuracy"])
    check_another_head_is_noticed(embedded, model=model)


def test_a_copy_with_other_bytes_among_the_test_photos_is_named_and_does_not_count(workspace: Workspace) -> None:
    """Its bytes are others, so that CheckDataset cannot see it."""
    records = workspace.fill(each=20)
    test = [record["path"] for record in records if record["split"] == "test"]
    original = (workspace.root / "dataset" / records[0]["path"]).read_bytes()
    (workspace.root / "dataset" / test[0]).write_bytes(original + b"saved anew")
    for record in records:
        if record["label"] == 1:
            record["group"] = f"burst {int(record['path'][-6:-4]) // 4}"
    workspace.write_manifest(records)
    workspace.write_weights()
    workspace.start(channels=("dataset", "manifest", "weights"), model="features")
    features.main()
    start_training(workspace)
    train.main()

    text = (workspace.root / "output" / contract.Artefact.EVALUATION).read_text(encoding="utf-8")
    evaluation: contract.Evaluation = json.loads(text)
    copies, groups = evaluation["near_copies"], evaluation["by_group"]
    assert copies is not None
    assert (copies["examples"][0]["path"], copies["examples"][0]["trained"]) == (test[0], records[0]["path"])
    assert copies["examples"][0]["cosine"] == pytest.approx(1)
    assert copies["images"] + copies["others"] == 12
    assert copies["accuracy_of_others"] is not None
    # five bursts of one class; the other photos are on their own
    assert groups is not None
    assert (groups["source"], groups["groups"], groups["images"]) == ("groups", 45, 60)
    assert groups["accuracy"] > 0.8


def test_the_same_data_and_seed_give_the_same_model_whatever_the_search_found(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trials run side by side, so that a repeated search may end elsewhere; the features are made anew, too."""
    digests = []
    for learning_rate, batch_size, seed in ((0.03, 16, 0), (0.01, 32, 0), (0.03, 16, 1)):
        shutil.rmtree(workspace.root / "features", ignore_errors=True)
        workspace.fill(each=20)
        workspace.write_weights()
        workspace.start(channels=("dataset", "manifest", "weights"), model="features", seed=seed)
        features.main()
        model = start_training(workspace, learning_rate=learning_rate, batch_size=batch_size, seed=seed)
        train.main()
        assert "kept: the logistic regression" in capsys.readouterr().out
        digests.append(hashlib.sha256((model / contract.Artefact.MODEL).read_bytes()).hexdigest())
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


@pytest.mark.parametrize("same", [True, False], ids=["seen in the same way", "seen in its own way"])
def test_the_model_in_service_is_run_on_the_new_test_photos(
    embedded: Workspace, capsys: pytest.CaptureFixture[str], same: bool
) -> None:
    """Here it is the same model, so that it says the same; its card may ask for another crop."""
    model = start_training(embedded)
    train.main()
    output = embedded.root / "output"
    assert not (output / contract.Artefact.IN_SERVICE).exists(), "nothing is in service yet"
    card = model / contract.Artefact.MODEL_CARD
    if not same:
        card.write_text(json.dumps({**json.loads(card.read_text(encoding="utf-8")), "interpolation": "bicubic"}))
    with tarfile.open(embedded.folder("in_service") / contract.MODEL_ARCHIVE, "w:gz") as archive:
        for file in model.iterdir():
            archive.add(file, arcname=file.name)

    channels = ("features", "dataset", "manifest", "weights", "in_service")
    embedded.start(channels=channels, model="next", **HYPERPARAMETERS)
    train.main()
    own, old = (
        list(csv.DictReader((output / name).read_text(encoding="utf-8").splitlines()))
        for name in (contract.Artefact.PREDICTIONS, contract.Artefact.IN_SERVICE_PREDICTIONS)
    )
    assert len(own) == len(old) == 12
    # distances are measured of the new model alone
    assert all(row.pop("distance") for row in own)
    assert not any(row.pop("distance") for row in old)
    assert (own == old) is same
    said = json.loads((output / contract.Artefact.IN_SERVICE).read_text(encoding="utf-8"))
    assert said == {"run": "r1", "labels": list(CLASSES), "why": ""}
    assert "the model in service (run r1) is right on" in capsys.readouterr().out


def check_predictions(output: Path, evaluation: contract.Evaluation) -> None:
    """Photo by photo they say what the evaluation says of all together, and every mistake has its thumbnail."""
    with (output / contract.Artefact.PREDICTIONS).open(encoding="utf-8", newline="") as file:
        predictions = list(csv.DictReader(file))
    assert [row["path"] for row in predictions] == sorted(row["path"] for row in predictions)
    assert len(predictions) == evaluation["test_images"]
    right = sum(row["label"] == row["predicted"] for row in predictions)
    assert right / len(predictions) == pytest.approx(evaluation["test_accuracy"])
    assert json.loads((output / contract.Artefact.HEAT_MAPS).read_text(encoding="utf-8")) == {}  # a map of one place
    thumbnails = json.loads((output / contract.Artefact.THUMBNAILS).read_text(encoding="utf-8"))
    assert {row["path"] for row in predictions if row["label"] != row["predicted"]} <= set(thumbnails)


def check_served_model(workspace: Workspace, *, model: Path, expected: float) -> None:
    """The ONNX file alone, on the photos' bytes, is as good as the evaluation says, in any batch size."""
    session = onnxruntime.InferenceSession(model / contract.Artefact.MODEL, providers=["CPUExecutionProvider"])
    (given,), answered = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type, given.shape[1:]) == ("image", "tensor(uint8)", [IMAGE_SIZE, IMAGE_SIZE, 3])
    assert [(each.name, each.type) for each in answered] == [
        ("probabilities", "tensor(float)"),
        ("distance", "tensor(float)"),
    ]
    test = read_split(workspace.root / "features", "test")
    crops = np.stack(
        [
            preprocess.center_crop(
                preprocess.decode((workspace.root / "dataset" / path).read_bytes()),
                preprocess.Preprocessing.usual(IMAGE_SIZE),
            )
            for path in test.paths
        ]
    )
    together, distances = session.run(None, {"image": crops})
    alone, distance = session.run(None, {"image": crops[:1]})
    np.testing.assert_allclose(distances[:1], distance, rtol=1e-3)
    evaluation: contract.Evaluation = json.loads(
        (workspace.root / "output" / contract.Artefact.EVALUATION).read_text(encoding="utf-8")
    )
    assert evaluation["unknown"] is not None
    assert evaluation["unknown"]["known_share"] == pytest.approx((distances <= 1).mean())
    assert evaluation["unknown"]["oddest"][0]["distance"] == pytest.approx(distances.max(), rel=1e-3)
    np.testing.assert_allclose(together.sum(axis=1), 1, rtol=1e-4)
    np.testing.assert_allclose(together[:1], alone, atol=1e-4)
    assert (together.argmax(axis=1) == test.labels).mean() == pytest.approx(expected, abs=1 / len(test.labels) + 1e-6)


def check_another_head_is_noticed(workspace: Workspace, *, model: Path) -> None:
    """The comparison that follows an export tells a file that answers otherwise than PyTorch."""
    backbone, _ = load_backbone(BACKBONE, image_size=IMAGE_SIZE)
    torch.manual_seed(1)
    folder, index = read_index(workspace.root / "features")
    train_split = read_split(folder, "train")
    other = ServedModel(
        classifier=Classifier(backbone=backbone, head=nn.Linear(index["dim"], 3)),
        distance=fit_distance(train_split.features, train_split.labels, levels=index["levels"], seed=0),
    ).eval()
    images = np.random.default_rng(0).integers(0, 255, size=(4, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
    with pytest.raises(JobError, match=r"probabilities differ from PyTorch's.*choose another"):
        check_export(other, model / contract.Artefact.MODEL, images=images)


@pytest.mark.parametrize("change", ["weights", "image_size", "classes"])
def test_features_of_something_else_are_refused(embedded: Workspace, change: str) -> None:
    hyperparameters: dict[str, Any] = {}
    if change == "weights":
        embedded.start(channels=("features", "dataset", "manifest", "weights"))
        folder, index = read_index(embedded.root / "features")
        index["weights"] = "0" * 64
        (folder / contract.Artefact.FEATURES_INDEX).write_text(json.dumps(index))
    elif change == "image_size":
        hyperparameters["image_size"] = 64
    else:
        embedded.write_manifest(embedded.fill(each=20), classes=["a", "b", "c"])
    start_training(embedded, **hyperparameters)
    with pytest.raises(JobError, match=f"features were made with {change}"):
        train.main()
