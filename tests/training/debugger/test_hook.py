"""The tensors that the debugger hook saves, read back with smdebug as a rule reads them."""

from __future__ import annotations

import errno
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from google.protobuf.internal import api_implementation
from smdebug import modes
from torch import Tensor, nn

import contract
from tests.training.conftest import CLASSES, Workspace
from tests.training.hook_fixtures import HEAD, STEPS, interrupted_head, reported, saved, trained_head
from tests.training.loop.fine_tunings import start, start_pretrained
from tests.training.loop.test_finetune import run_training
from training.debugger import hook
from training.debugger.collections import Collections, own_configuration
from training.debugger.files import TensorFiles
from training.debugger.rules.evaluation import evaluate
from training.loop import finetune
from training.loop.instrumented import instrumented_training
from training.profiler.profiler import Profiler
from training.runtime.distributed import Group
from training.runtime.environment import JobError

pytestmark = pytest.mark.usefixtures("hooked_job")

SECOND = Group(rank=1, size=1, device=torch.device("cpu"))
"""The environment of a process that is not the main one."""


def with_photos(workspace: Workspace, **hyperparameters: Any) -> contract.Hyperparameters:
    """Run a fine-tuning job of three epochs of three steps."""
    workspace.fill(each=20)
    workspace.write_weights()
    return start(workspace, **hyperparameters)


def test_a_heads_training_is_saved_under_the_contracts_names(workspace: Workspace) -> None:
    head = trained_head()
    trial = saved(workspace)
    assert trial.steps(mode=modes.TRAIN) == list(range(4 * STEPS))
    assert trial.steps(mode=modes.EVAL) == list(range(4))
    assert len(trial.steps()) == 4 * STEPS + 4
    for collection, names in {
        "losses": [contract.LOSS_TENSOR],
        "weights": ["linear.weight"],
        "biases": ["linear.bias"],
        "gradients": ["gradient/linear.bias", "gradient/linear.weight"],
        "labels": ["labels"],
        "predictions": ["predictions"],
    }.items():
        assert trial.tensor_names(collection=collection) == names
        steps = trial.tensor(names[0]).steps(mode=modes.TRAIN)
        # The first three, every fifth, and the last.
        assert steps == (list(range(28)) if collection == "losses" else [0, 1, 2, 5, 10, 15, 20, 25, 27])
    loss = trial.tensor(contract.LOSS_TENSOR)
    assert loss.value(0, mode=modes.TRAIN) == pytest.approx(np.log(3), rel=1e-5), "it starts from equal scores"
    assert loss.value(27, mode=modes.TRAIN) < 0.5 * loss.value(0, mode=modes.TRAIN)
    assert loss.value(3, mode=modes.EVAL) == pytest.approx(loss.value(31)), "the same step, counted over all modes"
    assert trial.tensor("linear.weight").value(0, mode=modes.TRAIN).shape == (contract.MAX_SAMPLE,)
    assert not trial.tensor("linear.weight").value(0, mode=modes.TRAIN).any(), "as it was before the first update"
    assert trial.tensor("linear.bias").value(27, mode=modes.TRAIN) == pytest.approx(
        head.linear.bias.detach().numpy(), abs=1e-3
    )
    gradient = trial.tensor("gradient/linear.weight")
    assert gradient.reduction_value(0, "mean", abs=True, mode=modes.TRAIN) > 1e-3
    assert trial.tensor("labels").value(0, mode=modes.EVAL).tolist() == [0, 1, 2] * 10
    predictions = trial.tensor("predictions")
    assert (predictions.value(3, mode=modes.EVAL) == trial.tensor("labels").value(3, mode=modes.EVAL)).mean() > 0.8
    assert predictions.value(5, mode=modes.TRAIN).shape == (16,)
    report = reported(workspace)
    assert (report["steps"], report["first_step"], report["failed"], report["failures"]) == (28, 0, 0, [])
    assert report["tensors"] == 28 + 4 * 3 + 9 * 6 + 9 * 2
    assert report["bytes"] == pytest.approx(size_of(workspace.root / "output/tensors"), rel=0.02)
    assert "note" not in report


