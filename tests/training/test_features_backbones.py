"""Features of several backbones, among which the search chooses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision import models

import contract
from tests.training.conftest import Workspace
from training import features, train, trial
from training.embedding.store import read_index, read_split
from training.runtime.environment import JobError

BACKBONES = ("shufflenet_v2_x0_5", "mnasnet0_5")
HOSTS = ("algo-1", "algo-2")


@pytest.fixture
def filled(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Photos, and weights of both networks where torchvision's hub keeps what it downloaded."""
    workspace.fill(each=10)
    monkeypatch.setenv("TORCH_HOME", str(workspace.root / "hub"))
    folder = workspace.folder("hub/hub/checkpoints")
    for seed, name in enumerate(BACKBONES):
        torch.manual_seed(seed)
        weights = models.get_model_weights(name).DEFAULT
        torch.save(models.get_model(name, weights=None).state_dict(), folder / weights.url.rpartition("/")[2])
    return workspace


def embed(workspace: Workspace, *, model: str, several: bool = True, previous: bool = False, **values: object) -> Path:
    channels = ("dataset", "manifest", *(("previous",) if previous else ()))
    folder = workspace.start(channels=channels, model=model, **values)
    if several:
        workspace.monkeypatch.setenv(contract.JobVariable.BACKBONES, ",".join(BACKBONES))
    features.main()
    workspace.monkeypatch.delenv(contract.JobVariable.BACKBONES, raising=False)
    return folder


def test_each_backbone_has_the_features_of_a_job_of_its_own(filled: Workspace) -> None:
    embed(filled, model="features")
    widths = set()
    for backbone in BACKBONES:
        alone = embed(filled, model=f"alone-{backbone}", several=False, backbone=backbone)
        folder, index = read_index(filled.root / "features", backbone=backbone)
        assert folder == filled.root / "features" / contract.backbone_folder(backbone)
        assert index["backbone"] == backbone
        assert {file.name: file.read_bytes() for file in folder.iterdir()} == {
            file.name: file.read_bytes() for file in alone.iterdir()
        }
        widths.add(index["dim"])
    assert len(widths) == 2


def test_several_hosts_share_the_photos_of_each_backbone(filled: Workspace) -> None:
    filled.monkeypatch.setenv("SM_HOSTS", json.dumps(HOSTS))
    for host in HOSTS:
        filled.monkeypatch.setenv("SM_CURRENT_HOST", host)
        embed(filled, model="features")
    for backbone in BACKBONES:
        folder, index = read_index(filled.root / "features", backbone=backbone)
        assert (folder.name, index["backbone"]) == (contract.backbone_folder(backbone), backbone)
        assert index["counts"] == {"train": 18, "validation": 6, "test": 6}
        assert len(read_split(folder, "train").labels) == 18


def test_the_features_of_an_earlier_run_are_taken_over_for_each(
    filled: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    embed(filled, model="previous")
    capsys.readouterr()
    embed(filled, model="features", previous=True)
    assert capsys.readouterr().out.count("features of train: 18 of 18 photos taken over") == len(BACKBONES)
    for backbone in BACKBONES:
        before, after = (
            read_split(read_index(filled.root / name, backbone=backbone)[0], "train")
            for name in ("previous", "features")
        )
        np.testing.assert_array_equal(np.asarray(before.features), np.asarray(after.features))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_trial_and_the_training_take_the_features_of_the_backbone_that_was_picked(
    filled: Workspace, capsys: pytest.CaptureFixture[str], backbone: str
) -> None:
    embed(filled, model="features")
    values: dict[str, Any] = {"backbone": backbone, "learning_rate": 0.03, "batch_size": 16}
    filled.start(channels=("features",), **values)
    trial.main()
    assert f"trial: backbone={backbone} learning_rate=0.03" in capsys.readouterr().out

    filled.start(channels=("features", "dataset", "manifest"), **values)
    train.main()
    evaluation = json.loads((filled.root / "output" / contract.Artefact.EVALUATION).read_text(encoding="utf-8"))
    assert evaluation["hyperparameters"]["backbone"] == backbone


def test_a_trial_refuses_the_features_of_another_backbone(filled: Workspace) -> None:
    embed(filled, model="features", several=False, backbone=BACKBONES[0])
    filled.start(channels=("features",), backbone=BACKBONES[1])
    with pytest.raises(JobError, match=f"made with backbone {BACKBONES[0]} and this trial has {BACKBONES[1]}"):
        trial.main()


def test_a_backbones_folder_is_one_folder_whatever_its_name() -> None:
    assert contract.backbone_folder("resnet50") == "backbone-resnet50"
    assert contract.backbone_folder("timm/resnet50.a1_in1k") == "backbone-timm--resnet50.a1_in1k"
