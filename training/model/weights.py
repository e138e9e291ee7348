"""A backbone's pretrained weights: from the job's `weights` channel, a package, or torchvision's hub."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import contract
from training.model.backbones import PACKAGED, Backbone, architecture, classifier_layer, split
from training.runtime.environment import JobError, optional_channel

__all__ = ["load_backbone"]

_SUFFIXES = (".pth", ".pt", ".safetensors")
_HUB_TIMEOUT_SECONDS = 60.0
"""A job in a VPC without internet would otherwise wait for many minutes before it fails."""


def load_backbone(name: str, *, image_size: int) -> tuple[Backbone, str]:
    """Return the frozen backbone and the SHA-256 of its weights.

    Raises:
        JobError: no such classifier, no weights to be had, or weights of another network.
    """
    network, statistics = architecture(name)
    classifier = classifier_layer(network, name=name)
    folder = optional_channel(contract.Channel.WEIGHTS)
    if folder is not None:
        file = _file_of_channel(folder)
        print(f"weights: {file.name} from the weights channel", flush=True)
        _load(network, _read(file), classifier=classifier, name=name, origin=file.name)
    elif name in PACKAGED:
        file = PACKAGED[name].weights()
        print(f"weights: {file.name} from the package {PACKAGED[name].package}", flush=True)
        _load(network, _read(file), classifier=classifier, name=name, origin=file.name)
    else:
        network = _from_hub(name)
    checksum = _checksum(network, but=classifier)
    return split(network, name=name, image_size=image_size, statistics=statistics), checksum


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


def _read(file: Path) -> dict[str, Any]:
    """Return the state dict of a weights file. Only tensors are unpickled, never code (`weights_only`)."""
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and safetensors raise many kinds
        raise JobError(
            f"weights file {file.name} cannot be read ({error}); save it with torch.save(model.state_dict())"
        ) from error
    for wrapper in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise JobError(f"weights file {file.name} holds no state dict; save it with torch.save(model.state_dict())")
    return content


def _load(network: nn.Module, state: dict[str, Any], *, classifier: str, name: str, origin: str) -> None:
    """Load all but the classifier layer, which is taken off anyway and may be of any number of classes."""
    state = {key.removeprefix("module."): value for key, value in state.items()}
    dropped = (f"{classifier}.weight", f"{classifier}.bias")
    state = {key: value for key, value in state.items() if key not in dropped}
    expected = {key: value for key, value in network.state_dict().items() if key not in dropped}
    missing = [key for key in expected if key not in state and not key.endswith("num_batches_tracked")]
    unknown = [key for key in state if key not in expected]
    wrong = [key for key in state if key in expected and state[key].shape != expected[key].shape]
    for problem, keys in (("lack", missing), ("have unknown", unknown), ("have another shape of", wrong)):
        if keys:
            raise JobError(
                f"the weights in {origin} are not those of {name}: they {problem} {', '.join(keys[:3])}"
                f"{f' and {len(keys) - 3} more' if len(keys) > 3 else ''}; "
                f"make training.backbone and training.weights the same network"
            )
    network.load_state_dict(state, strict=False)


def _from_hub(name: str) -> nn.Module:
    """Download torchvision's recommended weights; it checks them against the hash in their file's name."""
    from torchvision import models

    weights = models.get_model_weights(name).DEFAULT
    file_name = weights.url.rpartition("/")[2]
    print(f"weights: {file_name} from torchvision's hub", flush=True)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_HUB_TIMEOUT_SECONDS)
    try:
        network: nn.Module = models.get_model(name, weights=weights, progress=False)
    except (OSError, RuntimeError) as error:  # no connection; a hash that differs
        raise JobError(
            f"the weights of {name} could not be downloaded ({error}); put the file {file_name} into the data bucket, "
            f"for instance as weights/{file_name}, and set training.weights to that key"
        ) from error
    finally:
        socket.setdefaulttimeout(before)
    return network


def _checksum(network: nn.Module, *, but: str) -> str:
    """Return the SHA-256 of the names and values of all weights but the classifier layer's."""
    digest = hashlib.sha256()
    for key, value in sorted(network.state_dict().items()):
        if not key.startswith(f"{but}."):
            digest.update(key.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
