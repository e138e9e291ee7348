"""The rules see the tensors of a training that was interrupted and resumed."""

from __future__ import annotations

import json

import pytest
from smdebug import modes
from smdebug.trials import create_trial

import contract
from tests.training.conftest import Workspace
from tests.training.hook_fixtures import STEPS, interrupted_head, reported, saved, trained_head
from training.debugger.kept_tensors import ARCHIVE

pytestmark = pytest.mark.usefixtures("hooked_job")


def test_a_resumed_training_goes_on_with_the_tensors_of_the_attempt_before(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained_head()
    whole = saved(workspace)
    expected = {step: float(whole.tensor(contract.LOSS_TENSOR).value(step)[0]) for step in whole.steps()}
    complete = reported(workspace)
    monkeypatch.setenv("SM_OUTPUT_DATA_DIR", str(workspace.root / "first"))
    interrupted_head(workspace, monkeypatch)
    assert saved(workspace, "first/tensors").steps() == list(range(STEPS + 1 + 4))
    for attempt in ("second", "third"):  # the third is interrupted in what comes after the training: nothing to train
        monkeypatch.setenv("SM_OUTPUT_DATA_DIR", str(workspace.root / attempt))
        trained_head(workspace.root / "checkpoints")
        trial = saved(workspace, f"{attempt}/tensors")
        assert trial.steps() == whole.steps()
        assert {s: float(trial.tensor(contract.LOSS_TENSOR).value(s)[0]) for s in trial.steps()} == expected
        for collection in ("losses", "gradients", "weights", "labels"):
            assert trial.tensor_names(collection=collection) == whole.tensor_names(collection=collection)
        report = reported(workspace, attempt)
        assert _counts(report) == _counts(complete)
        assert "kept" in report["note"]


def _counts(report: contract.HookReport) -> tuple[int, ...]:
    return report["first_step"], report["steps"], report["tensors"], report["failed"]


def test_kept_tensors_that_cannot_be_read_do_not_end_the_training(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted_head(workspace, monkeypatch)
    (workspace.root / "checkpoints" / ARCHIVE).write_bytes(b"no archive")
    monkeypatch.setenv("SM_OUTPUT_DATA_DIR", str(workspace.root / "second"))
    trained_head(workspace.root / "checkpoints")
    report = reported(workspace, "second")
    assert (report["first_step"], report["failed"]) == (STEPS + 4, 1)
    assert "the tensors of the attempt before" in report["failures"][0]


def test_a_resumed_training_goes_on_with_the_steps_numbers(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained_head()
    whole = saved(workspace)
    expected = {step: float(whole.tensor(contract.LOSS_TENSOR).value(step)[0]) for step in whole.steps()}
    monkeypatch.setenv("SM_OUTPUT_DATA_DIR", str(workspace.root / "interrupted"))
    interrupted_head(workspace, monkeypatch)
    first = create_trial(str(workspace.root / "interrupted/tensors"))
    (workspace.root / "checkpoints" / ARCHIVE).unlink()  # as where the instance was lost without a warning
    monkeypatch.setenv("SM_OUTPUT_DATA_DIR", str(workspace.root / "output2"))
    trained_head(workspace.root / "checkpoints")
    second = create_trial(str(workspace.root / "output2/tensors"))
    assert first.steps() == list(range(STEPS + 1 + 4))
    assert second.steps() == list(range(STEPS + 1 + 4, 4 * STEPS + 4))
    assert second.steps(mode=modes.EVAL) == [1, 2, 3]
    for trial in (first, second):
        for step in trial.steps():
            assert trial.tensor(contract.LOSS_TENSOR).value(step)[0] == expected[step]
    report = json.loads((workspace.root / "output2" / contract.Artefact.HOOK_REPORT).read_text(encoding="utf-8"))
    assert (report["first_step"], report["steps"]) == (STEPS + 4, 3 * STEPS - 4)
    assert "went on at step 11" in report["note"]
