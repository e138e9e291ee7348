"""The model in service on the new test photos: what it answers, and that nothing wrong with it ends a training."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import contract
from contract import Artefact
from tests.training.conftest import IMAGE_SIZE
from tests.training.export.conftest import Exported
from training.evaluation.served_photos import as_served
from training.export import in_service
from training.export.in_service import ModelInService, open_model_in_service
from training.export.onnx_model import OnnxModel
from training.export.predictions import predict
from training.preprocess import Preprocessing

OLD_CLASSES = ["cat", "dog", "gone"]
NEW_CLASSES = ["cat", "dog", "owl"]
CARD: dict[str, Any] = {"run": "run-1", "labels": OLD_CLASSES, "image_size": IMAGE_SIZE, "resize": IMAGE_SIZE + 4}


@pytest.fixture
def test_photos(tmp_path: Path) -> list[contract.ImageRecord]:
    """Ten photos of noise below `photos`, and one that is none."""
    (tmp_path / "photos").mkdir()
    for number in range(10):
        pixels = np.random.default_rng(number).integers(0, 255, size=(60, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    (tmp_path / "photos" / "broken.png").write_bytes(b"text")
    names = [*(f"{number}.png" for number in range(10)), "broken.png"]
    return [{"path": name, "label": at % 3, "split": "test", "etag": name} for at, name in enumerate(names)]


def archive(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Put `model.tar.gz` with these files into a channel's folder."""
    channel = folder / "in_service"
    channel.mkdir(exist_ok=True)
    with tarfile.open(channel / "model.tar.gz", "w:gz") as opened:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            opened.addfile(member, io.BytesIO(content))
    return channel


def opened(folder: Path, files: Mapping[str, bytes]) -> ModelInService:
    scratch = folder / "scratch"
    scratch.mkdir()
    model = open_model_in_service(archive(folder, files), scratch=scratch)
    assert model is not None
    return model


def served(exported: Exported, **card: Any) -> dict[str, bytes]:
    return {"model.onnx": exported.file.read_bytes(), "model.json": json.dumps({**CARD, **card}).encode()}


def results(model: ModelInService, records: list[contract.ImageRecord], folder: Path) -> list[dict[str, str]]:
    """Test the model, and return the rows of its table."""
    output = folder / "output"
    output.mkdir()
    model.test(records, photos=folder / "photos", classes=NEW_CLASSES, output_dir=output)
    with (output / Artefact.IN_SERVICE_PREDICTIONS).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("card", [{}, {"interpolation": "bicubic"}], ids=["an earlier release's", "bicubic"])
def test_it_answers_as_it_is_served_by_its_own_card(
    exported: Exported,
    test_photos: list[contract.ImageRecord],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    card: dict[str, Any],
) -> None:
    rows = results(opened(tmp_path, served(exported, **card)), test_photos, tmp_path)
    own = Preprocessing(
        image_size=IMAGE_SIZE, resize=IMAGE_SIZE + 4, interpolation=card.get("interpolation", "bilinear")
    )
    pixels = [as_served(record, photos=tmp_path / "photos", preprocessing=own) for record in test_photos[:10]]
    expected = OnnxModel(exported.file).probabilities(np.stack(pixels))
    assert [row["path"] for row in rows] == [record["path"] for record in test_photos[:10]]
    assert [row["label"] for row in rows] == [NEW_CLASSES[record["label"]] for record in test_photos[:10]]
    assert [row["predicted"] for row in rows] == [OLD_CLASSES[at] for at in expected.argmax(axis=1)]
    np.testing.assert_allclose([float(row["confidence"]) for row in rows], expected.max(axis=1), atol=1e-4)
    said = json.loads((tmp_path / "output" / Artefact.IN_SERVICE).read_text(encoding="utf-8"))
    assert said == {"run": "run-1", "labels": OLD_CLASSES, "why": ""}
    assert "the model in service (run run-1) is right on" in capsys.readouterr().out


