"""A backbone with its pretrained weights: from the job's `weights` channel, a package, or a hub."""

from __future__ import annotations

import os
from pathlib import Path

from torch import Tensor

import contract
from training.model.architecture import Architecture
from training.model.backbones import Backbone, split
from training.model.packaged import PACKAGED, PackagedArchitecture
from training.model.state_dict import read_state
from training.model.timm_architecture import TIMM_PREFIX, TimmArchitecture
from training.model.torchvision_architecture import TorchvisionArchitecture
from training.runtime.environment import JobError, optional_channel

__all__ = ["find_architecture", "load_backbone", "untrained_backbone"]

_SUFFIXES = (".pth", ".pt", ".bin", ".safetensors")


def find_architecture(name: str, *, frozen: bool = True) -> Architecture:
    """Return what the hyperparameter `backbone` names.

    Args:
        name: a network and, after a dot, the tag of its weights; networks of timm have the prefix `timm/`.
        frozen: whether the backbone's features are used as they are; it decides on weights that are not named.

    Raises:
        JobError: there is no such network, or it has no such weights.
    """
    network, _, tag = name.removeprefix(TIMM_PREFIX).partition(".")
    if name.startswith(TIMM_PREFIX):
        return TimmArchitecture(network, tag=tag)
    if network in PACKAGED:
        return PackagedArchitecture(network, tag=tag)
    return TorchvisionArchitecture(network, tag=tag, frozen=frozen)


def load_backbone(name: str, *, image_size: int, frozen: bool = True) -> tuple[Backbone, str]:
    """Return the backbone, frozen for now, and the SHA-256 of its weights.

    Args:
        name: the hyperparameter `backbone`.
        image_size: side of the network's input, in pixels.
        frozen: whether its features are used as they are; it decides on weights that are not named.

    Raises:
        JobError: no such classifier, no weights to be had, or weights of another network.
    """
    architecture = find_architecture(name, frozen=frozen)
    origin, state = _weights(architecture)
    network, checksum = architecture.load(state, origin=origin, image_size=image_size)
    backbone = split(network, architecture=architecture, image_size=image_size)

    seen = backbone.preprocessing
    native = architecture.pretraining.image_size
    print(
        f"backbone {architecture.name}: crops of {seen.image_size} from {seen.resize} pixels, {seen.interpolation}"
        f"{f'; its weights expect {native} pixels (training.image_size)' if native != image_size else ''}",
        flush=True,
    )
    return backbone, checksum


def untrained_backbone(name: str, *, image_size: int) -> Backbone:
    """Return the backbone with random weights, drawn from torch's generator.

    Raises:
        JobError: no such classifier, or it does not take images of this size.
    """
    architecture = find_architecture(name)
    return split(architecture.build(image_size=image_size), architecture=architecture, image_size=image_size)


def _weights(architecture: Architecture) -> tuple[str, dict[str, Tensor]]:
    """Return the name of the weights' file and the weights."""
    folder = optional_channel(contract.Channel.WEIGHTS)
    if folder is None:
        return architecture.fetch()
    file = _file_of_channel(folder)
    print(f"weights: {file.name} from the weights channel", flush=True)
    return file.name, read_state(file)


def _file_of_channel(folder: Path) -> Path:
    """Return the file that the job names, or else the only one.

    A channel is an S3 prefix, which brings every object whose key begins with the setting's.
    """
    name = os.environ.get(contract.JobVariable.WEIGHTS)
    if name:
        if not (folder / name).is_file():
            found = sorted(path.name for path in folder.iterdir())
            raise JobError(
                f"the weights channel holds no file {name}, but {', '.join(found[:3]) or 'nothing'}; "
                "upload the weights to the key of the setting training.weights, or set it to the key of a file"
            )
        return folder / name

    files = sorted(path for path in folder.rglob("*") if path.suffix in _SUFFIXES)
    if len(files) != 1:
        raise JobError(
            f"the weights channel holds {len(files)} files ending in {', '.join(_SUFFIXES)} and must hold one; "
            "set training.weights to the key of exactly one file in the bucket"
        )
    return files[0]
