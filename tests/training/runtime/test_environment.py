from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import contract
from training.runtime import environment
from training.runtime.environment import JobError

ROOT = Path(__file__).parents[3]


def test_reads_the_toolkits_parsed_hyperparameters(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = {"learning_rate": 0.02, "batch_size": 64, "backbone": "resnet18", "flip": "False", "sagemaker_x": 1}
    monkeypatch.setenv("SM_HPS", json.dumps(parsed))
    given = environment.hyperparameters()
    assert (given.learning_rate, given.batch_size, given.backbone, given.flip) == (0.02, 64, "resnet18", False)


def test_a_channel_the_job_was_not_given_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SM_CHANNEL_FEATURES", raising=False)
    with pytest.raises(JobError, match=r"no input channel 'features'.*InputDataConfig"):
        environment.channel(contract.Channel.FEATURES)


def test_a_channel_without_a_folder_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SM_CHANNEL_WEIGHTS", str(tmp_path / "missing"))
    with pytest.raises(JobError, match="'weights' has no folder"):
        environment.optional_channel(contract.Channel.WEIGHTS)


def run(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / script)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_an_expected_failure_ends_in_one_readable_line() -> None:
    result = run(contract.EntryPoint.TRIAL, SM_HPS='{"learnin_rate": 0.1}')
    assert result.returncode == 1
    assert result.stderr.startswith("RuntimeError: unknown hyperparameter 'learnin_rate'; known are average_mirrored, ")
    assert "Traceback" not in result.stderr


def test_sigterm_ends_a_job_with_a_message() -> None:
    code = "import os; from training.runtime.environment import run_job\nrun_job(lambda: os.kill(os.getpid(), 15))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 128 + 15
    assert result.stdout.startswith("interrupted by SIGTERM")
    assert "Traceback" not in result.stderr


def test_a_bug_shows_its_traceback() -> None:
    code = "from training.runtime.environment import run_job\nrun_job(lambda: int('x'))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert "ValueError: invalid literal" in result.stderr


def test_a_trial_imports_nothing_heavy_but_torch() -> None:
    heavy = ("torchvision", "PIL", "matplotlib")
    code = f"import sys; import training.trial; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == "[]", result.stderr
