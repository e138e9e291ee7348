from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from tests.training.conftest import BACKBONE, IMAGE_SIZE, Workspace
from training.export.onnx_export import export
from training.export.onnx_model import OnnxModel, milliseconds_an_image
from training.export.quantization import can_be_quantized, quantize
from training.model.classifier import Classifier
from training.model.weights import load_backbone


def noise(images: int) -> NDArray[np.uint8]:
    return np.random.default_rng(images).integers(0, 255, size=(images, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The float model, exported once for all tests of this file, which only read it."""
    folder = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        workspace = Workspace(root=folder, monkeypatch=patch)
        workspace.write_weights()
        workspace.start(channels=("weights",))
        backbone, _ = load_backbone(BACKBONE, image_size=IMAGE_SIZE)
    with torch.inference_mode():
        features = backbone(torch.from_numpy(noise(4)))
    torch.manual_seed(0)
    head = nn.Linear(features.shape[1], 3)
    file = folder / "fp32.onnx"
    export(Classifier(backbone=backbone, head=head, temperature=2.0).eval(), file, image_size=IMAGE_SIZE)
    return file


def test_the_int8_file_is_smaller_and_answers_nearly_alike_in_any_batch_size(exported: Path, tmp_path: Path) -> None:
    int8 = tmp_path / "int8.onnx"
    quantize(exported, int8, images=noise(40))
    assert int8.stat().st_size < 0.6 * exported.stat().st_size
    images = noise(5)
    expected, found = OnnxModel(exported).probabilities(images), OnnxModel(int8).probabilities(images)
    assert np.abs(found - expected).max() < 0.1
    np.testing.assert_allclose(OnnxModel(int8).probabilities(images[:1]), found[:1], atol=1e-4)
    assert len(milliseconds_an_image([exported, int8], image=images[:1])) == 2


def test_weights_leave_room_for_sums_on_old_processors(exported: Path, tmp_path: Path) -> None:
    """8-bit weights overflow 16-bit sums on CPUs without VNNI; 7-bit ones do not."""
    quantize(exported, tmp_path / "int8.onnx", images=noise(16))
    weights = [
        onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load(tmp_path / "int8.onnx").graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) == 4
    ]
    assert weights
    assert max(int(np.abs(weight.astype(int)).max()) for weight in weights) <= 64


def test_normalisation_and_head_stay_in_float(exported: Path, tmp_path: Path) -> None:
    quantize(exported, tmp_path / "int8.onnx", images=noise(16))
    graph = onnx.load(tmp_path / "int8.onnx").graph
    made_by = {output: node.op_type for node in graph.node for output in node.output}
    (head,) = [node for node in graph.node if node.op_type == "Gemm"]
    (first, *_) = [node for node in graph.node if node.op_type == "Conv"]
    assert "DequantizeLinear" not in {made_by.get(name) for node in (head, first) for name in node.input}


def test_a_network_without_convolutions_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "none.onnx"
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], [])), file)
    assert not can_be_quantized(file)