def size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize("unfreeze_from", ["", "stage4"])
def test_a_fine_tuning_is_saved_without_its_frozen_stages(workspace: Workspace, unfreeze_from: str) -> None:
    finetune.train(with_photos(workspace, unfreeze_from=unfreeze_from))
    trial = saved(workspace)
    assert reported(workspace)["classes"] == list(CLASSES), "rules name them"
    assert trial.steps(mode=modes.TRAIN) == list(range(9))
    names = trial.tensor_names(collection="weights")
    trained = {name.removeprefix("backbone.network.").split(".")[0] for name in names}
    late = {"stage4", "conv5", "head"}
    assert trained == (late if unfreeze_from else late | {"conv1", "stage2", "stage3"})
    weights = names + trial.tensor_names(collection="biases")
    assert trial.tensor_names(collection="gradients") == sorted(f"gradient/{name}" for name in weights)
    outputs = trial.tensor_names(collection="relu_output")
    assert "backbone.network.conv1.2.relu_output_0" in outputs
    assert [name.replace("output", "input") for name in outputs] == trial.tensor_names(collection="relu_input")
    for name in outputs:
        tensor = trial.tensor(name)
        assert tensor.steps(mode=modes.TRAIN) == [0, 1, 2, 5, 8]
        value = tensor.value(2, mode=modes.TRAIN)
        assert value.ndim == 4
        assert value.shape[0] == 4
        assert value.shape[2] <= 3
        assert value.shape[3] <= 3
        given = trial.tensor(name.replace("output", "input"))
        assert given.steps(mode=modes.TRAIN) == tensor.steps(mode=modes.TRAIN)
        np.testing.assert_array_equal(np.maximum(given.value(2, mode=modes.TRAIN), 0), value)
    assert trial.tensor("backbone.network.conv5.2.relu_output_0").value(2, mode=modes.TRAIN).shape[1] == 1024
    assert reported(workspace)["failures"] == []


