"""Averaging over a photo and its mirror image, in PyTorch and in the exported files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from tests.training.conftest import BACKBONE, IMAGE_SIZE, Workspace
from training.export.onnx_export import export
from training.export.onnx_model import OnnxModel
from training.export.quantization import quantize
from training.model.classifier import Classifier
from training.model.weights import load_backbone

pytestmark = pytest.mark.shipped_exporter

PHOTOS = np.random.default_rng(0).integers(0, 255, size=(5, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
MIRRORED = np.ascontiguousarray(PHOTOS[:, :, ::-1])


@pytest.fixture(scope="module")
def classifiers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Classifier, Classifier]:
    """One that takes photos as they are, and one that averages, of the same weights."""
    with pytest.MonkeyPatch.context() as patch:
        workspace = Workspace(root=tmp_path_factory.mktemp("classifier"), monkeypatch=patch)
        workspace.write_weights()
        workspace.start(channels=("weights",))
        backbone, _ = load_backbone(BACKBONE, image_size=IMAGE_SIZE)
    with torch.inference_mode():
        features = backbone(torch.from_numpy(PHOTOS))
    torch.manual_seed(0)
    head = nn.Linear(features.shape[1], 3)
    with torch.no_grad():
        head.weight *= 5 / head(features).std()
    plain, averaging = (
        Classifier(backbone=backbone, head=head, temperature=1.5, average_mirrored=averages).eval()
        for averages in (False, True)
    )
    return plain, averaging


@pytest.fixture(scope="module")
def exported(classifiers: tuple[Classifier, Classifier], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The averaging one's file, which the tests only read."""
    file = tmp_path_factory.mktemp("exported") / "fp32.onnx"
    export(classifiers[1], file, image_size=IMAGE_SIZE)
    return file


def logits(classifier: Classifier, photos: np.typing.NDArray[np.uint8]) -> Tensor:
    with torch.inference_mode():
        found: Tensor = classifier.head(classifier.backbone(torch.from_numpy(photos)))
    return found


def test_averaging_takes_the_mean_of_the_logits_of_both(classifiers: tuple[Classifier, Classifier]) -> None:
    plain, averaging = classifiers
    expected = torch.softmax((logits(plain, PHOTOS) + logits(plain, MIRRORED)) / 2 / 1.5, dim=1)
    with torch.inference_mode():
        found, without = averaging(torch.from_numpy(PHOTOS)), plain(torch.from_numpy(PHOTOS))
    torch.testing.assert_close(found, expected)
    assert (found - without).abs().max() > 0.01


def test_a_photo_and_its_mirror_image_get_the_same_answer_from_the_file(exported: Path) -> None:
    """Each for itself and in any company."""
    model = OnnxModel(exported)
    together = model.probabilities(PHOTOS)
    np.testing.assert_allclose(model.probabilities(MIRRORED), together, atol=1e-6)
    np.testing.assert_allclose(model.probabilities(PHOTOS[3:4]), together[3:4], atol=1e-6)
    assert np.abs(together[0] - together[1]).max() > 0.01


def test_the_file_averages_as_pytorch_does(classifiers: tuple[Classifier, Classifier], exported: Path) -> None:
    plain, averaging = classifiers
    with torch.inference_mode():
        with_it, without = (each(torch.from_numpy(PHOTOS)).numpy() for each in (averaging, plain))
    np.testing.assert_allclose(OnnxModel(exported).probabilities(PHOTOS), with_it, atol=1e-5)
    assert np.abs(OnnxModel(exported).probabilities(PHOTOS) - without).max() > 0.01


def test_the_file_takes_one_photo_and_needs_no_operation_of_its_own(exported: Path) -> None:
    model = onnx.load(exported)
    (image,) = model.graph.input
    assert [dimension.dim_value for dimension in image.type.tensor_type.shape.dim][1:] == [IMAGE_SIZE, IMAGE_SIZE, 3]
    assert {node.domain for node in model.graph.node} == {""}
    assert {node.op_type for node in model.graph.node} & {"Slice", "Concat"} == {"Slice", "Concat"}


def test_int8_averages_too(exported: Path, tmp_path: Path) -> None:
    quantize(exported, tmp_path / "int8.onnx", images=PHOTOS)
    model = OnnxModel(tmp_path / "int8.onnx")
    found = model.probabilities(PHOTOS)
    np.testing.assert_allclose(model.probabilities(MIRRORED), found, atol=1e-4)
    assert np.abs(found - OnnxModel(exported).probabilities(PHOTOS)).max() < 0.2
