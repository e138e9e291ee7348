"""Trains a head with the debugger hook, whole or interrupted, and reads what the hook saved."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from smdebug.trials import create_trial

import contract
from tests.training.conftest import Workspace
from training.embedding.store import SplitFeatures
from training.loop.head_loop import fit
from training.loop.instrumented import instrumented_training
from training.model.head import Head, new_head
from training.profiler.profiler import Profiler
from training.runtime.checkpoints import Checkpoints

HEAD = contract.Hyperparameters(epochs=4, batch_size=16, learning_rate=0.03)
STEPS = 7
"""The optimiser steps of an epoch of 100 photos."""


def features(images: int) -> SplitFeatures:
    labels = np.arange(images) % 3
    values = np.random.default_rng(images).normal(size=(2, images, 2000)) + labels[:, np.newaxis]
    return SplitFeatures(features=values.astype(np.float32), labels=labels, paths=[""] * images)


def trained_head(checkpoints: Path | None = None) -> Head:
    """Return a head of 2000 x 3 weights after four epochs of seven steps."""
    train, validation = features(100), features(30)
    head = new_head(train.features, levels=[2000], classes=3)
    with instrumented_training(HEAD, profiler=Profiler(HEAD)) as observer:
        kept = Checkpoints(checkpoints, identity={})
        for _ in fit(
            head, train=train, validation=validation, hyperparameters=HEAD, checkpoints=kept, observer=observer
        ):
            pass
    return head


def saved(workspace: Workspace, folder: str = "output/tensors") -> Any:
    return create_trial(str(workspace.root / folder))


def reported(workspace: Workspace, output: str = "output") -> contract.HookReport:
    report: contract.HookReport = json.loads(
        (workspace.root / output / contract.Artefact.HOOK_REPORT).read_text(encoding="utf-8")
    )
    return report


def struck_head(checkpoints: Path, number: signal.Signals) -> None:
    """Train until a signal arrives in the fourth step of the second epoch, before the weights change."""
    step, count = torch.optim.AdamW.step, 0

    def counted(self: torch.optim.AdamW, *arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count == STEPS + 4:
            signal.raise_signal(number)
        return step(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", counted)
        trained_head(checkpoints)


def interrupted_head(workspace: Workspace) -> None:
    """Train until SIGTERM arrives in the fourth step of the second epoch, which is then finished."""
    with pytest.raises(SystemExit):
        struck_head(workspace.folder("checkpoints"), signal.SIGTERM)


def killed_head(workspace: Workspace, *, checkpoint_every: int) -> None:
    """Train in a process of its own, with a checkpoint after so many steps each, until SIGKILL ends it in step 10."""
    code = (
        "import itertools, signal, sys; from pathlib import Path\n"
        "from tests.training import conftest, hook_fixtures\n"
        "asked = itertools.count(1)\n"
        f"hook_fixtures.Checkpoints.due = lambda self: next(asked) % {checkpoint_every} == 0\n"
        "hook_fixtures.struck_head(Path(sys.argv[1]), signal.SIGKILL)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(workspace.folder("checkpoints"))],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == -signal.SIGKILL, result.stdout + result.stderr