def test_photos_that_the_new_model_sees_in_the_same_way_are_decoded_once(
    exported: Exported, test_photos: list[contract.ImageRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = opened(tmp_path, served(exported))
    assert model.preprocessing is not None
    crop = partial(as_served, photos=tmp_path / "photos", preprocessing=model.preprocessing)
    predict({"fp32": OnnxModel(exported.file)}, test_photos, crop, also=model.see)
    monkeypatch.setattr(in_service, "batches", lambda *_: pytest.fail("they are decoded again"))
    assert len(results(model, test_photos, tmp_path)) == 10


def test_without_a_model_in_service_the_channel_holds_something_else(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text("{}")
    assert open_model_in_service(tmp_path, scratch=tmp_path) is None
    assert open_model_in_service(None, scratch=tmp_path) is None


def test_only_the_model_and_its_card_are_unpacked(exported: Exported, tmp_path: Path) -> None:
    files = {"../model.onnx": b"x", "code/inference.py": b"x", "/etc/model.json": b"x", **served(exported)}
    assert opened(tmp_path, files).why == ""
    assert sorted(path.name for path in (tmp_path / "scratch").iterdir()) == ["model.json", "model.onnx"]
    assert not (tmp_path / "model.onnx").exists()


Spoil = Callable[[dict[str, bytes]], dict[str, bytes]]


@pytest.mark.parametrize(
    ("spoil", "why", "run"),
    [
        (lambda files: {"model.json": files["model.json"]}, "its model.tar.gz holds no model.onnx", ""),
        (lambda files: {**files, "model.onnx": b"no model"}, "its files are damaged", "run-1"),
        (lambda files: {**files, "model.json": b"{"}, "its files are damaged", ""),
        (lambda files: {**files, "model.json": b"{}"}, "its files are damaged ('run')", ""),
        (
            lambda files: {**files, "model.json": json.dumps({**CARD, "image_size": 10**9}).encode()},
            "its card gives image_size and resize as 1000000000 and",
            "run-1",
        ),
        (
            lambda files: {**files, "model.json": json.dumps({**CARD, "interpolation": "nearest"}).encode()},
            "an interpolation that is not known, 'nearest'",
            "run-1",
        ),
        (
            lambda files: {**files, "model.json": json.dumps({**CARD, "labels": ["cat", "dog"]}).encode()},
            "model.onnx gives (10, 3) probabilities to 10 photos, but its card names 2 classes",
            "run-1",
        ),
        (lambda files: {**{f"{n}.txt": b"" for n in range(101)}, **files}, "holds more than 100 files", ""),
    ],
    ids=["no model", "no ONNX", "no JSON", "no run", "huge", "unknown filter", "other labels", "many files"],
)
def test_a_damaged_model_is_a_reason_and_no_failure(
    exported: Exported,
    test_photos: list[contract.ImageRecord],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Spoil,
    why: str,
    run: str,
) -> None:
    model = opened(tmp_path, spoil(served(exported)))
    model.test(test_photos, photos=tmp_path / "photos", classes=NEW_CLASSES, output_dir=tmp_path)
    said = json.loads((tmp_path / Artefact.IN_SERVICE).read_text(encoding="utf-8"))
    assert why in said["why"]
    assert said["run"] == run
    assert not (tmp_path / Artefact.IN_SERVICE_PREDICTIONS).exists()
    assert f"the model in service could not be run on the test photos: {said['why']}" in capsys.readouterr().out


def test_an_archive_that_was_cut_off_is_a_reason_and_no_failure(exported: Exported, tmp_path: Path) -> None:
    channel = archive(tmp_path, served(exported))
    file = channel / "model.tar.gz"
    file.write_bytes(file.read_bytes()[:2000])
    model = open_model_in_service(channel, scratch=tmp_path)
    assert model is not None
    assert model.why.startswith("its files are damaged (")


@pytest.mark.parametrize("name", ["model.onnx", "weights.bin"])
def test_what_is_too_large_is_not_unpacked(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(in_service, "MAX_MODEL_BYTES", exported.file.stat().st_size)
    # before the others, since nothing is read after both are found
    files = {name: b"", **served(exported)}
    files[name] = bytes(exported.file.stat().st_size + 1)
    model = opened(tmp_path, files)
    assert model.why.startswith(f"{name} in its model.tar.gz has ")
    assert list((tmp_path / "scratch").iterdir()) == []
