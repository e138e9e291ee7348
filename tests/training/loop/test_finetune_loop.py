"""Steps, validation and schedule of a fine-tuning, on a tiny network and without a job."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import contract
from tests.training.conftest import Workspace
from tests.training.loop.fine_tunings import Plain, start, tuning_of
from training.data.loader import on_device
from training.loop.epochs import run_epochs
from training.loop.finetune_loop import FineTuning, learning_rate_factor
from training.loop.history import History
from training.runtime.distributed import ALONE
from training.runtime.observer import Observer


def trained(
    workspace: Workspace, values: contract.Hyperparameters, parts: int, *, class_weights: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """Weights after a training in which the network saw `parts` images at once."""
    tuning = tuning_of(workspace, values, body=Plain(), parts=parts, class_weights=class_weights)
    run = run_epochs(
        tuning, epochs=values.epochs, history=History(), checkpoints=None, state=None, observer=Observer(), group=ALONE
    )
    list(run)
    return tuning.model.state_dict()


def normalised(workspace: Workspace, values: contract.Hyperparameters, *, batch_size: int = 12) -> FineTuning:
    """A fine-tuning of a network with batch norm."""
    body = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    # batch norm once more, of activations of one pixel: photos alone have no statistics there
    layers = nn.Sequential(body, nn.BatchNorm2d(8), nn.Flatten())
    return tuning_of(workspace, values, body=layers, batch_size=batch_size)


def test_the_learning_rate_rises_and_falls() -> None:
    factors = [learning_rate_factor(step, steps=100, warmup=10) for step in range(101)]
    assert factors[:10] == sorted(factors[:10])
    assert factors[0] == pytest.approx(1 / 11)
    assert factors[10] == 1
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[100] == pytest.approx(0)


@pytest.mark.parametrize("mixing", [{}, {"mixup": 0.4}, {"cutmix": 1.0}])
def test_a_batch_in_parts_trains_as_the_whole(photos: Workspace, mixing: dict[str, float]) -> None:
    values = start(photos, epochs=2, **mixing)
    whole, parts = trained(photos, values, 12), trained(photos, values, 5)
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=1e-4, atol=1e-5)
    assert not torch.equal(whole["head.linear.weight"], torch.zeros(3, 8))


def test_a_fine_tuning_step_weighs_the_classes(photos: Workspace) -> None:
    values = start(photos, epochs=2)
    plain, alike, weighted = (
        trained(photos, values, 12, class_weights=weights)["head.linear.weight"]
        for weights in (None, torch.ones(3), torch.tensor([3.0, 1.0, 0.5]))
    )
    torch.testing.assert_close(alike, plain)
    assert not torch.allclose(weighted, plain, rtol=1e-2)


def test_float16_trains_to_the_loss_of_float32(photos: Workspace) -> None:
    """On GPUs without bfloat16; a CPU computes in it, too."""
    losses = {}
    for precision in (None, torch.float16):
        tuning = tuning_of(photos, start(photos, ema=0.0, mixup=0.0), body=Plain(), precision=precision)
        assert tuning._scaler.is_enabled() == (precision is not None)
        for epoch in (1, 2, 3):
            tuning.begin_epoch(epoch)
            for _ in tuning.take_steps():
                pass
        losses[precision] = tuning.train_loss()
    assert losses[torch.float16] == pytest.approx(losses[None], rel=0.01)


def test_a_step_whose_gradients_float16_cannot_hold_changes_no_weight(photos: Workspace) -> None:
    tuning = tuning_of(photos, start(photos, ema=0.0), body=Plain(), precision=torch.float16)
    (batch, *_) = on_device(tuning._train, ALONE.device)
    tuning.take_step(batch)  # the scaler begins with its first loss
    before = {name: value.clone() for name, value in tuning.model.state_dict().items()}
    tuning._scaler._scale.fill_(2.0**60)  # type: ignore[union-attr]
    tuning.take_step(batch)
    for name, value in tuning.model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert tuning._scaler.get_scale() == 2.0**59
    # an interrupted training goes on with the scale that it had
    other = tuning_of(photos, start(photos, ema=0.0), body=Plain(), precision=torch.float16)
    tuning._scaler.update(1024.0)
    other.restore(tuning.state())
    assert other._scaler.get_scale() == 1024
    other.take_step(batch)
    assert not torch.equal(other.model.head.linear.weight, before["head.linear.weight"])
    assert np.isfinite(other.train_loss())


class Asking(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what makes a CPU wait for its GPU: a value that Python looks at, and shapes that depend on values."""

    WAITING: ClassVar = {"aten._local_scalar_dense", "aten.nonzero", "aten.masked_select", "aten.is_nonzero"}

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.asked: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func).rpartition(".")[0]
        masked = name in ("aten.index", "aten.index_put_") and any(
            isinstance(index, torch.Tensor) and index.dtype == torch.bool for index in args[1] or ()
        )
        if name in self.WAITING or masked:
            self.asked.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("mixing", [{}, {"cutmix": 1.0}, {"ema": 0.0, "mixup": 0.0}])
