"""Two processes with small batches train as one with the whole batch."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from training.model import batch_norm
from training.model.batch_norm import statistics_of

ROOT = Path(__file__).parents[3]

WORKER = """
import sys
import torch
from torch import nn
from tests.training.model.test_batch_norm import new_network, take_step
from training.model.batch_norm import synchronise
from training.runtime.distributed import joined

with joined() as group:
    network = new_network()
    synchronise(network)
    images, targets = torch.load(sys.argv[1])
    mine = slice(4 * group.rank, 4 * group.rank + 4)
    gradients = take_step(network, group.wrap(network), images[mine], targets[mine])
    if group.is_main:
        torch.save({"state": network.state_dict(), "gradients": gradients}, sys.argv[2])
"""


def new_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(6 * 36, 5),
        nn.BatchNorm1d(5, momentum=None),
    )


def take_step(
    network: nn.Module, wrapped: nn.Module, images: torch.Tensor, targets: torch.Tensor
) -> list[torch.Tensor]:
    network.train()
    nn.functional.cross_entropy(wrapped(images), targets).backward()  # type: ignore[no-untyped-call]
    return [parameter.grad for parameter in network.parameters() if parameter.grad is not None]


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def test_two_processes_have_the_statistics_and_gradients_of_one_with_the_whole_batch(tmp_path: Path) -> None:
    images = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    images[4:] = images[4:] * 3 + 2  # the second process's images are unlike the first one's
    targets = torch.arange(8) % 5
    torch.save((images, targets), tmp_path / "batch")
    whole = new_network()
    gradients = take_step(whole, whole, images, targets)

    variables = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": "2",
    }
    command = [sys.executable, "-c", WORKER, str(tmp_path / "batch"), str(tmp_path / "result")]
    processes = [subprocess.Popen(command, env={**variables, "RANK": str(rank)}, cwd=ROOT) for rank in range(2)]
    try:
        assert [process.wait(timeout=120) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()

    result = torch.load(tmp_path / "result")
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(result["state"][name], value, rtol=1e-4, atol=1e-5)
    for ours, expected in zip(result["gradients"], gradients, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("processes", "images", "expected"),
    [
        (1, 32, "own"),
        (2, 32, "own"),
        (2, 31, "together"),
        (8, 4, "together"),
        (8, 3, "pretrained"),
        (1, 31, "pretrained"),
    ],
)
def test_statistics_are_taken_where_enough_images_are_seen_together(processes: int, images: int, expected: str) -> None:
    network = nn.Sequential(nn.BatchNorm2d(4))
    assert statistics_of(network, processes=processes, images=images) == expected


@pytest.mark.parametrize("images", [2, 64])
def test_a_network_without_batch_norm_has_no_statistics(images: int) -> None:
    """So a transformer is compiled however few photos each of its processes has."""
    assert statistics_of(nn.Sequential(nn.LayerNorm(4)), processes=8, images=images) == "none"


def test_timms_batch_norm_with_its_activation_is_synchronised_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Alone, with an exchange that has nobody to hear, it gives what it gave before, and the activation still acts."""
    from timm.layers.norm_act import BatchNormAct2d

    exchanged: list[torch.Size] = []

    def alone(values: torch.Tensor) -> torch.Tensor:
        exchanged.append(values.shape)
        return values

    monkeypatch.setattr(batch_norm, "_sum_over_processes", alone)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 1)
    torch.manual_seed(0)
    own, shared = BatchNormAct2d(4), BatchNormAct2d(4)
    batch_norm.synchronise(nn.Sequential(shared))
    images = torch.randn(8, 4, 5, 5)
    for training in (True, False):
        own.train(training)
        shared.train(training)
        torch.testing.assert_close(shared(images), own(images))
    assert shared(images).min() == 0
    assert exchanged == [torch.Size([4])] * 2
    torch.testing.assert_close(shared.state_dict(), own.state_dict())