def test_the_weights_are_the_same_to_the_bit_with_and_without_a_hook(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = with_photos(workspace, mixup=0.2)
    hooked, hooked_head = finetune.train(values).classifier.state_dict(), trained_head().state_dict()
    monkeypatch.delenv(contract.JobVariable.SAVE_INTERVAL)
    alone, head = finetune.train(values).classifier.state_dict(), trained_head().state_dict()
    assert all(torch.equal(value, alone[name]) for name, value in hooked.items())
    assert all(torch.equal(value, head[name]) for name, value in hooked_head.items())


def test_gradients_that_a_scaler_passes_over_are_not_held_against_a_training(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float16 the first gradients are often infinite, until the scaler has found its scale."""
    monkeypatch.setenv(contract.JobVariable.SAVE_INTERVAL, "1")
    monkeypatch.setattr(finetune, "training_precision", lambda _device: torch.float16)
    monkeypatch.setattr("torch.amp.GradScaler", partial(torch.amp.GradScaler, init_scale=2.0**18))
    workspace.fill(each=20)
    finetune.train(start_pretrained(workspace, epochs=3))
    trial = saved(workspace)
    assert trial.tensor("head.linear.weight").steps(mode=modes.TRAIN) == list(range(9))
    passed_over = {*range(9)} - {*trial.tensor("gradient/head.linear.weight").steps(mode=modes.TRAIN)}
    assert 0 in passed_over
    report = reported(workspace)
    assert f"gradients of {len(passed_over)} steps were too large for float16" in report["note"]
    assert report["failures"] == []
    (exploded,) = evaluate(
        workspace.root / "output/tensors", {"ExplodingTensor": {}}, mode="finetune", evaluator="own", hook=report
    )
    assert exploded["status"] == "NoIssuesFound"


class Odd(nn.Module):
    """A network with a parameter that is not trained and one that is never used."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.frozen, self.unused = nn.Linear(2, 3), nn.Linear(2, 3), nn.Linear(2, 3)
        self.frozen.requires_grad_(False)

    def forward(self, pixels: Tensor) -> Tensor:
        answers: Tensor = self.used(pixels) + self.frozen(pixels)
        return answers


def a_hook(workspace: Workspace) -> hook.DebuggerHook:
    configured = own_configuration("finetune", save_interval=5, output_dir=workspace.folder("output"))
    return hook.DebuggerHook(folder=Path(configured["LocalPath"]), collections=Collections(configured))


def take_steps(saving: hook.DebuggerHook, model: nn.Module, *, steps: int, done: int = 0) -> None:
    """Train for one epoch, with gradient descent."""
    saving.begin_training(model, epochs=1, steps=steps, done=done)
    for step in range(done, steps):
        model.zero_grad()
        saving.begin_step(step)
        answers = model(torch.ones(4, 2))
        labels = torch.zeros(4, dtype=torch.int64)
        loss = nn.functional.cross_entropy(answers, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        saving.after_backward()
        saving.end_step(loss=loss, logits=answers, labels=labels)
    saving.close()


def test_parameters_without_gradients_are_passed_over(workspace: Workspace) -> None:
    saving = a_hook(workspace)
    take_steps(saving, Odd(), steps=4)
    assert saving.report()["failures"] == []
    trial = saved(workspace)
    assert trial.tensor_names(collection="gradients") == ["gradient/used.bias", "gradient/used.weight"]
    assert trial.tensor_names(collection="weights") == ["unused.weight", "used.weight"]


def test_a_full_disk_is_reported_and_does_not_end_the_training(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = trained_head().state_dict()
    put, count = TensorFiles._put, 0

    def full(self: TensorFiles, place: str, content: bytes) -> None:
        nonlocal count
        count += 1
        if count > 10:
            raise OSError(errno.ENOSPC, "No space left on device", place)
        put(self, place, content)

    monkeypatch.setattr(TensorFiles, "_put", full)
    capsys.readouterr()
    assert all(torch.equal(value, whole[name]) for name, value in trained_head().state_dict().items())
    report = reported(workspace)
    assert report["failed"] > 5
    assert report["failures"] == [
        "the step: OSError: No space left on device",
        "the validation: OSError: No space left on device",
        "the collections: OSError: No space left on device",
    ]
    assert 0 < report["steps"] < 28
    said = capsys.readouterr().out
    assert said.count("the debugger hook could not save the step;") == 1
    assert "Error" not in said, "the toolkit would take it for the reason of a job that fails later"
    assert (workspace.root / "output/tensors/training_job_end.ts").exists()


def test_a_tensor_that_cannot_be_read_leaves_the_others(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Tensor:
        raise RuntimeError("no kernel for this activation")

    monkeypatch.setattr("training.debugger.activations.activation_sample", broken)
    saving = a_hook(workspace)
    take_steps(saving, nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 3)), steps=4)
    assert saving.report()["failures"] == ["activations: RuntimeError: no kernel for this activation"]
    trial = saved(workspace)
    assert trial.tensor_names(collection="weights") == ["0.weight", "2.weight"]
    assert trial.tensor(contract.LOSS_TENSOR).steps(mode=modes.TRAIN) == [0, 1, 2, 3]


def test_a_training_that_fails_or_is_stopped_leaves_the_mark_of_its_end(workspace: Workspace) -> None:
    mark = workspace.root / "output/tensors/training_job_end.ts"

    def end_with(error: BaseException) -> None:
        with instrumented_training(HEAD, profiler=Profiler(HEAD)) as observer:
            observer.begin_training(Odd(), epochs=1, steps=1, done=0)
            assert not mark.exists(), "an earlier attempt's"
            raise error

    for error in (JobError("the training diverged"), SystemExit(143)):
        with pytest.raises(type(error)):
            end_with(error)
        assert mark.exists()
        assert reported(workspace)["steps"] == 0


def test_sagemaker_debuggers_configuration_is_obeyed(workspace: Workspace) -> None:
    collections = [
        {"CollectionName": "losses", "CollectionParameters": {"train.save_interval": "2", "eval.save_interval": "1"}},
        {"CollectionName": "gradients", "CollectionParameters": {"save_interval": "9", "reductions": "min,abs_max"}},
        {
            "CollectionName": "of_mine",
            "CollectionParameters": {"include_regex": "linear.bias$", "save_steps": "4", "start_step": "99"},
        },
    ]
    configuration = {
        "S3OutputPath": "s3://bucket/debug/r1/",
        "LocalPath": str(workspace.root / "managed"),
        "HookParameters": None,
        "CollectionConfigurations": collections,
    }
    file = workspace.folder("input/config") / "debughookconfig.json"
    file.write_text(json.dumps(configuration), encoding="utf-8")
    interrupted_head(workspace)
    trained_head(workspace.root / "checkpoints")
    assert not (workspace.root / "managed/training_job_end.ts").exists(), "SageMaker writes it, after the last tensors"
    assert not list((workspace.root / "checkpoints").glob("*.tar")), "SageMaker keeps the tensors itself"
    trial = saved(workspace, "managed")
    assert not (workspace.root / "output/tensors").exists()
    assert trial.tensor(contract.LOSS_TENSOR).steps(mode=modes.TRAIN) == [*range(0, 28, 2), 27]
    assert trial.tensor_names(collection="weights") == trial.tensor_names(collection="labels") == []
    gradient = trial.tensor("gradient/linear.weight")
    assert gradient.steps(mode=modes.TRAIN) == [0, 9, 18, 27]
    low, high = (gradient.reduction_value(9, name, abs=name == "max", mode=modes.TRAIN) for name in ("min", "max"))
    assert low < 0 < -low <= high
    with pytest.raises(Exception, match="reductions saved for this step"):
        gradient.value(9, mode=modes.TRAIN)
    assert trial.tensor("linear.bias").steps(mode=modes.TRAIN) == [4, 27]


def test_the_files_of_a_long_training_stay_below_the_bound(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hook, "MAX_BYTES", 400_000)
    monkeypatch.setenv(contract.JobVariable.SAVE_INTERVAL, "1")
    trained_head()
    trial = saved(workspace)
    assert len(trial.tensor(contract.LOSS_TENSOR).steps(mode=modes.TRAIN)) == 28
    detailed = trial.tensor("linear.weight").steps(mode=modes.TRAIN)
    assert detailed[:3] == [0, 1, 2]
    assert detailed[-1] == 27
    assert {step // STEPS for step in detailed} >= {0, 2, 3}, "spread over the training"
    assert size_of(workspace.root / "output/tensors") < 400_000 + 28 * 500
    note = reported(workspace)["note"]
    assert f"{28 - len(detailed)} steps were left out" in note


def test_without_the_variable_or_in_another_process_there_is_no_hook(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with instrumented_training(HEAD, profiler=Profiler(HEAD), group=SECOND) as observer:
        observer.begin_training(Odd(), epochs=1, steps=1, done=0)
    monkeypatch.delenv(contract.JobVariable.SAVE_INTERVAL)
    trained_head()
    assert not (workspace.root / "output").exists()


def test_two_processes_are_saved_as_one_training(workspace: Workspace) -> None:
    """The job runs under torchrun, as on an instance with two GPUs."""
    workspace.fill(each=20)
    start_pretrained(workspace, epochs=2)
    evaluation, log = run_training(workspace, processes=2)
    assert "2 x cpu" in log
    assert evaluation["test_accuracy"] > 0.8
    trial = saved(workspace)
    assert trial.workers() == ["worker_0"]
    assert trial.steps(mode=modes.TRAIN) == list(range(6))
    assert trial.steps(mode=modes.EVAL) == [0, 1]
    assert trial.tensor("gradient/head.linear.weight").steps(mode=modes.TRAIN) == [0, 1, 2, 5]
    assert trial.tensor("labels").value(0, mode=modes.TRAIN).shape == (6,), "of the main process's share"
    assert trial.tensor("labels").value(1, mode=modes.EVAL).shape == (12,), "of both processes' shares"
    report = reported(workspace)
    assert (report["steps"], report["failed"]) == (6, 0)


def test_a_hook_that_cannot_be_had_is_reported(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(contract.JobVariable.SAVE_INTERVAL, "often")
    trained_head()
    report = reported(workspace)
    assert (report["steps"], report["failed"]) == (0, 1)
    assert "there is no debugger hook: ValueError: invalid literal" in report["failures"][0]
    said = capsys.readouterr().out
    assert said.count("there is no debugger hook;") == 1
    assert "Error" not in said


def test_what_is_declared_is_what_the_api_takes() -> None:
    for mode in contract.MODES:
        collections = contract.hook_collections(mode, 50)
        assert len(collections) <= 20
        for collection in collections:
            assert len(collection["CollectionParameters"]) <= 20
            assert all(isinstance(value, str) for value in collection["CollectionParameters"].values())
    with pytest.raises(contract.ContractError, match="save interval of 0"):
        contract.hook_collections("features", 0)
    with pytest.raises(contract.ContractError, match="mode 'both' is not known"):
        contract.hook_collections("both", 5)


def test_smdebugs_messages_run_on_the_fast_implementation() -> None:
    assert api_implementation.Type() == "upb"