def test_no_step_makes_the_cpu_wait_for_the_gpu(photos: Workspace, mixing: dict[str, float]) -> None:
    tuning = normalised(photos, start(photos, **mixing))
    (batch, *_) = on_device(tuning._train, ALONE.device)
    with Asking() as asking:
        tuning.take_step(batch)
    assert asking.asked == []
    with Asking() as asking:
        tuning.train_loss()
    assert asking.asked, "or the test would see nothing"


def test_validation_takes_its_logits_from_the_gpu_once(photos: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    tuning = normalised(photos, start(photos), batch_size=2)
    assert len(tuning._validation) == 6
    copies = []
    to_cpu = torch.Tensor.cpu

    def counted(tensor: torch.Tensor) -> torch.Tensor:
        copies.append(tensor.shape)
        return to_cpu(tensor)

    monkeypatch.setattr(torch.Tensor, "cpu", counted)
    with Asking() as asking:
        tuning.validate(between=lambda: None)
    assert len(copies) == 4, "logits, labels, positions, and which of them count"
    assert asking.asked == []


def test_a_photo_alone_is_trained_on_with_the_statistics_of_all(photos: Workspace) -> None:
    """A batch of one photo, and what is left of a batch: torch refuses to take statistics of one value."""
    tuning = normalised(photos, start(photos, batch_size=1), batch_size=1)
    statistics = tuning.model.backbone.network.get_submodule("1").running_mean
    before = statistics.clone()  # type: ignore[operator]
    for _ in tuning.take_steps():
        pass
    assert tuning.step == 36
    assert torch.equal(statistics, before)  # type: ignore[arg-type]
    assert np.isfinite(tuning.train_loss())


def test_photos_a_second_are_those_that_were_seen(photos: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither broken photos count, nor those that an interrupted attempt saw, nor places that a batch leaves empty."""
    (photos.root / "dataset/red/03.jpg").write_bytes(b"no photo")
    tuning = normalised(photos, start(photos), batch_size=16)
    assert tuning.steps == 2, "36 photos are two batches, and a rest that is less than half of one"
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr("training.loop.finetune_loop.time.monotonic", lambda: next(clock))
    monkeypatch.setattr("training.loop.finetune_loop._PROGRESS_SECONDS", 10**9)
    tuning.epoch, tuning.step = 1, 1
    valid = [int(batch.valid.sum()) for batch in on_device(tuning._train, ALONE.device)]
    for _ in tuning.take_steps():
        pass
    # the clock was read at the start, after the step, and for the rate
    assert tuning.rate == pytest.approx(valid[1] / 20)
    assert sum(valid) == 35


def test_a_batch_without_a_readable_photo_teaches_nothing(photos: Workspace) -> None:
    tuning = normalised(photos, start(photos, ema=0.0))
    (batch, *_) = on_device(tuning._train, ALONE.device)
    batch.valid.fill_(False)
    head = tuning.model.head.linear.bias.detach().clone()
    tuning.take_step(batch)
    assert torch.equal(tuning.model.head.linear.bias, head)
    assert tuning.train_loss() == 0
