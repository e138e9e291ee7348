from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from tests.training.export.conftest import Exported, noise
from training.export.onnx_model import OnnxModel, median_milliseconds
from training.export.quantization import can_be_quantized, quantize


def test_the_int8_file_is_smaller_and_answers_alike_in_any_batch_size(exported: Exported, tmp_path: Path) -> None:
    int8 = tmp_path / "int8.onnx"
    quantize(exported.file, int8, images=noise(40))
    # the distance's statistics stay in float
    of_distance = sum(buffer.nbytes for buffer in exported.distance.buffers())
    assert int8.stat().st_size - of_distance < 0.6 * (exported.file.stat().st_size - of_distance)
    images = noise(5)
    expected, found = OnnxModel(exported.file).probabilities(images), OnnxModel(int8).probabilities(images)
    assert np.abs(found - expected).max() < 0.1
    np.testing.assert_allclose(OnnxModel(int8).probabilities(images[:1]), found[:1], atol=1e-4)
    assert len(median_milliseconds([(exported.file, images[:1]), (int8, images[:1])])) == 2


def test_weights_leave_room_for_sums_on_old_processors(exported: Exported, tmp_path: Path) -> None:
    """8-bit weights overflow 16-bit sums on CPUs without VNNI; 7-bit ones do not."""
    quantize(exported.file, tmp_path / "int8.onnx", images=noise(16))
    weights = [
        onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load(tmp_path / "int8.onnx").graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) == 4
    ]
    assert weights
    assert max(int(np.abs(weight.astype(int)).max()) for weight in weights) <= 64


def test_normalisation_and_head_stay_in_float(exported: Exported, tmp_path: Path) -> None:
    quantize(exported.file, tmp_path / "int8.onnx", images=noise(16))
    graph = onnx.load(tmp_path / "int8.onnx").graph
    made_by = {output: node.op_type for node in graph.node for output in node.output}
    (head,) = [node for node in graph.node if node.op_type == "Gemm"]
    (first, *_) = [node for node in graph.node if node.op_type == "Conv"]
    assert "DequantizeLinear" not in {made_by.get(name) for node in (head, first) for name in node.input}


def test_a_network_without_convolutions_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "none.onnx"
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], [])), file)
    assert not can_be_quantized(file)
