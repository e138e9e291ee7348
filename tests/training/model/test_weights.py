from __future__ import annotations

import argparse
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

import contract
from tests.training.conftest import BACKBONE, Workspace
from training.model.architecture import Pretraining, Statistics
from training.model.backbones import Backbone
from training.model.packaged import PACKAGED, PackagedBackbone
from training.model.weights import find_architecture, load_backbone
from training.preprocess import Preprocessing
from training.runtime.environment import JobError


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr("torch.hub.urlopen", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))


def load(workspace: Workspace, name: str = BACKBONE) -> tuple[Backbone, str]:
    workspace.start(channels=("weights",))
    return load_backbone(name, image_size=32)


def test_the_channels_weights_are_used_and_named_by_their_checksum(workspace: Workspace) -> None:
    file = workspace.write_weights()
    backbone, checksum = load(workspace)
    state = torch.load(file, weights_only=True)
    loaded = backbone.state_dict()["network.conv1.0.weight"]
    torch.testing.assert_close(loaded, state["conv1.0.weight"])
    state["conv1.0.weight"] += 1
    torch.save(state, file)
    assert load(workspace)[1] != checksum


@pytest.mark.parametrize(
    "form",
    [
        "safetensors",
        "wrapped",
        "of a training script",
        "of data parallel",
        "compiled",
        "other classes",
        "no classifier",
    ],
)
def test_every_common_form_of_a_weights_file_gives_the_same_network(workspace: Workspace, form: str) -> None:
    file = workspace.write_weights()
    _, expected = load(workspace)
    state = torch.load(file, weights_only=True)
    if form == "safetensors":
        file.unlink()
        save_file(state, file.with_suffix(".safetensors"))
    elif form == "wrapped":
        torch.save({"state_dict": state, "epoch": 3}, file)
    elif form == "of a training script":
        other = {key: torch.zeros_like(value) for key, value in state.items()}
        torch.save({"state_dict": other, "state_dict_ema": state, "args": argparse.Namespace(lr=0.1)}, file)
    elif form == "compiled":
        torch.save({f"_orig_mod.{key}": value for key, value in state.items()}, file)
    elif form == "no classifier":
        torch.save({key: value for key, value in state.items() if not key.startswith("fc.")}, file)
    elif form == "of data parallel":
        torch.save({f"module.{key}": value for key, value in state.items()}, file)
    else:
        state["fc.weight"], state["fc.bias"] = torch.zeros(7, 1024), torch.zeros(7)
        torch.save(state, file)
    assert load(workspace)[1] == expected


def test_weights_of_another_network_are_refused_by_name(workspace: Workspace) -> None:
    workspace.write_weights("mobilenet_v2")
    with pytest.raises(JobError, match=r"mobilenet_v2\.pth are not those of shufflenet_v2_x0_5.*lack"):
        load(workspace)


def test_weights_of_another_shape_are_refused_by_name(workspace: Workspace) -> None:
    file = workspace.write_weights()
    state = torch.load(file, weights_only=True)
    state["conv1.0.weight"] = torch.zeros(8, 3, 3, 3)
    torch.save(state, file)
    with pytest.raises(JobError, match=r"another shape of conv1\.0\.weight"):
        load(workspace)


@pytest.mark.parametrize("content", [b"no weights at all", b""])
def test_a_file_that_holds_no_weights_is_refused(workspace: Workspace, content: bytes) -> None:
    (workspace.folder("weights") / "x.pth").write_bytes(content)
    with pytest.raises(JobError, match=r"x\.pth cannot be read"):
        load(workspace)


class Intruder:
    """Would make a file on the disk of whoever unpickles it without care."""

    def __init__(self, file: Path):
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.file,)


def test_code_in_a_weights_file_never_runs(workspace: Workspace) -> None:
    trace = workspace.root / "intruder-was-here"
    torch.save({"state_dict": Intruder(trace)}, workspace.folder("weights") / "x.pth")
    with pytest.raises(JobError, match="cannot be read"):
        load(workspace)
    assert not trace.exists()


