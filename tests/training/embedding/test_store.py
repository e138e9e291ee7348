"""Arrays on disk: how numbers are kept, and that memory does not grow with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import contract
from training.data.positioned_files import DiskRows, Lines
from training.embedding.files import Names, SplitWriter, floats, rounded
from training.embedding.store import read_split


def records_of(count: int) -> list[contract.ImageRecord]:
    return [{"path": f"class/é {at}.jpg", "label": at % 3, "split": "train", "etag": f"e{at}"} for at in range(count)]


def write(folder: Path, values: np.ndarray[Any, np.dtype[np.float32]], positions: list[int], **options: Any) -> None:
    folder.mkdir(exist_ok=True)
    (folder / contract.Artefact.FEATURES_INDEX).write_text("{}")
    _, views, dim = values.shape
    records = records_of(len(positions))
    with SplitWriter(folder, split="train", views=views, dim=dim, **{"precision": "float32", **options}) as writer:
        for start in range(0, len(positions), 4):
            part = slice(start, start + 4)
            writer.add(values[part], records=records[part], positions=positions[part])


def test_bfloat16_is_rounded_as_torch_rounds() -> None:
    values = np.random.default_rng(0).normal(scale=100, size=5000).astype(np.float32)
    values[:4] = (0.0, -0.0, 1 + 2**-8, 1 + 3 * 2**-8)  # the last two lie halfway between neighbours
    expected = torch.from_numpy(values).to(torch.bfloat16).to(torch.float32).numpy()
    np.testing.assert_array_equal(floats(rounded(values, "bfloat16")), expected)


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 0.0), ("float16", 2**-11), ("bfloat16", 2**-8)])
def test_features_come_back_in_the_manifests_order(tmp_path: Path, precision: str, tolerance: float) -> None:
    values = np.random.default_rng(0).normal(size=(10, 3, 5)).astype(np.float32)
    positions = [9, 0, 8, 1, 7, 2, 6, 3, 5, 4]
    write(tmp_path, values, positions, precision=precision)
    split = read_split(tmp_path, "train")
    order = np.argsort(positions)
    expected = values[order].transpose(1, 0, 2)
    assert split.features.shape == (3, 10, 5)
    np.testing.assert_allclose(np.asarray(split.features), expected, rtol=tolerance)
    np.testing.assert_allclose(split.features[1][2:7], expected[1, 2:7], rtol=tolerance)
    np.testing.assert_allclose(split.features[:2], expected[:2], rtol=tolerance)
    views, images = np.array([2, 0, 1]), np.array([9, 3, 3])
    np.testing.assert_allclose(split.features[views, images], expected[views, images], rtol=tolerance)
    assert list(split.paths) == [f"class/é {at}.jpg" for at in order]
    assert split.paths[-1] == f"class/é {order[-1]}.jpg"
    assert split.labels.tolist() == [at % 3 for at in order]


def test_the_array_is_a_plain_npy_file(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(10, 3, 5)).astype(np.float32)
    write(tmp_path, values, list(range(10)))
    np.testing.assert_array_equal(np.load(tmp_path / Names("train").features, mmap_mode="r"), values)


def resident() -> int:
    """Bytes of files in this process's memory."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["RssFile"].split()[0]) * 1024


@pytest.mark.parametrize("order", ["ascending", "random"])
def test_walking_over_a_large_array_does_not_fill_the_memory(tmp_path: Path, order: str) -> None:
    file, count = tmp_path / "large.npy", 40_000
    np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=(count, 5, 1024))[:] = 1  # 200 MB
    numbers = np.arange(count)
    if order == "random":
        numbers = np.random.default_rng(0).permutation(numbers)
    before, stored = resident(), DiskRows.of_npy(file)
    for picked in np.split(numbers, count // 500):
        assert stored.cells(picked, picked % 5).sum() == 500 * 1024
    assert resident() - before < 20 * 2**20


def test_rows_are_read_and_written_by_number(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 255, size=(6, 2, 3), dtype=np.uint16)
    np.save(tmp_path / "values.npy", values)
    stored = DiskRows.of_npy(tmp_path / "values.npy")
    assert (len(stored), stored.shape, stored.dtype) == (6, (6, 2, 3), np.dtype(np.uint16))
    np.testing.assert_array_equal(stored.rows(np.array([5, 0, 5])), values[[5, 0, 5]])
    np.testing.assert_array_equal(stored.cells(np.array([5, 0]), np.array([1, 0])), values[[5, 0], [1, 0]])
    assert stored.rows(np.zeros(0, dtype=np.int64)).shape == (0, 2, 3)
    (tmp_path / "plain").write_bytes(bytes(6 * 12))
    plain = DiskRows(tmp_path / "plain", shape=(6, 2, 3), dtype=np.uint16, write=True)
    plain.write(4, values[4])
    np.testing.assert_array_equal(plain.rows(np.array([3, 4])), np.stack([np.zeros((2, 3)), values[4]]))


def test_a_file_cut_short_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    np.save(tmp_path / "values.npy", np.zeros((6, 2, 3)))
    stored = DiskRows.of_npy(tmp_path / "values.npy")
    with (tmp_path / "values.npy").open("r+b") as file:
        file.truncate(200)
    with pytest.raises(OSError, match="ends before row 5"):
        stored.rows(np.array([0, 5]))


def test_lines_are_found_by_number(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    long = "x" * 5000
    file.write_text(f"eins\n\n  \nzwei é\n{long}\n{'y' * 512}\ndrei", encoding="utf-8")
    lines = Lines(file)
    assert [lines[at].decode() for at in range(len(lines))] == ["eins", "zwei é", long, "y" * 512, "drei"]
    file.write_text("")
    assert len(Lines(file)) == 0
