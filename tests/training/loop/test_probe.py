"""The head that fine-tuning begins with: how well it does, and what it takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

import contract
from training.embedding.store import SplitFeatures
from training.loop.head_loop import head_logits
from training.loop.probe import probed_head

ROOT = Path(__file__).parents[3]

PEAK = """
import resource
import sys
from pathlib import Path

import numpy as np
import torch

import contract
from training.embedding.files import SplitWriter
from training.embedding.store import read_split
from training.loop.probe import probed_head

torch.set_num_threads(1)
folder, photos, dim = Path(sys.argv[1]), int(sys.argv[2]), 2048
(folder / contract.Artefact.FEATURES_INDEX).write_text("{}")
rng = np.random.default_rng(0)
with SplitWriter(folder, split="train", views=2, dim=dim, precision="bfloat16") as writer:
    for start in range(0, photos, 100):
        positions = list(range(start, start + 100))
        records = [{"path": f"{at}.jpg", "label": at % 3, "split": "train", "etag": "e"} for at in positions]
        writer.add(rng.normal(size=(100, 2, dim)).astype(np.float32), records=records, positions=positions)
split = read_split(folder, "train")
probed_head(split, levels=[dim], classes=3, hyperparameters=contract.Hyperparameters(mode="finetune"))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""
"""Writes features of so many photos, trains a probe on them, and prints the peak of the process's memory."""


def peak(folder: Path, *, photos: int) -> int:
    folder.mkdir()
    result = subprocess.run(
        [sys.executable, "-c", PEAK, str(folder), str(photos)], capture_output=True, text=True, cwd=ROOT, timeout=300
    )
    assert result.returncode == 0, result.stderr
    return int(result.stdout)


def test_the_probes_memory_does_not_grow_with_the_photos(tmp_path: Path) -> None:
    few, many = peak(tmp_path / "few", photos=4_500), peak(tmp_path / "many", photos=9_000)
    size_of_the_added = 4_500 * 2 * 2048 * 4
    assert many - few < size_of_the_added / 4


def test_the_probe_knows_the_classes() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(600) % 3
    features = rng.normal(size=(2, 600, 8)) + 3 * np.eye(8)[labels]
    train = SplitFeatures(features=features.astype(np.float32), labels=labels, paths=[""] * 600)
    head = probed_head(train, levels=[8], classes=3, hyperparameters=contract.Hyperparameters(mode="finetune"))
    assert (head_logits(head, train).argmax(axis=1) == labels).mean() > 0.95
