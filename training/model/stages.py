"""A network's stages, from its input on: which of them are trained, and how fast each one learns.

A stage is a child of the network; lists of layers (Sequential, ModuleList) are opened one level, and so is a child that
holds most of the network, so that ResNet's blocks, EfficientNet's stages and a transformer's layers are all stages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from torch import nn

from training.runtime.environment import JobError

__all__ = ["freeze", "parameter_groups", "set_training", "stages"]

_EARLIEST: Final = 0.1
"""Learning rate of the first stage relative to the last one's; geometric in between (Howard and Ruder, 2018)."""


def stages(network: nn.Module) -> list[str]:
    """Return the dotted names of the stages that have weights, from the input on: the order of their definition."""
    total = _size(network)
    return [name for name, module in _open(network, prefix="", total=total) if _size(module)]


def freeze(network: nn.Module, *, until: str) -> list[str]:
    """Make the weights from stage `until` on trainable, and those before it not; all, if it is empty.

    `until` may also be the name of something that holds stages, as `layer4` of ResNet. Returns the trained stages.

    Raises:
        JobError: there is no such stage; the message lists them.
    """
    every = stages(network)
    first = next((i for i, stage in enumerate(every) if not until or _within(stage, until)), None)
    if first is None:
        raise JobError(f"unfreeze_from={until!r} is not a stage of this network; its stages are {', '.join(every)}")
    trained = every[first:]
    for name, parameter in network.named_parameters():
        # A weight outside every stage (a transformer's class token) is seen before the first one.
        parameter.requires_grad_(not until or any(_within(name, stage) for stage in trained))
    return trained


def set_training(network: nn.Module, *, trained: Iterable[str], statistics: bool) -> None:
    """Training mode for the trained stages and for dropout, evaluation mode for the frozen ones.

    With `statistics`, batch norm in the trained stages takes them from the batch, as in a training from the start.
    Without, it keeps the pretrained ones, though its weights are trained: the later stages then go on from the very
    features that the head was begun with, whatever the size of the batch.
    """
    network.train()
    for stage in set(stages(network)) - set(trained):
        network.get_submodule(stage).eval()
    if not statistics:
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def parameter_groups(
    network: nn.Module,
    *,
    head: nn.Module,
    trained: list[str],
    learning_rate: float,
    backbone_rate: float,
    weight_decay: float,
) -> list[dict[str, Any]]:
    """Return the optimiser's groups: a learning rate a stage, and no weight decay on norms and biases.

    The last stage learns `backbone_rate` times as fast as the head, the first trained one a tenth of that.
    """
    groups = _groups(head.named_parameters(), rate=learning_rate, weight_decay=weight_decay)

    # the backbone's trained stages, shallow to deep
    depth = max(len(trained) - 1, 1)
    left = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    for index, stage in enumerate(trained):
        # Weights outside of the stages go with the first of them.
        mine = [name for name in left if _within(name, stage) or (index == 0 and not _in_any(name, trained))]
        rate = learning_rate * backbone_rate * _EARLIEST ** ((len(trained) - 1 - index) / depth)
        groups += _groups(((name, left.pop(name)) for name in mine), rate=rate, weight_decay=weight_decay)
    return groups


def _groups(
    parameters: Iterable[tuple[str, nn.Parameter]], *, rate: float, weight_decay: float
) -> list[dict[str, Any]]:
    every = [parameter for _, parameter in parameters if parameter.requires_grad]
    cuts = (
        ([parameter for parameter in every if parameter.ndim > 1], weight_decay),
        ([parameter for parameter in every if parameter.ndim <= 1], 0.0),
    )
    return [{"params": chosen, "lr": rate, "peak": rate, "weight_decay": decay} for chosen, decay in cuts if chosen]


def _open(module: nn.Module, *, prefix: str, total: int) -> Iterator[tuple[str, nn.Module]]:
    for name, child in module.named_children():
        path = f"{prefix}{name}"
        if isinstance(child, (nn.Sequential, nn.ModuleList)):
            yield from ((f"{path}.{inner}", layer) for inner, layer in child.named_children())
        elif 2 * _size(child) > total and any(child.children()):
            yield from _open(child, prefix=f"{path}.", total=total)
        else:
            yield path, child


def _within(name: str, stage: str) -> bool:
    return name == stage or name.startswith(f"{stage}.")


def _in_any(name: str, names: Iterable[str]) -> bool:
    return any(_within(name, stage) for stage in names)


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
