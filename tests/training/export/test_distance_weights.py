"""The threshold of the distance: by how many photos, and in the files themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from tests.training.conftest import IMAGE_SIZE
from tests.training.export.conftest import Exported, noise
from training.export.distance_weights import PARTS_OUTPUT, Calibrated, calibrate, write_calibrated, write_with_parts
from training.export.onnx_export import check_export, export
from training.export.onnx_model import OnnxModel
from training.export.quantization import quantize
from training.model.distance import PARTS
from training.runtime.environment import JobError

pytestmark = pytest.mark.shipped_exporter


def drawn(photos: int, *, seed: int = 0) -> NDArray[np.float32]:
    """Parts of photos of known classes."""
    rng = np.random.default_rng(seed)
    parts = np.abs(rng.normal(size=(photos, len(PARTS)))) * [100, 10, -5, 0.3] + [300, 20, 0, 0]
    return parts.astype(np.float32)


def distances(parts: NDArray[np.float32], calibrated: Calibrated) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.maximum(parts - calibrated.offsets, 0) @ calibrated.weights.astype(np.float64)
    return found


@pytest.mark.parametrize(("photos", "above"), [(19, 0), (20, 0), (39, 1), (100, 4), (399, 19)])
def test_the_threshold_is_the_one_of_split_conformal_prediction(photos: int, above: int) -> None:
    """The ceil((n + 1) x 0.95)-th smallest: of 39 the 38th, of 100 the 96th."""
    parts = drawn(photos)
    calibrated = calibrate(parts)
    assert (distances(parts, calibrated) > 1).sum() == above
    assert distances(parts, calibrated)[distances(parts, calibrated) <= 1].max() == pytest.approx(1, abs=1e-4)
    assert (calibrated.share, calibrated.photos) == (0.95, photos)


@pytest.mark.parametrize("photos", [1, 2, 5, 18])
def test_few_photos_promise_less_and_say_so(photos: int) -> None:
    parts = drawn(photos)
    calibrated = calibrate(parts)
    assert calibrated.share == pytest.approx(photos / (photos + 1))
    assert (distances(parts, calibrated) <= 1).all()


def test_other_known_photos_are_known_as_often_as_promised() -> None:
    known = [(distances(drawn(1000, seed=1), calibrate(drawn(60, seed=seed))) <= 1).mean() for seed in range(2, 60)]
    assert np.mean(known) == pytest.approx(0.95, abs=0.015)


def test_a_single_odd_photo_among_the_known_ones_hides_no_others() -> None:
    """A validation digit was 400,000 times as far as the usual one, and clothes counted as digits."""
    parts = drawn(100)
    parts[17, :2] = [7e8, 1e6]
    calibrated = calibrate(parts)
    usual = np.median(parts, axis=0)
    far = usual + np.array([20 * 100, 20 * 10, 0, 0], dtype=np.float32)
    assert distances(far[np.newaxis], calibrated)[0] > 1
    assert (distances(parts, calibrated) > 1).sum() == 4, "the promise is kept"


def test_each_part_alone_can_make_a_photo_unknown() -> None:
    parts = drawn(200)
    calibrated = calibrate(parts)
    usual = np.median(parts, axis=0)
    assert distances(usual[np.newaxis], calibrated)[0] < 1
    for part in range(len(PARTS)):
        odd = usual.copy()
        odd[part] += 12 * parts[:, part].std()
        assert distances(odd[np.newaxis], calibrated)[0] > 1, PARTS[part]


@pytest.mark.parametrize("parts", [np.zeros((50, 4)), np.full((50, 4), 7.0), np.full((1, 4), 1e8)])
def test_photos_that_are_all_alike_are_known(parts: NDArray[np.float64]) -> None:
    calibrated = calibrate(parts.astype(np.float32))
    assert np.isfinite(calibrated.weights).all()
    assert (distances(parts.astype(np.float32), calibrated) <= 1).all()
    odd = parts.astype(np.float32)
    odd[:, 0] += 1e9
    assert (distances(odd, calibrated) > 1).all()


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_file_gets_its_own_offsets_and_weights(exported: Exported, tmp_path: Path, precision: str) -> None:
    file, images = tmp_path / "model.onnx", noise(20)
    if precision == "int8":
        quantize(exported.file, file, images=noise(16))
    else:
        file.write_bytes(exported.file.read_bytes())
    write_with_parts(file, tmp_path / "parts.onnx")
    judged = OnnxModel(tmp_path / "parts.onnx")(images)
    assert set(judged.others) == {"distance", PARTS_OUTPUT}

    calibrated = calibrate(judged.others[PARTS_OUTPUT])
    write_calibrated(file, calibrated)
    served = OnnxModel(file)(images)
    assert set(served.others) == {"distance"}
    expected = distances(judged.others[PARTS_OUTPUT], calibrated)
    np.testing.assert_allclose(served.others["distance"], expected, rtol=1e-3, atol=1e-4)
    assert (served.others["distance"] <= 1).all(), "all twenty photos, by which it was calibrated"
    np.testing.assert_array_equal(served.probabilities, judged.probabilities)
    np.testing.assert_allclose(OnnxModel(file)(images[:1]).others["distance"], expected[:1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("averages", [False, True])
def test_the_file_gives_pytorchs_distance(exported: Exported, tmp_path: Path, averages: bool) -> None:
    """A photo and its mirror image have the same distance where the model averages, that of their mean features."""
    model, file, images = exported.served(average_mirrored=averages), tmp_path / "model.onnx", noise(5)
    export(model, file, image_size=IMAGE_SIZE)
    assert check_export(model, file, images=images) < 1e-5
    found = OnnxModel(file)(images).others["distance"]
    mirrored = OnnxModel(file)(np.ascontiguousarray(images[:, :, ::-1])).others["distance"]
    assert np.allclose(found, mirrored, rtol=1e-4) is averages


def test_a_file_with_another_distance_is_not_served(exported: Exported, tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(exported.file.read_bytes())
    ones = np.ones(len(PARTS), dtype=np.float32)
    write_calibrated(file, Calibrated(offsets=0 * ones, weights=2 * ones, share=0.95, photos=100))
    with torch.inference_mode(), pytest.raises(JobError, match=r"distances differ from PyTorch's.*choose another"):
        check_export(exported.served(), file, images=noise(3))


def test_a_file_without_a_distance_is_told_so(exported: Exported, tmp_path: Path) -> None:
    file = tmp_path / "plain.onnx"
    export(exported.served().classifier, file, image_size=IMAGE_SIZE)
    assert [output.name for output in onnx.load(file).graph.output] == ["probabilities"]
    with pytest.raises(ValueError, match=r"plain\.onnx has no distance\.offsets"):
        write_with_parts(file, tmp_path / "parts.onnx")
    ones = np.ones(len(PARTS), dtype=np.float32)
    with pytest.raises(ValueError, match=r"plain\.onnx has no"):
        write_calibrated(file, Calibrated(offsets=ones, weights=ones, share=0.95, photos=1))
