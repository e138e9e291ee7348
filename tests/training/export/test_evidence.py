"""The evidence of exported files: in float32 and int8, with and without averaging, and where it is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from tests.training.model.tiny import tiny_backbone, tiny_head
from training.export.distance_weights import write_with_parts
from training.export.evidence_check import settle_evidence
from training.export.onnx_export import export
from training.export.onnx_model import OnnxModel
from training.export.other_head import write_with_head
from training.export.quantization import quantize
from training.model.classifier import Classifier
from training.model.distance import fit_distance
from training.model.evidence import Explained, find_evidence
from training.model.served import ServedModel
from training.model.weights import untrained_backbone

pytestmark = pytest.mark.shipped_exporter

SIZE = 64


def noise(number: int) -> NDArray[np.uint8]:
    return np.random.default_rng(number).integers(0, 256, size=(number, SIZE, SIZE, 3), dtype=np.uint8)


def classifier_of(name: str, *, average_mirrored: bool = False) -> Classifier:
    torch.manual_seed(0)
    backbone = untrained_backbone(name, image_size=SIZE)
    with torch.inference_mode():
        features = backbone(torch.from_numpy(noise(4)))
    head = nn.Linear(features.shape[1], 4).requires_grad_(False)
    head.weight *= 2 / head(features).std()
    return Classifier(backbone=backbone, head=head, temperature=1.5, average_mirrored=average_mirrored).eval()


def exported(classifier: Classifier, file: Path) -> Path:
    evidence = find_evidence(classifier.backbone, classifier.head)
    assert evidence is not None
    export(classifier, file, image_size=SIZE, evidence=evidence)
    return file


def of_pytorch(classifier: Classifier, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    with torch.inference_mode():
        found: NDArray[np.float32] = classifier(torch.from_numpy(images)).numpy()
    return found


@pytest.mark.parametrize("average_mirrored", [False, True])
def test_the_evidence_of_both_precisions_adds_up_and_is_pytorchs(average_mirrored: bool, tmp_path: Path) -> None:
    classifier = classifier_of("resnet18", average_mirrored=average_mirrored)
    fp32, int8, images = exported(classifier, tmp_path / "fp32.onnx"), tmp_path / "int8.onnx", noise(5)
    quantize(fp32, int8, images=noise(16))
    for file in (fp32, int8):
        check = settle_evidence(file, classifier, images=images)
        assert check.difference is not None
        assert check.difference < 1e-4
        assert "adds up to its logit" in check.line()

    evidence = find_evidence(classifier.backbone, classifier.head)
    assert evidence is not None
    with torch.inference_mode():
        _, expected = Explained(classifier, classifier=classifier, evidence=evidence)(torch.from_numpy(images))
    found = OnnxModel(fp32).evidence(images)
    assert found is not None
    assert found.shape == (5, 2, 2)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-4 * float(expected.abs().max()))

    # the int8 file's is that of its own activations: another, but much alike
    of_int8 = OnnxModel(int8).evidence(images)
    assert of_int8 is not None
    assert 0 < np.abs(of_int8 - found).max() < 0.5 * np.abs(found).max()


def test_averaging_turns_the_mirror_images_map_back(tmp_path: Path) -> None:
    classifier = classifier_of("resnet18", average_mirrored=True)
    model, images = OnnxModel(exported(classifier, tmp_path / "model.onnx")), noise(3)
    found, mirrored = model.evidence(images), model.evidence(np.ascontiguousarray(images[:, :, ::-1]))
    assert found is not None
    assert mirrored is not None
    np.testing.assert_allclose(mirrored, found[:, :, ::-1], atol=1e-4)
    assert np.abs(found - found[:, :, ::-1]).max() > 0.01


def test_the_probabilities_and_the_weights_names_stay_as_they_are(tmp_path: Path) -> None:
    classifier = classifier_of("resnet18")
    plain = tmp_path / "plain.onnx"
    export(classifier, plain, image_size=SIZE)
    file, images = exported(classifier, tmp_path / "model.onnx"), noise(3)
    assert [output.name for output in onnx.load(file).graph.output] == ["probabilities", "evidence"]
    np.testing.assert_allclose(OnnxModel(file).probabilities(images), OnnxModel(plain).probabilities(images), atol=1e-6)
    np.testing.assert_allclose(OnnxModel(file).probabilities(images), of_pytorch(classifier, images), atol=1e-5)

    # a file that is judged has another head
    other = nn.Linear(classifier.head.get_parameter("weight").shape[1], 4)
    write_with_head(file, tmp_path / "judged.onnx", head=other)
    classifier.head = other
    judged = OnnxModel(tmp_path / "judged.onnx").probabilities(images)
    np.testing.assert_allclose(judged, of_pytorch(classifier, images), atol=1e-4)


def test_a_file_without_evidence_gives_none(tmp_path: Path) -> None:
    classifier = classifier_of("resnet18")
    export(classifier, tmp_path / "model.onnx", image_size=SIZE)
    assert OnnxModel(tmp_path / "model.onnx").evidence(noise(2)) is None
    check = settle_evidence(tmp_path / "model.onnx", classifier, images=noise(2))
    assert not check.exact
    assert "no heat maps: the head does not read averages" in check.line()


def test_evidence_that_does_not_add_up_is_taken_out_of_the_file(tmp_path: Path) -> None:
    """As if the wrong map had been watched."""
    backbone = tiny_backbone(SIZE)
    classifier = Classifier(backbone=backbone, head=tiny_head(backbone)).eval()
    evidence = find_evidence(backbone, classifier.head)
    assert evidence is not None
    evidence.masks = evidence.masks * 1.5
    file, images = tmp_path / "model.onnx", noise(4)
    export(classifier, file, image_size=SIZE, evidence=evidence)
    before = OnnxModel(file).probabilities(images)
    check = settle_evidence(file, classifier, images=images)
    assert not check.exact
    assert "differs from its logit by" in check.line()
    assert OnnxModel(file).evidence(images) is None
    np.testing.assert_array_equal(OnnxModel(file).probabilities(images), before)


def test_the_distance_stands_beside_the_evidence(tmp_path: Path) -> None:
    classifier = classifier_of("resnet18")
    evidence = find_evidence(classifier.backbone, classifier.head)
    with torch.inference_mode():
        features = classifier.backbone(torch.from_numpy(noise(12))).numpy()
    distance = fit_distance(
        features[np.newaxis], np.arange(12) % 4, levels=classifier.backbone.level_sizes(image_size=SIZE), seed=0
    )
    file, images = tmp_path / "model.onnx", noise(3)
    export(ServedModel(classifier=classifier, distance=distance), file, image_size=SIZE, evidence=evidence)
    assert [output.name for output in onnx.load(file).graph.output] == ["probabilities", "distance", "evidence"]
    assert settle_evidence(file, classifier, images=images).exact

    # what is changed in the file later is found by the names that it has without evidence
    write_with_parts(file, tmp_path / "parts.onnx")
    write_with_head(tmp_path / "parts.onnx", tmp_path / "parts.onnx", head=nn.Linear(features.shape[1], 4))
    assert set(OnnxModel(tmp_path / "parts.onnx")(images).others) == {"distance", "evidence", "parts"}