def test_the_file_that_the_job_names_is_taken_from_all_that_its_prefix_brings(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = workspace.write_weights()
    _, expected = load(workspace)
    other = torch.load(file, weights_only=True)
    other["conv1.0.weight"] += 1
    torch.save(other, file.with_name(f"{file.name}.old.pth"))
    monkeypatch.setenv(contract.JobVariable.WEIGHTS, file.name)
    assert load(workspace)[1] == expected


def test_weights_that_only_begin_like_the_file_that_the_job_names_are_refused(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = workspace.write_weights()
    monkeypatch.setenv(contract.JobVariable.WEIGHTS, file.name)
    file.rename(file.with_name(f"{file.name}.old.pth"))
    with pytest.raises(JobError, match=rf"no file {file.name}, but {file.name}\.old\.pth; upload"):
        load(workspace)


def test_a_channel_with_two_files_is_refused(workspace: Workspace) -> None:
    workspace.write_weights()
    workspace.write_weights("mobilenet_v2")
    with pytest.raises(JobError, match="holds 2 files"):
        load(workspace)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("name", "frozen", "file"),
    [
        ("resnet50", True, "resnet50-0676ba61.pth"),
        ("resnet50", False, "resnet50-11ad3fa6.pth"),
        ("resnet50.imagenet1k_v2", True, "resnet50-11ad3fa6.pth"),
        ("vit_b_16.IMAGENET1K_SWAG_E2E_V1", True, "vit_b_16_swag-9ac1b537.pth"),
    ],
)
def test_without_internet_the_message_says_how_to_provide_the_weights(
    workspace: Workspace, name: str, frozen: bool, file: str
) -> None:
    workspace.start(channels=())
    advice = rf"no route to host.*put the file {file} .* as weights/{file}, and set training\.weights"
    with pytest.raises(JobError, match=advice):
        load_backbone(name, image_size=64, frozen=frozen)


def test_the_log_says_what_the_weights_expect_of_photos(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace.write_weights()
    load(workspace)
    assert f"backbone {BACKBONE}: crops of 32 from 37 pixels, bilinear; its weights expect 224 pixels" in (
        capsys.readouterr().out
    )


@pytest.mark.usefixtures("offline")
def test_efficientnet_lite0_needs_no_internet(workspace: Workspace) -> None:
    workspace.start(channels=())
    _, checksum = load_backbone("efficientnet_lite0", image_size=64)
    assert checksum == "067daf732091681afa766a8d1b372b7b51dc0fb64bf5aa5b4a4bd214d5aaa4aa"


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("name", "image_size", "dim"), [("efficientnet_lite1", 240, 1280), ("efficientnet_lite2", 260, 1280)]
)
def test_the_larger_lite_networks_need_none_either(workspace: Workspace, name: str, image_size: int, dim: int) -> None:
    workspace.start(channels=())
    backbone, _ = load_backbone(name, image_size=64)
    assert backbone.level_sizes(image_size=64)[-1] == dim
    pretraining = find_architecture(name).pretraining
    assert (pretraining.image_size, pretraining.resize) == (image_size, image_size + 32)


@pytest.mark.usefixtures("offline")
def test_a_backbone_of_another_library_is_one_entry(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = workspace.write_weights()
    entry = PackagedBackbone(
        build=lambda: models.get_model(BACKBONE, weights=None),
        pretraining=Pretraining(
            statistics=Statistics(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)),
            image_size=64,
            resize=80,
            interpolation="bicubic",
        ),
        weights=lambda: file,
        package="a-package",
    )
    monkeypatch.setitem(PACKAGED, "other_net", entry)
    workspace.start(channels=(), backbone="other_net")
    backbone, checksum = load_backbone("other_net", image_size=32)
    assert checksum == load(workspace)[1]
    torch.testing.assert_close(backbone.shift.flatten(), torch.full((3,), -2.0))
    assert backbone.preprocessing == Preprocessing(image_size=32, resize=40, interpolation="bicubic")
    assert "from the package a-package" in capsys.readouterr().out
