"""timm's networks by name, with weights of every form, through training in both modes and export."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import timm
import torch
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from safetensors.torch import save_file
from torch import Tensor

import contract
from tests.training.conftest import Workspace
from training.model.weights import find_architecture, load_backbone, untrained_backbone
from training.preprocess import Preprocessing
from training.runtime.environment import JobError

State = dict[str, Tensor]


def write(workspace: Workspace, state: dict[str, Any], *, form: str = "pth") -> Path:
    file = workspace.folder("weights") / f"w.{form}"
    if form == "safetensors":
        save_file(state, file)
    else:
        torch.save(state, file)
    workspace.monkeypatch.setenv(contract.JobVariable.WEIGHTS, file.name)
    workspace.start(channels=("weights",))
    return file


def state_of(name: str, **options: Any) -> State:
    torch.manual_seed(0)
    return dict(timm.create_model(name, **options).state_dict())


def configuration(name: str) -> Any:
    return timm.get_pretrained_cfg(name)


def resolve_data_config(**options: Any) -> dict[str, Any]:
    from timm.data import config

    resolved: dict[str, Any] = config.resolve_data_config(**options)  # type: ignore[no-untyped-call]
    return resolved


@pytest.mark.parametrize(
    ("name", "image_size", "levels"),
    [
        ("timm/resnet10t", 64, [4 * 256, 512]),
        ("timm/test_efficientnet", 64, [4 * 48, 256]),
        ("timm/mobilenetv4_conv_small", 64, [4 * 96, 1280]),
        ("timm/convnext_atto", 64, [4 * 160, 320]),
        ("timm/swin_tiny_patch4_window7_224", 64, [4 * 384, 768]),
        ("timm/test_vit", 64, [64]),
        ("timm/deit_tiny_distilled_patch16_224", 64, [192]),
        ("timm/test_byobnet", 64, [4 * 128, 256]),
    ],
)
def test_features_are_what_the_classifier_reads_and_the_quarters_one_resolution_earlier(
    name: str, image_size: int, levels: list[int]
) -> None:
    backbone = untrained_backbone(name, image_size=image_size)
    images = torch.randint(0, 255, (2, image_size, image_size, 3), dtype=torch.uint8)
    assert [level.shape[1] for level in backbone.levels(images)] == levels


def test_features_are_timms_own(workspace: Workspace) -> None:
    """Those of `num_classes=0`, of pixels normalised as timm's configuration of the weights says."""
    for name in ("test_convnext", "test_vit3", "test_resnet"):
        write(workspace, state_of(name))
        backbone, _ = load_backbone(f"timm/{name}", image_size=160)
        torch.manual_seed(0)
        theirs: Any = timm.create_model(name).eval()
        theirs.reset_classifier(0)
        config = resolve_data_config(pretrained_cfg=theirs.pretrained_cfg)
        images = torch.randint(0, 255, (2, 160, 160, 3), dtype=torch.uint8)
        mean, std = torch.tensor(config["mean"]), torch.tensor(config["std"])
        with torch.inference_mode():
            expected = theirs(((images / 255 - mean) / std).permute(0, 3, 1, 2))
            torch.testing.assert_close(backbone.levels(images)[-1], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "name", ["resnet50.a1_in1k", "vit_small_patch14_dinov2.lvd142m", "test_resnet", "convnext_atto"]
)
def test_photos_are_seen_as_timms_configuration_has_it(name: str) -> None:
    config = resolve_data_config(pretrained_cfg=configuration(name).to_dict())
    side = config["input_size"][-1]
    pretraining = find_architecture(f"timm/{name}").pretraining
    assert pretraining.statistics.mean == config["mean"]
    assert pretraining.preprocessing(side) == Preprocessing(
        image_size=side, resize=int(side / config["crop_pct"]), interpolation=config["interpolation"]
    )


@pytest.mark.parametrize("form", ["safetensors", "wrapped", "other classes", "no classifier", "resolved"])
@pytest.mark.parametrize("name", ["test_convnext", "test_vit"])
def test_every_common_form_of_a_weights_file_gives_the_same_network(workspace: Workspace, form: str, name: str) -> None:
    state = state_of(name)
    write(workspace, state)
    expected, checksum = load_backbone(f"timm/{name}", image_size=160)
    if form == "safetensors":
        write(workspace, state, form="safetensors")
    elif form == "wrapped":
        write(workspace, {"state_dict": {f"module.{key}": value for key, value in state.items()}, "epoch": 3})
    elif form == "other classes":
        classifier = configuration(name).classifier
        changed = {key: value[:7] for key, value in state.items() if key.startswith(f"{classifier}.")}
        assert len(changed) == 2
        write(workspace, {**state, **changed})
    elif form == "no classifier":
        classifier = configuration(name).classifier
        write(workspace, {key: value for key, value in state.items() if not key.startswith(f"{classifier}.")})
    loaded, other = load_backbone(f"timm/{name}{'.r160_in1k' if form == 'resolved' else ''}", image_size=160)
    assert other == checksum
    for key, value in expected.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[key], value)


