"""The rules see the tensors of a training that was interrupted and resumed."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
from smdebug import modes
from smdebug.trials import create_trial

import contract
from tests.training.conftest import Workspace
from tests.training.hook_fixtures import STEPS, interrupted_head, killed_head, reported, saved, trained_head
from training.debugger.rules.evaluation import evaluate

pytestmark = pytest.mark.usefixtures("hooked_job")


def test_a_resumed_training_goes_on_with_the_tensors_of_the_attempt_before(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained_head()
    whole = saved(workspace)
    expected = {step: float(whole.tensor(contract.LOSS_TENSOR).value(step)[0]) for step in whole.steps()}
    complete = reported(workspace)
    monkeypatch.setenv("SM_OUTPUT_DATA_DIR", str(workspace.root / "first"))
    interrupted_head(workspace)
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


@pytest.mark.parametrize("checkpoint_every", [1, 3, 4])
def test_a_training_that_was_killed_goes_on_with_the_tensors_of_its_checkpoints(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, checkpoint_every: int
) -> None:
    """No signal warns it, as in AWS's training image; steps after the last checkpoint are taken again."""
    trained_head()
    whole, complete = saved(workspace), reported(workspace)
    expected = {step: float(whole.tensor(contract.LOSS_TENSOR).value(step)[0]) for step in whole.steps()}

    monkeypatch.setenv("SM_OUTPUT_DATA_DIR", str(workspace.root / "lost-with-its-instance"))
    killed_head(workspace, checkpoint_every=checkpoint_every)
    assert archives(workspace)
    monkeypatch.setenv("SM_OUTPUT_DATA_DIR", str(workspace.root / "second"))
    trained_head(workspace.root / "checkpoints")

    # tensors and report begin with the first attempt's steps, and no step counts twice
    trial, report = saved(workspace, "second/tensors"), reported(workspace, "second")
    assert trial.steps() == whole.steps()
    assert {s: float(trial.tensor(contract.LOSS_TENSOR).value(s)[0]) for s in trial.steps()} == expected
    assert _counts(report) == _counts(complete)
    assert "kept" in report["note"]

    # a rule that looks at the first steps alone can be evaluated
    (result,) = evaluate(
        workspace.root / "second/tensors",
        {"PoorWeightInitialization": {}},
        mode="finetune",
        evaluator="own",
        hook=report,
    )
    assert result["status"] in ("NoIssuesFound", "IssuesFound")


def test_each_tensor_is_packed_once(workspace: Workspace) -> None:
    """However many checkpoints there are: keeping must not cost more the longer the training lasts."""
    killed_head(workspace, checkpoint_every=1)
    packed: list[str] = []
    for archive in archives(workspace):
        with tarfile.open(archive) as opened:
            packed += [name for name in opened.getnames() if "/events/" in name or "/index/" in name]
    assert len(packed) == len(set(packed)) > STEPS
    assert len(archives(workspace)) > STEPS


def test_tensors_whose_last_archive_was_not_uploaded_are_missed_and_the_others_are_not(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_head(workspace, checkpoint_every=3)
    archives(workspace)[-1].unlink()
    monkeypatch.setenv("SM_OUTPUT_DATA_DIR", str(workspace.root / "second"))
    trained_head(workspace.root / "checkpoints")
    report = reported(workspace, "second")
    assert (report["first_step"], report["failed"]) == (0, 0)
    lost = sorted(set(range(4 * STEPS)) - set(saved(workspace, "second/tensors").steps(mode=modes.TRAIN)))
    assert lost
    assert f"the tensors from step {lost[0]} to there were lost" in report["note"]
    assert report["steps"] == 4 * STEPS - len(lost)


def test_tensors_of_another_training_are_not_taken(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_head(workspace, checkpoint_every=3)
    for checkpoint in (workspace.root / "checkpoints").glob("*.pt"):
        checkpoint.unlink()  # those of other hyperparameters are passed over in the same way
    monkeypatch.setenv("SM_OUTPUT_DATA_DIR", str(workspace.root / "second"))
    trained_head(workspace.root / "checkpoints")
    assert "note" not in reported(workspace, "second")
    assert reported(workspace, "second")["steps"] == 4 * STEPS


def archives(workspace: Workspace) -> list[Path]:
    return sorted((workspace.root / "checkpoints").glob("tensors-*.tar"))


def _counts(report: contract.HookReport) -> tuple[int, ...]:
    return report["first_step"], report["steps"], report["tensors"], report["failed"]


def test_kept_tensors_that_cannot_be_read_do_not_end_the_training(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted_head(workspace)
    archives(workspace)[0].write_bytes(b"no archive")
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
    interrupted_head(workspace)
    first = create_trial(str(workspace.root / "interrupted/tensors"))
    for archive in archives(workspace):  # as where SageMaker uploaded the checkpoint alone
        archive.unlink()
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
