"""Batch norm whose statistics are those of all processes' images together, where each has few."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.nn import functional as differentiable

__all__ = ["StatisticsOf", "running_statistics", "statistics_of", "synchronise"]

StatisticsOf = Literal["own", "together", "pretrained", "none"]
"""Whose statistics batch norm takes in training: of what goes through a process at once, of what goes through all
processes together, or none, so that the pretrained ones stay; and a network without batch norm."""

_ENOUGH: Final = 32
"""Images whose statistics are good enough: fewer cost accuracy (Wu and He, 2018: "Group Normalization"), and of few the
pretrained statistics are better (docs/training.md)."""


def statistics_of(network: nn.Module, *, processes: int, images: int) -> StatisticsOf:
    """Return whose statistics are best where so many images go through each process's network at once."""
    if not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules()):
        return "none"
    if images >= _ENOUGH:
        return "own"
    return "together" if processes * images >= _ENOUGH else "pretrained"


def synchronise(network: nn.Module) -> None:
    """Let every batch norm of the network, in training mode, take its statistics over the default process group.

    Unlike `nn.SyncBatchNorm`, it works on CPUs too, and the modules stay the same objects. Every process must send as
    many batches through the network.
    """
    for module in network.modules():
        if type(module) in _SYNCHRONISED:
            module.__class__ = _SYNCHRONISED[type(module)]
        elif isinstance(module, nn.BatchNorm2d) and hasattr(module, "act"):
            module.__class__ = _SynchronisedAct2d


@contextmanager
def running_statistics(network: nn.Module) -> Iterator[None]:
    """Let batch norm use and keep its running statistics within the `with` statement.

    One photo alone has no statistics: where the activations are one pixel wide, torch refuses to take any. Synchronised
    batch norms go on as they are, since they never see one photo alone.
    """
    learning = [
        module
        for module in network.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        and module.training
        and not isinstance(module, _Synchronised)
    ]
    for module in learning:
        module.eval()
    try:
        yield
    finally:
        for module in learning:
            module.train()


class _Synchronised(nn.modules.batchnorm._BatchNorm):
    """Batch norm over all processes; gradients go through the exchange."""

    def forward(self, values: Tensor) -> Tensor:
        """Normalise values (N, C, ...), as `nn.BatchNorm2d` does those of one process."""
        if not self.training:
            normal: Tensor = super().forward(values)
            return normal

        # the mean and the variance of all processes' values
        others = [dim for dim in range(values.ndim) if dim != 1]
        wide = [1, -1, *[1] * (values.ndim - 2)]
        given = values.float()
        count = values.numel() // values.shape[1] * dist.get_world_size()
        mean = _sum_over_processes(given.sum(others)) / count
        centred = given - mean.view(wide)
        variance = _sum_over_processes(centred.square().sum(others)) / count

        # move the running statistics
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            with torch.no_grad():
                self.num_batches_tracked += 1
                share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
                self.running_mean.lerp_(mean, share)
                self.running_var.lerp_(variance * (count / max(count - 1, 1)), share)

        result = centred * (variance + self.eps).rsqrt().view(wide)
        if self.affine:
            result = result * self.weight.view(wide) + self.bias.view(wide)
        return result.to(values.dtype)


class _Synchronised1d(_Synchronised, nn.BatchNorm1d):
    pass


class _Synchronised2d(_Synchronised, nn.BatchNorm2d):
    pass


class _SynchronisedAct2d(_Synchronised2d):
    """In the place of timm's `BatchNormAct2d`, which applies its activation too."""

    def forward(self, values: Tensor) -> Tensor:
        """Normalise values (N, C, H, W), then apply dropout and the activation."""
        result: Tensor = self.act(self.drop(super().forward(values)))  # type: ignore[operator]
        return result


_SYNCHRONISED: Final[dict[type[nn.Module], Any]] = {nn.BatchNorm1d: _Synchronised1d, nn.BatchNorm2d: _Synchronised2d}


def _sum_over_processes(values: Tensor) -> Tensor:
    total: Tensor = differentiable.all_reduce(values)  # type: ignore[no-untyped-call]
    return total
