"""Files of weights: how they are read without running code, told apart, and loaded whole."""

from __future__ import annotations

import argparse
import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from training.runtime.environment import JobError

__all__ = ["checksum", "load_whole", "read_state", "versions_of"]

_WRAPPERS: Final = ("state_dict_ema", "model_ema", "state_dict", "model")
"""Keys under which training scripts, timm's and torchvision's among them, keep a network beside other things.

The moving average is what those scripts evaluate, so it comes first.
"""

_VERSIONS: Final = "_metadata"
"""Where torch keeps the version of each module in a state dict, which networks such as MNASNet ask for."""

_PREFIXES: Final = ("module.", "_orig_mod.")
"""What DataParallel, averaged models and torch.compile put before every name."""


def read_state(file: Path) -> dict[str, Tensor]:
    """Return the state dict of a weights file. Only tensors are unpickled, never code (`weights_only`).

    Raises:
        JobError: the file is damaged, holds no state dict, or would run code.
    """
    try:
        content = _content(file)
    except Exception as error:  # pickle, zip and safetensors raise many kinds
        raise JobError(
            f"weights file {file.name} cannot be read ({error}); save it with torch.save(model.state_dict())"
        ) from error
    for wrapper in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise JobError(f"weights file {file.name} holds no state dict; save it with torch.save(model.state_dict())")

    content.pop("n_averaged", None)  # of torch.optim.swa_utils.AveragedModel
    state = OrderedDict((_without_prefix(key), value) for key, value in content.items())
    setattr(state, _VERSIONS, {_without_prefix(key): version for key, version in versions_of(content).items()})
    return state


def versions_of(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the versions of the modules that a state dict is of, by their names; empty where it does not say."""
    versions: dict[str, Any] = getattr(state, _VERSIONS, {})
    return versions


def load_whole(
    network: nn.Module,
    state: Mapping[str, Tensor],
    *,
    versions: Mapping[str, Any],
    but: str,
    name: str,
    origin: str,
) -> None:
    """Load a state dict that must hold every weight of the network, and no other, except for those of the layer `but`.

    Args:
        network: gets the weights.
        state: the weights.
        versions: of the modules (`versions_of`); none, as of a safetensors file, are taken for the newest ones.
        but: the classifier's name.
        name: the backbone's, for messages.
        origin: the name of the weights' file, for messages.

    Raises:
        JobError: the weights are not those of this network.
    """
    expected = {key: value for key, value in network.state_dict().items() if not key.startswith(f"{but}.")}
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
    versioned = OrderedDict(state)
    setattr(versioned, _VERSIONS, versions or versions_of(network.state_dict()))
    network.load_state_dict(versioned, strict=False)


def checksum(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of the names and values of these weights."""
    digest = hashlib.sha256()
    for key, value in sorted(state.items()):
        digest.update(key.encode())
        flat = value.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())  # as bytes: numpy has no bfloat16
    return digest.hexdigest()


def _content(file: Path) -> Any:
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(file)
    with torch.serialization.safe_globals([argparse.Namespace]):
        # timm's checkpoints carry the training's arguments, which are data
        return torch.load(file, map_location="cpu", weights_only=True)


def _without_prefix(key: str) -> str:
    for prefix in _PREFIXES:
        key = key.removeprefix(prefix)
    return key
