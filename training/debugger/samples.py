"""Turns tensors into what is saved: values or a sample of them, and smdebug's reductions, in a single transfer."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from smdebug.core.reductions import get_reduction_tensor_name
from smdebug.pytorch.utils import get_reduction_of_data
from torch import Tensor

import contract
from training.debugger.collections import Wanted

__all__ = ["activation_sample", "to_arrays"]

_IMAGES: Final = 4
_SIDE: Final = 3
_SPREAD: Final = 2654435761
"""The golden ratio of 2**32 (Knuth's multiplicative hashing). Its multiples spread evenly over any length, and never
keep to one place of a convolution's kernel, as equal strides would."""


def activation_sample(activation: Tensor) -> Tensor:
    """Return a copy of a few images at a few places of all channels, on the same device.

    The shape (N, C, H, W) becomes (n, C, h, w) with n up to 4, and h and w up to 3.
    """
    sample = activation.detach()[:_IMAGES]
    for axis in range(2, sample.ndim):
        length = sample.shape[axis]
        sample = sample[(slice(None),) * axis + (slice(None, None, -(-length // _SIDE)),)]
    return sample.clone(memory_format=torch.contiguous_format)


@torch.no_grad()
def to_arrays(
    tensors: Iterable[tuple[str, Tensor, Wanted]], *, sampled: bool = False
) -> dict[str, NDArray[np.generic]]:
    """Return float tensors by name as they are saved, in float32, with their wanted reductions under smdebug's names.

    A tensor of more than `contract.MAX_SAMPLE` values is returned as a sample of shape (MAX_SAMPLE,), unless the given
    tensors are `sampled` already and keep their shape. A sample holds a value that is not finite where its tensor does.
    """
    # collect values and reductions on the device; a sample also needs its tensor's sum, to see what is not finite
    kept: list[tuple[str, Tensor]] = []
    checked: list[tuple[str, Tensor, Tensor]] = []
    for name, tensor, wanted in tensors:
        if not tensor.numel():
            continue
        for reduction, of_absolute in wanted.reductions:
            value = get_reduction_of_data(reduction, tensor.float(), name, of_absolute)
            kept.append((get_reduction_tensor_name(name, reduction, of_absolute), value.reshape(1)))
        if wanted.values and tensor.numel() > contract.MAX_SAMPLE and not sampled:
            kept.append((name, torch.take(tensor, _places(tensor.numel(), tensor.device))))
            checked.append((name, tensor, torch.linalg.vector_norm(tensor, ord=1, dtype=torch.float32)))
        elif wanted.values:
            kept.append((name, tensor))
    if not kept:
        return {}

    # each transfer waits for the device, so there is one for everything
    flat = torch.cat([value.float().flatten() for _, value in kept] + [total.reshape(1) for *_, total in checked])
    numbers = flat.cpu().numpy()

    # cut the transferred numbers apart again
    ends = np.cumsum([value.numel() for _, value in kept])
    arrays: dict[str, NDArray[np.generic]] = {
        name: numbers[end - value.numel() : end].reshape(value.shape)
        for (name, value), end in zip(kept, ends, strict=True)
    }

    # put a value that is not finite into the sample of a tensor that holds one
    for (name, tensor, _), total in zip(checked, numbers[ends[-1] :], strict=True):
        if not np.isfinite(total):
            not_finite = tensor[~tensor.isfinite()]
            if not_finite.numel():  # else the sum alone is too large
                arrays[name][0] = not_finite[0].float().item()
    return arrays


@lru_cache(maxsize=1024)
def _places(length: int, device: torch.device) -> Tensor:
    return torch.arange(contract.MAX_SAMPLE, device=device) * _SPREAD % length
