"""Copies of model files with another head, which tell of the network what the served head would hide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.training.export.conftest import Exported, noise
from training.export.onnx_model import OnnxModel
from training.export.other_head import write_with_head
from training.export.quantization import quantize
from training.model.classifier import Classifier


def other_head(exported: Exported) -> nn.Linear:
    """One whose answers differ clearly, in weight and in bias."""
    torch.manual_seed(1)
    head = nn.Linear(exported.head.in_features, exported.head.out_features)
    with torch.no_grad():
        logits = head(exported.backbone(torch.from_numpy(noise(6))))
        head.weight *= 5 / logits.std()
        head.bias.add_(torch.tensor([1.0, 0.0, -1.0]))
    return head


def test_the_copy_answers_as_a_classifier_with_that_head(exported: Exported, tmp_path: Path) -> None:
    head, images = other_head(exported), noise(6)
    write_with_head(exported.file, tmp_path / "copy.onnx", head=head)
    with torch.inference_mode():
        expected = Classifier(backbone=exported.backbone, head=head, temperature=exported.temperature)(
            torch.from_numpy(images)
        ).numpy()
    np.testing.assert_allclose(OnnxModel(tmp_path / "copy.onnx").probabilities(images), expected, atol=1e-5)
    assert np.abs(OnnxModel(exported.file).probabilities(images) - expected).max() > 0.01


def test_the_copy_of_an_int8_file_is_in_int8(exported: Exported, tmp_path: Path) -> None:
    int8, copy, images = tmp_path / "int8.onnx", tmp_path / "copy.onnx", noise(6)
    quantize(exported.file, int8, images=noise(16))
    write_with_head(int8, copy, head=other_head(exported))
    assert copy.stat().st_size == int8.stat().st_size
    write_with_head(copy, tmp_path / "back.onnx", head=exported.head)
    back = OnnxModel(tmp_path / "back.onnx").probabilities(images)
    np.testing.assert_array_equal(back, OnnxModel(int8).probabilities(images))
    assert np.abs(OnnxModel(copy).probabilities(images) - back).max() > 0.01


def test_a_head_of_another_shape_is_refused(exported: Exported, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"head\.weight .* has the shape \(3, \d+\), not \(4, \d+\)"):
        write_with_head(exported.file, tmp_path / "copy.onnx", head=nn.Linear(exported.head.in_features, 4))
