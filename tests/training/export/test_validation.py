"""Validation photos as judges: of files with a head that has not learnt from them, and of mirror averaging."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

import contract
from tests.training.conftest import IMAGE_SIZE
from tests.training.export.conftest import Exported
from training.evaluation.served_photos import Crop
from training.export import validation
from training.export.onnx_export import export
from training.export.validation import Validated, validate
from training.model.classifier import Classifier
from training.preprocess import ImageError

pytestmark = pytest.mark.shipped_exporter

COUNT = 10


@pytest.fixture
def photos() -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 255, size=(COUNT, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)


@pytest.fixture
def records() -> list[contract.ImageRecord]:
    return [{"path": f"{at}", "label": at % 3, "split": "validation", "etag": ""} for at in range(COUNT)]


@pytest.fixture
def classifier(exported: Exported) -> Classifier:
    return Classifier(backbone=exported.backbone, head=exported.head, temperature=exported.temperature).eval()


def biased(exported: Exported, *, to: int) -> nn.Linear:
    """A head that answers one class, whatever it sees."""
    head = nn.Linear(exported.head.in_features, exported.head.out_features)
    nn.init.zeros_(head.weight)
    with torch.no_grad():
        head.bias.copy_(torch.eye(3)[to] * 10)
    return head


Validate = Callable[..., Validated]


@pytest.fixture
def validated(
    exported: Exported, classifier: Classifier, records: list[contract.ImageRecord], photos: NDArray[np.uint8]
) -> Validate:
    """Return a function that validates the exported file, or another one, classifier or way to see photos."""

    def validated(**given: Any) -> Validated:
        crop: Crop = given.pop("crop", lambda record: photos[int(record["path"])])
        return validate(
            {"fp32": given.pop("file", exported.file)},
            given.pop("classifier", classifier),
            validated_head=given.pop("validated_head", None),
            records=records,
            crop=crop,
            hyperparameters=contract.Hyperparameters(image_size=IMAGE_SIZE, **given),
        )

    return validated


def test_a_head_that_has_learnt_from_the_photos_does_not_judge_them(
    validated: Validate, exported: Exported, classifier: Classifier, photos: NDArray[np.uint8]
) -> None:
    with torch.inference_mode():
        served = classifier(torch.from_numpy(photos)).argmax(dim=1)
    assert not (served == 0).any()
    found = validated(validated_head=biased(exported, to=0))
    assert (found.predictions.predicted("fp32") == 0).all()
    assert found.predictions.accuracy("fp32") == pytest.approx(4 / COUNT)
    assert found.mirror_averaging is not None
    assert found.mirror_averaging["accuracy"] == pytest.approx(4 / COUNT)


def test_the_served_head_judges_where_it_has_not_learnt_from_them(
    validated: Validate, classifier: Classifier, photos: NDArray[np.uint8]
) -> None:
    found = validated()
    with torch.inference_mode():
        expected = classifier(torch.from_numpy(photos)).numpy()
    np.testing.assert_allclose(found.predictions.probabilities["fp32"], expected, atol=1e-5)


def test_the_parts_of_the_distance_are_by_the_head_that_has_not_learnt_from_the_photos(
    validated: Validate, exported: Exported, photos: NDArray[np.uint8]
) -> None:
    head = biased(exported, to=0)
    found = validated(validated_head=head).predictions.outputs["fp32"].others["parts"]
    with torch.inference_mode():
        features = exported.backbone(torch.from_numpy(photos))
        logits = head(features) / exported.temperature
        expected = exported.distance.parts(features, logits, torch.softmax(logits, dim=1)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_mirror_averaging_is_measured_alike_whether_it_is_served_or_not(
    validated: Validate, exported: Exported, classifier: Classifier, photos: NDArray[np.uint8], tmp_path: Path
) -> None:
    head = nn.Linear(exported.head.in_features, 3)
    with torch.no_grad():
        head.weight *= 5 / head(exported.backbone(torch.from_numpy(photos))).std(dim=0).mean()
    off = validated(validated_head=head)

    averaging = exported.served(average_mirrored=True)
    export(averaging, tmp_path / "fp32.onnx", image_size=IMAGE_SIZE)
    on = validated(classifier=averaging.classifier, validated_head=head, file=tmp_path / "fp32.onnx")

    assert off.mirror_averaging is not None
    assert on.mirror_averaging is not None
    assert (off.mirror_averaging["served"], on.mirror_averaging["served"]) == (False, True)
    for measured in ("accuracy", "averaged_accuracy", "loss", "averaged_loss", "loss_gain_error"):
        assert on.mirror_averaging[measured] == pytest.approx(off.mirror_averaging[measured], abs=1e-4)
    assert abs(off.mirror_averaging["averaged_loss"] - off.mirror_averaging["loss"]) > 0.01

    # what is said of the served model is what its file does
    of_labels = on.predictions.probabilities["fp32"][np.arange(COUNT), on.predictions.labels]
    assert -np.log(of_labels).mean() == pytest.approx(on.mirror_averaging["averaged_loss"], abs=1e-4)


def test_both_pictures_are_timed_in_one_batch(validated: Validate, monkeypatch: pytest.MonkeyPatch) -> None:
    timed: list[NDArray[np.uint8]] = []

    def median_milliseconds(calls: list[tuple[Path, NDArray[np.uint8]]]) -> list[float]:
        timed.extend(images for _, images in calls)
        return [10.0, 19.0]

    monkeypatch.setattr(validation, "median_milliseconds", median_milliseconds)
    found = validated()
    assert found.mirror_averaging is not None
    assert (found.mirror_averaging["milliseconds"], found.mirror_averaging["averaged_milliseconds"]) == (10.0, 19.0)
    alone, both = timed
    np.testing.assert_array_equal(both, [alone[0], alone[0, :, ::-1]])


def test_mirrored_digits_are_not_measured(validated: Validate) -> None:
    assert validated(flip=False).mirror_averaging is None


def test_mirror_averaging_is_measured_on_some_photos_only(validated: Validate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "MIRRORED_IMAGES", 4)
    found = validated()
    assert len(found.predictions.labels) == COUNT
    assert found.mirror_averaging is not None
    assert found.mirror_averaging["images"] == 4


def test_broken_validation_photos_are_left_out(validated: Validate, photos: NDArray[np.uint8]) -> None:
    def crop(record: contract.ImageRecord) -> NDArray[np.uint8]:
        if record["path"] in "036":
            raise ImageError("broken")
        pixels: NDArray[np.uint8] = photos[int(record["path"])]
        return pixels

    found = validated(crop=crop)
    assert found.predictions.paths == ["1", "2", "4", "5", "7", "8", "9"]
    assert found.predictions.labels.tolist() == [1, 2, 1, 2, 1, 2, 0]
