"""The examination of a run's photos: over all splits, from the features of the run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import contract
from tests.training.conftest import Workspace
from training.data.manifest import read_manifest
from training.doctor.of_run import examine_run
from training.embedding.files import SplitWriter, write_index
from training.embedding.store import read_index

CLASSES = ["cat", "dog"]
LEVELS = [8, 64]


@pytest.fixture
def run(workspace: Workspace) -> Workspace:
    """Features of 60 photos: one has a wrong label, one a copy in another split, and one more could not be read."""
    # two clouds of features, and a copy of a test photo in training
    rng = np.random.default_rng(1)
    centres = rng.normal(0, 1, (2, sum(LEVELS)))
    sizes: dict[contract.SplitName, int] = {"train": 40, "validation": 10, "test": 10}
    rows = {
        split: (centres[np.arange(size) % 2] + rng.normal(0, 0.5, (size, sum(LEVELS)))).astype(np.float32)
        for split, size in sizes.items()
    }
    rows["train"][6] = rows["test"][4]

    index: contract.FeaturesIndex = {
        "backbone": "b",
        "weights": "w",
        "image_size": 224,
        "resize": 256,
        "interpolation": "bilinear",
        "levels": LEVELS,
        "dim": sum(LEVELS),
        "views": {"train": 2, "validation": 1, "test": 1},
        "seed": 0,
        "augmentation": {},
        "precision": "float32",
        "version": contract.FEATURES_VERSION,
        "key": "k",
        "classes": CLASSES,
        "counts": dict(sizes),
        "broken": ["cat/broken.jpg"],
        "part": {"number": 0, "of": 1},
        "files": [],
    }

    # the features and the records of each split; one label is wrong
    every: list[contract.ImageRecord] = []
    for split, size in sizes.items():
        labels = [1 if (split, at) == ("validation", 2) else at % 2 for at in range(size)]
        records: list[contract.ImageRecord] = [
            {"path": f"{CLASSES[label]}/{split}-{at}.jpg", "label": label, "split": split, "etag": "e"}
            for at, label in enumerate(labels)
        ]
        views = index["views"][split]
        folder = workspace.folder("features")
        with SplitWriter(folder, split=split, views=views, dim=sum(LEVELS), precision="float32") as writer:
            # the augmented view is another picture, which must not count
            pictures = np.stack([rows[split], -rows[split]][:views], axis=1)
            writer.add(pictures, records=records, positions=range(size))
        every += records

    # the manifest has the photo that could not be read, too
    every.append({"path": "cat/broken.jpg", "label": 0, "split": "train", "etag": "e"})
    workspace.write_manifest(every, classes=CLASSES)
    write_index(workspace.folder("features"), index)
    return workspace


def check(root: Path) -> contract.DatasetCheck | None:
    folder, index = read_index(root / "features")
    return examine_run(folder, index=index, manifest=read_manifest(root / "manifest"))


def test_wrong_labels_copies_and_damaged_photos_of_all_splits_are_named(run: Workspace) -> None:
    found = check(run.root)
    assert found is not None
    assert (found["photos"], found["classes"]) == (61, CLASSES)
    assert [(f["kind"], f["path"], f["split"], f["suggested"], f["other"]) for f in found["findings"]] == [
        ("unreadable", "cat/broken.jpg", "train", None, None),
        ("label", "dog/validation-2.jpg", "validation", 0, found["findings"][1]["other"]),
        ("copy", "cat/train-6.jpg", "train", None, "cat/test-4.jpg"),
    ]


def test_too_many_photos_are_left_to_the_command(run: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contract.MOST_EXAMINED_PHOTOS", 59)
    assert check(run.root) is None