def test_position_embeddings_are_resampled_to_the_image_size(workspace: Workspace) -> None:
    """The SHA-256 is of the file's weights: resampling differs in its last bits from machine to machine."""
    write(workspace, state_of("test_vit"))
    (small, of_small), (native, of_native) = (load_backbone("timm/test_vit", image_size=size) for size in (64, 160))
    assert small.state_dict()["network.pos_embed"].shape[1] == 1 + 4 * 4
    assert native.state_dict()["network.pos_embed"].shape[1] == 1 + 10 * 10
    assert of_small == of_native


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (
            lambda state: {key: value for key, value in state.items() if key != "stem.0.weight"},
            "Missing key.*stem.0.wei",
        ),
        (lambda state: {**state, "more": torch.zeros(1)}, 'Unexpected key.*"more"'),
        (lambda state: {**state, "stem.0.weight": torch.zeros(3, 3, 4, 4)}, r"size mismatch for stem\.0\.weight"),
        (lambda _: state_of("test_resnet"), "timm cannot read them"),
        (lambda _: {"x": torch.zeros(1)}, "Missing key"),
    ],
)
def test_weights_of_another_network_are_refused(
    workspace: Workspace, spoil: Callable[[State], State], reason: str
) -> None:
    write(workspace, spoil(state_of("test_convnext")))
    with pytest.raises(JobError, match=rf"w\.pth are not those of timm/test_convnext: .*{reason}.*training\.weights"):
        load_backbone("timm/test_convnext", image_size=64)


def test_unknown_names_and_tags_are_refused_with_those_there_are() -> None:
    with pytest.raises(JobError, match=r"has no network 'resnet5';.*such as timm/resnet50"):
        find_architecture("timm/resnet5")
    with pytest.raises(JobError, match=r"no weights 'b9' of 'resnet50';.*timm/resnet50 and a dot and one of .*a1_in1k"):
        find_architecture("timm/resnet50.b9")


def test_a_network_that_keeps_its_classifier_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    architecture = find_architecture("timm/test_resnet")
    network = architecture.build(image_size=64)

    def refuse(_: int) -> None:
        raise NotImplementedError("not in this network")

    monkeypatch.setattr(network, "reset_classifier", refuse)
    with pytest.raises(JobError, match=r"cannot take the classifier off backbone 'timm/test_resnet' \(not in this"):
        architecture.remove_classifier(network)


def test_without_internet_the_message_says_which_file_to_provide(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def refuse(_repository: str, file: str) -> str:
        asked.append(file)
        raise LocalEntryNotFoundError("no route to host")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    workspace.start(channels=())
    advice = (
        r"no route to host.*file model\.safetensors of the repository timm/test_vit\.r160_in1k of Hugging Face's hub"
        r".*as weights/test_vit\.r160_in1k\.safetensors, and set training\.weights"
    )
    with pytest.raises(JobError, match=advice):
        load_backbone("timm/test_vit", image_size=64)
    assert asked == ["model.safetensors"]


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_the_hubs_weights_are_those_of_the_same_file_in_the_bucket(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    state = state_of("test_convnext")
    there = workspace.folder("hub") / file
    if there.suffix == ".bin":
        torch.save(state, there)
    else:
        save_file(state, there)

    def answer(repository: str, name: str) -> str:
        assert repository == "timm/test_convnext.r160_in1k"
        if name != file:
            raise EntryNotFoundError(f"{name} is not there")
        return str(there)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", answer)
    workspace.start(channels=())
    _, of_hub = load_backbone("timm/test_convnext", image_size=64)
    write(workspace, state)
    assert load_backbone("timm/test_convnext", image_size=64)[1] == of_hub


def test_timm_is_imported_for_its_own_networks_only() -> None:
    code = (
        "import sys; from training.model import weights; "
        "weights.untrained_backbone('resnet18', image_size=64); "
        "weights.untrained_backbone('efficientnet_lite0', image_size=64); assert 'timm' not in sys.modules; "
        "weights.find_architecture('timm/test_resnet'); assert 'timm' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
