"""A training killed at any moment ends, restarted, with the weights and the history of one that was not: to the bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.training.conftest import Workspace
from training.runtime.interruption import EXIT_STATUS

ROOT = Path(__file__).parents[3]

RANDOM_MOMENTS = 2
"""Beside the chosen ones; `KILL_SEED` and a larger number in the environment's `KILL_MOMENTS` search further."""


def killed(root: Path, kind: str) -> list[dict[str, Any]]:
    moments = os.environ.get("KILL_MOMENTS", str(RANDOM_MOMENTS))
    result = subprocess.run(
        [sys.executable, "-m", "tests.training.kill_and_resume", str(root), kind, moments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def check(moments: list[dict[str, Any]]) -> None:
    different = [moment for moment in moments if not moment["same"]]
    assert not different, different[0]
    chosen = [moment for moment in moments if not moment["moment"].startswith("after ") or "update" in moment["moment"]]
    assert len(chosen) >= 6
    for moment in chosen:
        assert moment["ends"] == [-9 if "SIGKILL" in moment["moment"] else EXIT_STATUS, 0], moment
    for moment in moments:
        assert "Traceback" not in moment["log"]
        assert "damaged" not in moment["log"]
        if moment["ends"][0] == EXIT_STATUS:
            assert "interrupted by SIGTERM at epoch" in moment["log"]
            assert "the next attempt goes on from there" in moment["log"]
            assert "resumed at epoch" in moment["log"]


def test_a_heads_training_killed_at_any_moment_ends_with_the_same_weights(tmp_path: Path) -> None:
    check(killed(tmp_path, "head"))


def test_a_fine_tuning_killed_at_any_moment_ends_with_the_same_weights(workspace: Workspace) -> None:
    workspace.fill(each=10)
    workspace.write_weights()
    workspace.start(
        channels=("dataset", "manifest", "weights"),
        mode="finetune",
        epochs=3,
        batch_size=8,
        learning_rate=0.02,
        mixup=0.2,
        cutmix=1.0,
        randaugment=5,
        ema=0.9,
        label_smoothing=0.1,
    )
    check(killed(workspace.root, "finetune"))
