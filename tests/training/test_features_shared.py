"""Features in parts, one a host, and features that take over those of an earlier run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import contract
from tests.training.conftest import Workspace, photo
from training import features
from training.embedding import embedder
from training.embedding.store import read_index, read_split
from training.runtime.environment import JobError

CHANNELS = ("dataset", "manifest", "weights")
HOSTS = ["algo-1", "algo-2"]


def embed(workspace: Workspace, *, model: str, channels: tuple[str, ...] = CHANNELS, **values: object) -> Path:
    folder = workspace.start(channels=channels, model=model, **values)
    features.main()
    return folder


def embed_on(host: str, workspace: Workspace, *, model: str) -> None:
    workspace.monkeypatch.setenv("SM_HOSTS", json.dumps(HOSTS))
    workspace.monkeypatch.setenv("SM_CURRENT_HOST", host)
    embed(workspace, model=model)
    workspace.monkeypatch.delenv("SM_HOSTS")


@pytest.fixture
def filled(workspace: Workspace) -> Workspace:
    workspace.fill(each=20)
    workspace.write_weights()
    return workspace


@pytest.fixture
def embedded_paths(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of the photos that were put through the backbone from here on."""
    paths: list[str] = []
    original = embedder.views_of

    def watched(record: contract.ImageRecord, **others: object) -> object:
        paths.append(record["path"])
        return original(record, **others)  # type: ignore[arg-type]

    monkeypatch.setattr("training.embedding.embedder.views_of", watched)
    return paths


def test_two_hosts_embed_about_half_the_photos_each_and_none_twice(
    filled: Workspace, embedded_paths: list[str]
) -> None:
    shares = []
    for host in HOSTS:
        embedded_paths.clear()
        embed_on(host, filled, model="shared")
        shares.append(set(embedded_paths))
        assert len(shares[-1]) == len(embedded_paths)
    assert not shares[0] & shares[1]
    assert len(shares[0] | shares[1]) == 60
    assert min(map(len, shares)) >= 20

    embed(filled, model="alone")
    folder, index = read_index(filled.root / "shared")
    alone_folder, alone_index = read_index(filled.root / "alone")
    assert index["counts"] == alone_index["counts"]
    for split in contract.SPLITS:
        shared, alone = read_split(folder, split), read_split(alone_folder, split)
        assert list(shared.paths) == list(alone.paths)
        np.testing.assert_array_equal(shared.labels, alone.labels)
        np.testing.assert_allclose(np.asarray(shared.features), np.asarray(alone.features), rtol=0.05, atol=0.05)


def test_a_part_that_is_missing_is_noticed(filled: Workspace) -> None:
    embed_on(HOSTS[1], filled, model="shared")
    with pytest.raises(JobError, match=r"the features are in 2 parts.*\[1\] of the same features are there"):
        read_index(filled.root / "shared")


def test_parts_of_different_features_are_not_joined(filled: Workspace) -> None:
    for host in HOSTS:
        embed_on(host, filled, model="shared")
    file = filled.root / "shared/part-1-of-2/features.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "weights": "others"}))
    with pytest.raises(JobError, match="of the same features"):
        read_index(filled.root / "shared")


def test_a_photo_in_two_parts_is_noticed(filled: Workspace) -> None:
    for host in HOSTS:
        embed_on(host, filled, model="shared")
    file = filled.root / "shared/part-0-of-2/test_positions.npy"
    other = np.load(filled.root / "shared/part-1-of-2/test_positions.npy")
    np.save(file, np.full_like(np.load(file), other[0]))
    with pytest.raises(JobError, match="or one twice"):
        read_split(filled.root / "shared", "test")


def test_an_unknown_host_is_refused(filled: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SM_HOSTS", json.dumps(HOSTS))
    monkeypatch.setenv("SM_CURRENT_HOST", "algo-9")
    with pytest.raises(JobError, match="'algo-9' and not one of SM_HOSTS"):
        embed(filled, model="shared")


def add_photos(workspace: Workspace) -> list[contract.ImageRecord]:
    """Another training photo first in the order, one whose content changed, and one fewer."""
    (workspace.root / "dataset/blue é/!new.jpg").write_bytes(photo((40, 60, 220), seed=999))
    (workspace.root / "dataset/red/01.jpg").write_bytes(photo((220, 50, 40), seed=998))
    records = workspace.fill(each=20)
    (workspace.root / "dataset/red/01.jpg").write_bytes(photo((220, 50, 40), seed=998))
    new: contract.ImageRecord = {"path": "blue é/!new.jpg", "label": 0, "split": "train", "etag": "new"}
    changed = [{**record, "etag": "changed"} if record["path"] == "red/01.jpg" else record for record in records]
    kept = [new, *(record for record in changed if record["path"] != "green/02.jpg")]
    workspace.write_manifest(kept)  # type: ignore[arg-type]
    return kept  # type: ignore[return-value]


@pytest.mark.parametrize("hosts_before", [1, 2])
def test_only_new_and_changed_photos_are_embedded(
    filled: Workspace, embedded_paths: list[str], capsys: pytest.CaptureFixture[str], hosts_before: int
) -> None:
    if hosts_before == 1:
        embed(filled, model="previous")
    else:
        for host in HOSTS:
            embed_on(host, filled, model="previous")
    before = read_split(filled.root / "previous", "train")
    kept = add_photos(filled)
    embedded_paths.clear()
    capsys.readouterr()
    embed(filled, model="extended", channels=(*CHANNELS, "previous"))

    assert sorted(embedded_paths) == ["blue é/!new.jpg", "red/01.jpg"]
    assert "features of train: 34 of 36 photos taken over" in capsys.readouterr().out
    folder, index = read_index(filled.root / "extended")
    assert index["counts"] == {"train": 36, "validation": 12, "test": 12}
    after = read_split(folder, "train")
    assert list(after.paths) == [record["path"] for record in kept if record["split"] == "train"]
    old, new = np.asarray(before.features), np.asarray(after.features)
    for at, path in enumerate(after.paths):
        if path not in ("blue é/!new.jpg", "red/01.jpg"):
            np.testing.assert_array_equal(new[:, at], old[:, list(before.paths).index(path)])
    was = old[:, list(before.paths).index("red/01.jpg")]
    assert bool((new[:, list(after.paths).index("red/01.jpg")] != was).any())


@pytest.mark.parametrize(
    ("changed", "what"), [({"seed": 5}, "seed"), ({"views": 1}, "views"), ({"flip": False}, "augmentation")]
)
def test_features_made_otherwise_are_not_taken_over(
    filled: Workspace,
    embedded_paths: list[str],
    capsys: pytest.CaptureFixture[str],
    changed: dict[str, object],
    what: str,
) -> None:
    embed(filled, model="previous")
    embedded_paths.clear()
    embed(filled, model="extended", channels=(*CHANNELS, "previous"), **changed)
    assert len(embedded_paths) == 60
    assert f"previous features not used: made with another {what}" in capsys.readouterr().out
