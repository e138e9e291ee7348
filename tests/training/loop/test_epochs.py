"""The loop of epochs with a training that only counts, so that what is seen is the loop's own."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from training.loop.epochs import Validation, run_epochs
from training.loop.history import Epoch, History, Scores
from training.runtime.checkpoints import Checkpoints
from training.runtime.interruption import EXIT_STATUS
from training.runtime.observer import Observer

LOSSES = [0.9, 0.4, 0.7]


class Counting:
    """Three epochs of two steps; its one weight is the number of steps taken."""

    steps = 2

    def __init__(self, *, stop_after: int | None = None):
        self.model = nn.Linear(1, 1)
        self.epoch, self.step = 1, 0
        self.log: list[str] = []
        self._stop_after = stop_after

    @property
    def taken(self) -> int:
        return (self.epoch - 1) * self.steps + self.step

    def begin_epoch(self, epoch: int) -> None:
        self.epoch, self.step = epoch, 0

    def take_steps(self) -> Iterator[None]:
        while self.step < self.steps:
            self.step += 1
            self.log.append(f"step {self.taken}")
            if self.taken == self._stop_after:
                os.kill(os.getpid(), signal.SIGTERM)
            yield

    def train_loss(self) -> float:
        return 1 / self.taken

    def validate(self, *, between: Callable[[], None]) -> Validation:
        self.log.append(f"validate {self.epoch}")
        between()
        labels = np.zeros(1, dtype=np.int64)
        scores = Scores(loss=LOSSES[self.epoch - 1], loss_error=0.1, accuracy=0.5, predictions=labels)
        return Validation(logits=np.zeros((1, 2), dtype=np.float32), labels=labels, scores=scores)

    def weights(self) -> Mapping[str, Tensor]:
        return {"taken": torch.tensor(self.taken)}

    def state(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "step": self.step}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.epoch, self.step = state["epoch"], state["step"]


def run(training: Counting, *, history: History, checkpoints: Checkpoints | None = None) -> list[Epoch]:
    state = checkpoints.load() if checkpoints is not None else None
    epochs = run_epochs(training, epochs=3, history=history, checkpoints=checkpoints, state=state, observer=Observer())
    return list(epochs)


def kept_in(folder: Path) -> Checkpoints:
    return Checkpoints(folder, identity={"job": "counting"})


def test_each_epoch_is_validated_after_its_steps_and_the_settled_ones_weights_are_kept() -> None:
    training, history = Counting(), History()
    epochs = run(training, history=history)
    assert training.log == [
        *("step 1", "step 2", "validate 1"),
        *("step 3", "step 4", "validate 2"),
        *("step 5", "step 6", "validate 3"),
    ]
    assert [epoch.train_loss for epoch in epochs] == [1 / 2, 1 / 4, 1 / 6]
    assert history.epochs == epochs
    assert history.kept == epochs[1]
    assert history.weights == {"taken": torch.tensor(4)}


def test_the_last_epoch_is_saved_and_the_next_attempt_has_nothing_left_to_do(tmp_path: Path) -> None:
    run(Counting(), history=History(), checkpoints=kept_in(tmp_path))
    training, history = Counting(), History()
    assert run(training, history=history, checkpoints=kept_in(tmp_path)) == []
    assert training.log == []
    assert [epoch.number for epoch in history.epochs] == [1, 2, 3]
    assert history.weights == {"taken": torch.tensor(4)}


@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_sigterm_ends_the_training_after_the_step_and_the_next_attempt_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], stop_after: int
) -> None:
    interrupted, history = Counting(stop_after=stop_after), History()
    with pytest.raises(SystemExit) as end:
        run(interrupted, history=history, checkpoints=kept_in(tmp_path))
    assert end.value.code == EXIT_STATUS
    assert interrupted.log[-1] == f"step {stop_after}"
    epoch, step = divmod(stop_after - 1, 2)
    where = f"epoch {epoch + 1}, step {step + 1} of 2"
    assert f"interrupted by SIGTERM at {where}" in capsys.readouterr().out

    resumed = Counting()
    run(resumed, history=(whole := History()), checkpoints=kept_in(tmp_path))
    assert f"resumed at {where}" in capsys.readouterr().out
    assert [line for line in resumed.log if line.startswith("step")] == [f"step {n}" for n in range(stop_after + 1, 7)]
    assert [epoch.train_loss for epoch in whole.epochs] == [1 / 2, 1 / 4, 1 / 6]


def test_a_training_that_keeps_nothing_leaves_sigterm_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    caught: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: caught.append(number))
    try:
        assert len(run(Counting(stop_after=3), history=History())) == 3
    finally:
        signal.signal(signal.SIGTERM, before)
    assert caught == [signal.SIGTERM]


def test_a_checkpoint_that_is_due_is_written_between_two_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Checkpoints, "due", lambda _self: True)

    class Stopped(Counting):
        def take_steps(self) -> Iterator[None]:
            for _ in super().take_steps():
                yield
                if self.taken == 3:
                    raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(Stopped(), history=History(), checkpoints=kept_in(tmp_path))
    state = kept_in(tmp_path).load()
    assert state is not None
    assert state["training"] == {"epoch": 2, "step": 1}
