from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import contract
from tests.training.conftest import BACKBONE, CLASSES, Workspace
from training import features
from training.data import manifest
from training.embedding.previous import PreviousFeatures
from training.embedding.store import SplitFeatures, read_index, read_split
from training.runtime import environment
from training.runtime.environment import JobError

CHANNELS = ("dataset", "manifest", "weights")


def embed(workspace: Workspace, *, model: str = "features", **hyperparameters: object) -> Path:
    folder = workspace.start(channels=CHANNELS, model=model, **hyperparameters)
    features.main()
    return folder


def array(split: SplitFeatures) -> NDArray[np.float32]:
    return np.asarray(split.features)


@pytest.fixture
def filled(workspace: Workspace) -> Workspace:
    workspace.fill(each=10)
    workspace.write_weights()
    return workspace


def test_the_index_describes_the_arrays(filled: Workspace) -> None:
    folder, index = read_index(embed(filled))
    assert index["key"] == "k" * 32
    assert index["classes"] == list(CLASSES)
    assert index["counts"] == {"train": 18, "validation": 6, "test": 6}
    assert index["views"] == {"train": 3, "validation": 1, "test": 1}
    assert sum(index["levels"]) == index["dim"]
    for split in contract.SPLITS:
        part = read_split(folder, split)
        assert part.features.shape == (index["views"][split], index["counts"][split], index["dim"])
        assert part.features.dtype == np.float32
        assert part.labels.dtype == np.int64
        assert [path.split("/")[0] for path in part.paths] == [list(CLASSES)[label] for label in part.labels]


def test_features_are_the_same_whatever_the_number_of_workers(
    filled: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = array(read_split(embed(filled), "train"))
    monkeypatch.setattr(manifest, "reading_threads", lambda **_: 7)
    again = array(read_split(embed(filled, model="again"), "train"))
    np.testing.assert_array_equal(first, again)


class Watched:
    """Hyperparameters that note which of them are read."""

    def __init__(self, values: contract.Hyperparameters):
        self._values, self.read = values, set[str]()

    def __getattr__(self, name: str) -> object:
        if name in contract.DECLARED:
            self.read.add(name)
        return getattr(self._values, name)


def test_every_hyperparameter_that_features_depend_on_is_in_their_specification(
    filled: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else features made with another value of it would be reused in silence."""
    filled.start(channels=CHANNELS, model="features")
    watched = Watched(environment.hyperparameters())
    monkeypatch.setattr(environment, "hyperparameters", lambda: watched)
    features.main()
    # the mode stands in the key: without a tag in the backbone's name, it decides on the weights
    assert watched.read - {"mode"} == set(contract.FEATURE_HYPERPARAMETERS)


def test_features_for_fine_tuning_are_of_the_weights_that_it_trains(workspace: Workspace) -> None:
    """Without a tag, these are torchvision's newest, which see less of a photo's border than the first ones do."""
    workspace.fill(each=10)
    workspace.write_weights("mobilenet_v3_large")
    frozen, tuned = (
        read_index(embed(workspace, model=mode, mode=mode, backbone="mobilenet_v3_large"))[1] for mode in contract.MODES
    )
    assert (frozen["resize"], tuned["resize"]) == (37, 33)


@pytest.mark.parametrize("field", contract.FEATURE_SPEC_FIELDS)
def test_features_of_another_specification_are_not_taken_over(filled: Workspace, field: str) -> None:
    _, index = read_index(embed(filled))
    previous = PreviousFeatures(filled.root / "features", backbone=BACKBONE)
    assert previous.differs_in(index) == []
    other: dict[str, object] = {**index, field: "another"}
    assert previous.differs_in(other) == [field]  # type: ignore[arg-type]


def test_views_differ_from_the_plain_photo_and_with_the_seed(filled: Workspace) -> None:
    first = array(read_split(embed(filled), "train"))
    other = array(read_split(embed(filled, model="other", seed=1), "train"))
    np.testing.assert_array_equal(first[0], other[0])
    assert (first[1] != first[0]).any()
    assert (first[1] != other[1]).any()


def test_a_broken_photo_is_left_out_and_named(filled: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    (filled.root / "dataset/red/03.jpg").write_text("this is a text")
    _, index = read_index(embed(filled))
    assert index["broken"] == ["red/03.jpg"]
    assert index["counts"]["train"] == 17
    part = read_split(filled.root / "features", "train")
    assert part.features.shape[1] == len(part.labels) == len(part.paths) == 17
    assert "red/03.jpg" not in part.paths
    assert "left out: red/03.jpg: this is not an image" in capsys.readouterr().out


def test_the_features_of_the_others_are_unchanged_by_a_broken_photo(filled: Workspace) -> None:
    whole = read_split(embed(filled), "train")
    (filled.root / "dataset/red/03.jpg").write_bytes(b"")
    rest = read_split(embed(filled, model="rest"), "train")
    kept = [whole.paths.index(path) for path in rest.paths]
    np.testing.assert_allclose(array(whole)[:, kept], array(rest), rtol=0.05, atol=0.05)


def test_too_many_broken_photos_stop_the_job_by_name(filled: Workspace) -> None:
    for index in (1, 2):
        (filled.root / f"dataset/red/0{index}.jpg").write_text("this is a text")
    with pytest.raises(JobError, match=r"2 of 30 photos are broken, more than 5%: red/01\.jpg, red/02\.jpg.*remove"):
        embed(filled)
    assert not (filled.root / "features" / contract.Artefact.FEATURES_INDEX).exists()


def test_a_photo_that_is_not_there_counts_as_broken(filled: Workspace) -> None:
    (filled.root / "dataset/red/03.jpg").unlink()
    assert read_index(embed(filled))[1]["broken"] == ["red/03.jpg"]


def test_a_manifest_cannot_reach_outside_the_dataset(filled: Workspace) -> None:
    (filled.root / "secret.jpg").write_bytes((filled.root / "dataset/red/01.jpg").read_bytes())
    records = filled.fill(each=10)
    records[0]["path"] = "../secret.jpg"
    filled.write_manifest(records)
    assert read_index(embed(filled))[1]["broken"] == ["../secret.jpg"]


def test_a_manifest_without_a_split_is_refused(filled: Workspace) -> None:
    records = [record for record in filled.fill(each=10) if record["split"] != "test"]
    filled.write_manifest(records)
    with pytest.raises(JobError, match="no test photos"):
        embed(filled)


def test_features_cut_short_are_refused(filled: Workspace) -> None:
    folder = embed(filled)
    file = folder / "train_features.npy"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(JobError, match=r"train_features\.npy is missing or cut short"):
        read_index(folder)


def test_a_channel_without_features_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"holds 0 features\.json"):
        read_index(tmp_path)


def test_the_index_is_found_below_the_channel(filled: Workspace, tmp_path: Path) -> None:
    embed(filled, model="channel/whippet-dev-r1-features/output/model")
    assert read_index(tmp_path / "channel")[1]["backbone"] == BACKBONE
