"""The processes of one training, as torchrun starts them: one a GPU, on one host or several; one process without it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from training.runtime.machine import has_cuda

__all__ = ["ALONE", "Agreement", "Group", "joined"]

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Group:
    """This process's place among those that train together, and its device."""

    rank: int
    size: int
    device: torch.device
    _wrapped: list[DistributedDataParallel] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def is_main(self) -> bool:
        """Whether this process, of rank 0, prints and writes for all."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over the processes; every one must call it."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def gather(self, thing: Thing) -> list[Thing]:
        """Return every process's thing, by rank, in every process."""
        if self.size == 1:
            return [thing]
        things: list[Any] = [None] * self.size
        dist.all_gather_object(things, thing)
        return things

    def broadcast(self, thing: Thing) -> Thing:
        """Return the main process's thing in every process; what the others pass is ignored."""
        if self.size == 1:
            return thing
        things = [thing]
        dist.broadcast_object_list(things, src=0, device=self.device)
        return things[0]

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors, such as running statistics, by those of the main process."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return the network with its gradients averaged over the processes."""
        if self.size == 1:
            return network
        wrapped = DistributedDataParallel(network, device_ids=[self.device] if self.device.type == "cuda" else None)
        self._wrapped.append(wrapped)
        return wrapped

    def _leave(self) -> None:
        """Destroy the process group, after which the wrapped networks cannot be trained any more.

        A wrapped network's reducer is the one owner of the process group that destroys it without releasing the
        interpreter. If it were the last one, it would wait for the group's threads, which may wait for the interpreter
        to free a tensor that they have exchanged.
        """
        for network in self._wrapped:
            del network.reducer, network.logger
        dist.destroy_process_group()


class Agreement:
    """Lets the processes of a group stop at the same step once any of them is asked to, without waiting for each other.

    The exchange begun at one call is read at the next. It goes over Gloo from CPU to CPU, so that no GPU waits for it.
    """

    def __init__(self, group: Group):
        self._group = group
        self._exchange: tuple[dist.Work, Tensor] | None = None

    def __call__(self, flag: bool) -> bool:
        """Return whether the flag was true in any process at the call before; alone, the flag itself.

        Every process must call it equally often.
        """
        if self._group.size == 1:
            return flag
        agreed = False
        if self._exchange is not None:
            work, flags = self._exchange
            work.wait()
            agreed = bool(flags.item())
        flags = torch.tensor(float(flag))
        self._exchange = dist.all_reduce(flags, async_op=True), flags
        return agreed


ALONE = Group(rank=0, size=1, device=torch.device("cpu"))
"""A training in one process, on the CPU."""


@contextmanager
def joined() -> Iterator[Group]:
    """Join the other processes, NCCL between GPUs and Gloo between CPUs (of GPU machines too); leave them at the end.

    torchrun's variables RANK, LOCAL_RANK and WORLD_SIZE say which process this is; the hyperparameter
    `sagemaker_torch_distributed_enabled`, which the stack sets, makes the sagemaker-training toolkit start torchrun.

    Raises:
        JobError: the machine has GPUs that torch cannot use.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    cuda = has_cuda()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    if size == 1:
        yield Group(rank=0, size=1, device=device)
        return
    _name_the_network_interface()
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
    group = Group(rank=dist.get_rank(), size=size, device=device)
    try:
        yield group
    finally:
        group._leave()


def _name_the_network_interface() -> None:
    """Tell Gloo the interface between the hosts; a choice of the user's stands.

    Gloo would listen where the host's own name resolves to, or on the loopback interface if it resolves to nothing. The
    toolkit names the interface to NCCL only (sagemaker_training/torch_distributed.py).
    """
    if interface := os.environ.get("SM_NETWORK_INTERFACE_NAME"):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
