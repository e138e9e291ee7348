from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import contract
from inference.classifier import Classifier, ModelError
from tests.inference.conftest import LABELS, picture, write_model
from tests.inference.onnx_file import write_colour_model
from training.preprocess import ImageError, Preprocessing, plain_view


@pytest.fixture(scope="module")
def classifier(model_folder: Path) -> Classifier:
    return Classifier(model_folder, threads=1)


@pytest.mark.parametrize(("colour", "label"), [("red", "red"), ("lime", "green"), ("blue", "blue é")])
def test_the_likeliest_class_comes_first(classifier: Classifier, colour: str, label: str) -> None:
    predictions = classifier.classify(picture(colour), top_k=3)
    assert predictions[0]["label"] == label
    scores = [prediction["score"] for prediction in predictions]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1, rel=1e-4)
    assert {prediction["label"] for prediction in predictions} == set(LABELS)


@pytest.mark.parametrize(
    ("stated", "interpolation"),
    [({}, "bilinear"), ({"interpolation": "bicubic"}, "bicubic")],
    ids=["earlier", "bicubic"],
)
def test_photos_are_resized_as_the_card_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stated: dict[str, str], interpolation: contract.Interpolation
) -> None:
    """A card of an earlier release does not say how: such models were trained with bilinear resizing."""
    file = write_model(tmp_path / "model") / contract.Artefact.MODEL_CARD
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **stated}), encoding="utf-8")
    given: list[NDArray[np.uint8]] = []

    def watched(_: Classifier, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        given.append(images[0])
        return np.ones(len(LABELS), dtype=np.float32)

    classifier = Classifier(tmp_path / "model", threads=1)
    monkeypatch.setattr(Classifier, "_probabilities", watched)
    noise = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)).save(noise, "PNG")
    classifier.classify(noise.getvalue(), top_k=1)
    expected = Preprocessing(image_size=32, resize=37, interpolation=interpolation)
    np.testing.assert_array_equal(given[0], plain_view(noise.getvalue(), expected))


def test_top_k_cuts_the_answer(classifier: Classifier) -> None:
    assert len(classifier.classify(picture(), top_k=1)) == 1


def test_a_bad_image_does_not_hurt_the_next(classifier: Classifier) -> None:
    with pytest.raises(ImageError):
        classifier.classify(picture()[:200], top_k=1)
    assert classifier.classify(picture(), top_k=1)[0]["label"] == "red"


def test_answers_from_many_threads_are_the_callers_own(classifier: Classifier) -> None:
    colours = ["red", "lime", "blue"] * 20
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda colour: classifier.classify(picture(colour), top_k=1)[0]["label"], colours))
    assert answers == LABELS * 20


@pytest.mark.parametrize("missing", [contract.Artefact.MODEL, contract.Artefact.MODEL_CARD])
def test_a_folder_without_a_model_is_told_what_lacks(tmp_path: Path, missing: str) -> None:
    (write_model(tmp_path / "model") / missing).unlink()
    with pytest.raises(ModelError, match=rf"there is no {missing}.*train a model"):
        Classifier(tmp_path / "model", threads=1)


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x08"])
def test_a_damaged_model_is_not_served(tmp_path: Path, content: bytes) -> None:
    (write_model(tmp_path) / contract.Artefact.MODEL).write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.onnx cannot be run.*train the model again"):
        Classifier(tmp_path, threads=1)


@pytest.mark.parametrize(("content", "reason"), [("{", "damaged"), ('{"labels": ["a"]}', "lacks image_size, resize")])
def test_a_damaged_card_is_not_served(tmp_path: Path, content: str, reason: str) -> None:
    (write_model(tmp_path) / contract.Artefact.MODEL_CARD).write_text(content)
    with pytest.raises(ModelError, match=reason):
        Classifier(tmp_path, threads=1)


def test_labels_of_another_model_are_not_served(tmp_path: Path) -> None:
    file = write_model(tmp_path) / contract.Artefact.MODEL_CARD
    card = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**card, "labels": ["a", "b"]}))
    with pytest.raises(ModelError, match="for each of 2 labels"):
        Classifier(tmp_path, threads=1)


def test_an_image_size_of_another_model_is_not_served(tmp_path: Path) -> None:
    write_colour_model(write_model(tmp_path) / contract.Artefact.MODEL, image_size=64)
    with pytest.raises(ModelError, match="cannot be run"):
        Classifier(tmp_path, threads=1)
