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
from inference.answer import CoverageError
from inference.classifier import Classifier, ModelError
from inference.invocation import ClassifyRequest
from tests.inference.conftest import LABELS, picture, write_model
from tests.inference.onnx_file import write_colour_model
from training.preprocess import ImageError, Preprocessing, plain_view


@pytest.fixture(scope="module")
def classifier(model_folder: Path) -> Classifier:
    return Classifier(model_folder, threads=1)


@pytest.mark.parametrize(("colour", "label"), [("red", "red"), ("lime", "green"), ("blue", "blue é")])
def test_the_likeliest_class_comes_first(classifier: Classifier, colour: str, label: str) -> None:
    answer = classifier.classify(ClassifyRequest(picture(colour), top_k=3))
    predictions = answer["predictions"]
    assert predictions[0] == {"label": answer["label"], "score": answer["score"]}
    assert answer["label"] == label
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

    def watched(_: Classifier, images: NDArray[np.uint8], **__: bool) -> tuple[NDArray[np.float32], float, None]:
        given.append(images[0])
        return np.ones(len(LABELS), dtype=np.float32), 0.5, None

    classifier = Classifier(tmp_path / "model", threads=1)
    monkeypatch.setattr(Classifier, "_run", watched)
    noise = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)).save(noise, "PNG")
    classifier.classify(ClassifyRequest(noise.getvalue(), top_k=1))
    expected = Preprocessing(image_size=32, resize=37, interpolation=interpolation)
    np.testing.assert_array_equal(given[0], plain_view(noise.getvalue(), expected))


def test_every_answer_names_the_model_that_gave_it(model_folder: Path) -> None:
    asked = ClassifyRequest(picture(), top_k=1)
    for release, named in {"": {}, "whippet-dev-r1": {"release": "whippet-dev-r1"}}.items():
        classifier = Classifier(model_folder, threads=1, release=release)
        assert classifier.classify(asked)["model"] == {"run": "r1", "test_accuracy": 1.0, **named}


def test_top_k_cuts_the_answer(classifier: Classifier) -> None:
    assert len(classifier.classify(ClassifyRequest(picture(), top_k=1))["predictions"]) == 1


@pytest.mark.parametrize("top_k", [3, 4, 5, 1_000_000_000])
def test_all_classes_are_answered_where_more_are_asked_for(classifier: Classifier, top_k: int) -> None:
    assert len(classifier.classify(ClassifyRequest(picture(), top_k=top_k))["predictions"]) == 3


def test_a_photo_like_those_of_the_training_is_known(classifier: Classifier) -> None:
    answer = classifier.classify(ClassifyRequest(picture("red"), top_k=1))
    assert answer["known"] is True
    assert answer["distance"] == pytest.approx(85 / 127.5, abs=0.02)
    assert "reason" not in answer
    assert "labels" not in answer


@pytest.mark.parametrize(("name_unknown", "label"), [(True, "red"), (False, None)])
def test_an_odd_photo_is_unknown_and_named_only_if_that_is_wanted(
    model_folder: Path, name_unknown: bool, label: str | None
) -> None:
    classifier = Classifier(model_folder, threads=1, name_unknown=name_unknown)
    answer = classifier.classify(ClassifyRequest(picture("#fff0f0"), top_k=3))
    assert answer["known"] is False
    assert answer["label"] == label
    assert answer["predictions"][0]["label"] == "red"
    assert answer["distance"] == pytest.approx((255 + 240 + 240) / 3 / 127.5, abs=0.02)
    assert answer["reason"] == (
        "the photo is unlike those that the model was trained on: its distance is 1.92, and 95% of the photos of known "
        "classes have at most 1"
    )
    assert classifier.classify(ClassifyRequest(picture("red"), top_k=1))["label"] == "red"


def test_a_model_of_an_earlier_release_answers_that_it_cannot_tell(tmp_path: Path) -> None:
    classifier = Classifier(write_model(tmp_path, earlier=True), threads=1, name_unknown=False)
    answer = classifier.classify(ClassifyRequest(picture("white"), top_k=1))
    assert (answer["known"], answer["distance"]) == (None, None)
    assert answer["label"] is not None
    assert "reason" not in answer
    with pytest.raises(CoverageError, match=r"was released before.*start a run"):
        classifier.classify(ClassifyRequest(picture(), top_k=1, coverage=0.9))


def test_a_set_of_labels_is_as_large_as_its_coverage_demands(classifier: Classifier) -> None:
    """Purple pictures are red and blue in equal parts; the table's lowest scores are 0.4, 0.01 and 0."""

    def labels(coverage: float, colour: str = "#800080") -> list[str]:
        return classifier.classify(ClassifyRequest(picture(colour, form="PNG"), top_k=1, coverage=coverage))["labels"]

    assert labels(0.5) == ["red", "blue é"]
    assert labels(0.5, "red") == ["red"]
    assert labels(0.9) == ["red", "blue é"]
    assert labels(0.9000001) == labels(0.95) == labels(0.6 + 0.35) == ["red", "blue é", "green"]
    with pytest.raises(CoverageError, match=r"0\.951 is more .* 50 held-out photos.*at most 0\.95"):
        labels(0.951)


def test_a_set_of_labels_is_never_empty(classifier: Classifier) -> None:
    """Of a grey picture no class has a score of 0.4."""
    asked = ClassifyRequest(picture("#404040", form="PNG"), top_k=1, coverage=0.5)
    assert classifier.classify(asked)["labels"] == ["red"]


def test_a_heat_map_is_hot_where_the_evidence_is(classifier: Classifier) -> None:
    """The model's evidence is a pixel's red minus 127.5: of a red bar on black, the bar is hot and the rest cold."""
    pixels = Image.new("RGB", (74, 74))
    pixels.paste((255, 0, 0), (37, 0, 74, 74))
    file = io.BytesIO()
    pixels.save(file, "PNG")
    heat_map = classifier.classify(ClassifyRequest(file.getvalue(), top_k=1, explain=True))["heat_map"]
    values = np.array(heat_map["values"])
    assert values.shape == (32, 32)
    assert (values[:, 18:] == 1).all()
    assert (values[:, :14] == -1).all()
    assert np.abs(values).max() == 1
    assert heat_map["label"] == "red"
    assert heat_map["crop"] == pytest.approx(32 / 37)  # as the card says


def test_only_what_is_asked_for_is_taken_from_the_model(classifier: Classifier) -> None:
    assert "heat_map" not in classifier.classify(ClassifyRequest(picture(), top_k=1))


def test_a_bad_image_does_not_hurt_the_next(classifier: Classifier) -> None:
    with pytest.raises(ImageError):
        classifier.classify(ClassifyRequest(picture()[:200], top_k=1))
    assert classifier.classify(ClassifyRequest(picture(), top_k=1))["label"] == "red"


def test_answers_from_many_threads_are_the_callers_own(classifier: Classifier) -> None:
    colours = ["red", "lime", "blue"] * 20
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda colour: classifier.classify(ClassifyRequest(picture(colour), top_k=1))["label"], colours)
        )
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


@pytest.mark.parametrize(("content", "reason"), [("{", "damaged"), ('{"labels": ["a"]}', "lacks run, image_size")])
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
