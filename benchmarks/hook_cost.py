"""What the debugger hook costs, at its default setting, against smdebug's own hook set up as its documentation shows.

* Features: the CPU time of the whole best-trial job (`training/train.py`, on the features of a frozen backbone), what
  the hook adds to its loop, and what importing smdebug takes. A head's step is so short that the loop's own share is
  told in the unit.
* Fine-tuning: an optimiser step of a ResNet50, with nothing saved, with its loss, and with everything; the share is
  that of a training of 20 epochs.

In turns, in CPU time: a busy neighbour does not count.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import contract
from benchmarks.photos import bench_records, describe_photos
from benchmarks.result import Result, emit
from benchmarks.timing import interleave, median
from benchmarks.training_step import BATCH, DEVICE, a_tuning, photos, synthetic
from training.data.loader import Batch
from training.debugger import activations, hook
from training.debugger.collections import Collections, own_configuration
from training.debugger.samples import activation_sample
from training.embedding.files import SplitWriter, write_index
from training.embedding.store import SplitFeatures, read_split
from training.loop.head_loop import fit
from training.model.head import new_head
from training.model.weights import load_backbone
from training.runtime.observer import Observer, TensorHook

# isort: split
import smdebug.pytorch as smd

ROOT = Path(__file__).parents[1]
SAVE_INTERVAL = 50
VALUES = contract.Hyperparameters(backbone="efficientnet_lite0")
EPOCHS = VALUES.epochs

Records = list[contract.ImageRecord]


@contextmanager
def our_hook(mode: str) -> Iterator[TensorHook]:
    with tempfile.TemporaryDirectory() as folder:
        configured = own_configuration(mode, save_interval=SAVE_INTERVAL, output_dir=Path(folder))
        ours = hook.DebuggerHook(folder=Path(configured["LocalPath"]), collections=Collections(configured))
        yield ours
        ours.close()
        if ours.report()["failed"]:
            raise RuntimeError(f"the hook did not save everything: {ours.report()['failures']}")


class SmdebugsOwn:
    """smdebug's hook with the weights, biases and gradients at the interval and the loss of every step."""

    def __init__(self, folder: Path, *, save_interval: int):
        collections = ["losses", "weights", "biases", "gradients"]
        config = smd.SaveConfig(save_interval=save_interval)
        self.hook = smd.Hook(out_dir=str(folder / "tensors"), save_config=config, include_collections=collections)
        self.hook.get_collection("losses").save_config = smd.SaveConfig(save_interval=1)

    def begin_training(self, model: nn.Module, *, epochs: int, steps: int, done: int) -> None:
        self.hook.register_module(model)

    def begin_step(self, step: int) -> None:
        self.hook.set_mode(smd.modes.TRAIN)

    def after_backward(self, *, scaled: bool) -> None:
        """Its module hooks saw the gradients."""

    def end_step(self, *, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        self.hook.record_tensor_value("CrossEntropyLoss_output_0", loss)

    def validated(self, *, loss: float, logits: Tensor, labels: Tensor) -> None:
        self.hook.set_mode(smd.modes.EVAL)
        self.hook.record_tensor_value("CrossEntropyLoss_output_0", torch.tensor(loss))


@contextmanager
def smdebugs_hook(save_interval: int = SAVE_INTERVAL) -> Iterator[TensorHook]:
    with tempfile.TemporaryDirectory() as folder:
        peer = SmdebugsOwn(Path(folder), save_interval=save_interval)
        yield peer
        peer.hook.close()


def run(*, quick: bool) -> list[Result]:
    torch.set_num_threads(1)
    return [_features(quick=quick), _finetune(quick=quick)]


def _features(*, quick: bool) -> Result:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root, records = bench_records(limit=150 if quick else None)
        _fill(folder, records)
        train, validation = (read_split(folder / "features", split) for split in ("train", "validation"))
        loop = interleave(
            {
                "none": lambda: _loop(train, validation, nullcontext()),
                "ours": lambda: _loop(train, validation, our_hook("features")),
                "smdebug": lambda: _loop(train, validation, smdebugs_hook()),
            },
            rounds=3 if quick else 11,
        )
        jobs = interleave(
            {"none": lambda: _job(folder, root, hooked=False), "ours": lambda: _job(folder, root, hooked=True)},
            rounds=1 if quick else 3,
        )
        importing = median(_import_seconds() for _ in range(1 if quick else 3))
    cost = {name: median(seconds) for name, seconds in loop.items()}
    job = {name: median(seconds) for name, seconds in jobs.items()}
    added = {name: cost[name] - cost["none"] for name in ("ours", "smdebug")}
    ours, peer = ((importing + added[name]) / job["none"] for name in ("ours", "smdebug"))
    steps = -(-len(train.labels) // VALUES.batch_size) * EPOCHS
    return Result(
        name="hook_features",
        unit=f"share of the training time: {importing:.2f} s to import smdebug and {added['ours']:.2f} s for {steps} "
        f"steps of {cost['none']:.2f} s, in a job of {job['none']:.1f} s (measured whole, with the hook: "
        f"{job['ours']:.1f} s); {describe_photos()}",
        ours=ours,
        peers={"smdebug's hook": peer},
        ratio=peer / ours,
        against="smdebug's hook",
        goal="at most 0.05",
        holds=ours <= 0.05,
    )


def _loop(train: SplitFeatures, validation: SplitFeatures, saving: AbstractContextManager[TensorHook | None]) -> float:
    """CPU seconds of a head's training, with the hook's beginning and end."""
    head = new_head(train.features, levels=[train.features.shape[2]], classes=int(train.labels.max()) + 1)
    start = time.process_time()
    with saving as one:
        for _ in fit(head, train=train, validation=validation, hyperparameters=VALUES, observer=Observer(hook=one)):
            pass
    return time.process_time() - start


def _fill(folder: Path, records: Records) -> None:
    """The job's channels; the features are made up, since the job does not make them."""
    classes = sorted({Path(record["path"]).parent.name for record in records})
    backbone, weights = load_backbone(VALUES.backbone, image_size=VALUES.image_size)
    levels = backbone.level_sizes(image_size=VALUES.image_size)
    spec = contract.feature_spec(VALUES, weights=weights, levels=levels, precision="float32")
    index = contract.new_features_index(spec, key="k", classes=classes)
    (folder / "features").mkdir()
    rng = np.random.default_rng(0)
    for split in contract.SPLITS:
        ours = [record for record in records if record["split"] == split]
        shape = (len(ours), index["views"][split], index["dim"])
        labels = np.array([record["label"] for record in ours])
        made_up = rng.normal(size=shape) + 0.1 * labels[:, np.newaxis, np.newaxis]
        with SplitWriter(folder / "features", split=split, views=shape[1], dim=shape[2], precision="float32") as writer:
            writer.add(made_up.astype(np.float32), records=ours, positions=range(len(ours)))
        index["counts"][split] = len(ours)
    write_index(folder / "features", index)
    (folder / "manifest").mkdir()
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "manifest" / contract.Artefact.MANIFEST).write_text(lines, encoding="utf-8")
    summary = {
        "classes": [{"name": name} for name in classes],
        "fingerprint": "f" * 64,
        "test_fingerprint": "t" * 64,
    }
    (folder / "manifest" / contract.Artefact.DATASET_SUMMARY).write_text(json.dumps(summary), encoding="utf-8")


def _job(folder: Path, photos_root: Path, *, hooked: bool) -> float:
    """CPU seconds of the whole job, in a process of its own."""
    variables = {
        "SM_CHANNEL_DATASET": str(photos_root),
        "SM_CHANNEL_MANIFEST": str(folder / "manifest"),
        "SM_CHANNEL_FEATURES": str(folder / "features"),
        "SM_HPS": json.dumps(VALUES.to_strings()),
        "SM_MODEL_DIR": str(folder / "model"),
        "SM_OUTPUT_DATA_DIR": str(folder / "output"),
        "TRAINING_JOB_NAME": "bench",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
        **contract.JOB_ENVIRONMENT,
    }
    if hooked:
        variables[contract.JobVariable.SAVE_INTERVAL] = str(SAVE_INTERVAL)
    return _children_seconds([str(ROOT / contract.EntryPoint.TRAIN)], variables)


def _import_seconds() -> float:
    """CPU seconds that the hook's modules take to import where the training's are there already."""
    before, after = "import training.train", "import training.train, training.debugger.hook"
    variables = {"PYTHONPATH": str(ROOT)}
    return _children_seconds(["-c", after], variables) - _children_seconds(["-c", before], variables)


def _children_seconds(arguments: list[str], variables: dict[str, str]) -> float:
    start = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], env={**os.environ, **variables}, check=True, stdout=subprocess.DEVNULL)
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    return end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime


class AtStep:
    """Has a hook take every step for the one of a number, and counts the CPU seconds of its calls."""

    def __init__(self, one: TensorHook, number: int):
        self._one, self._number = one, number
        self.seconds = 0.0

    def begin_training(self, model: nn.Module, *, epochs: int, steps: int, done: int) -> None:
        self._one.begin_training(model, epochs=epochs, steps=steps, done=done)

    def begin_step(self, _step: int) -> None:
        self._timed(lambda: self._one.begin_step(self._number))

    def after_backward(self, *, scaled: bool) -> None:
        self._timed(lambda: self._one.after_backward(scaled=scaled))

    def end_step(self, *, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        self._timed(lambda: self._one.end_step(loss=loss, logits=logits, labels=labels))

    def validated(self, *, loss: float, logits: Tensor, labels: Tensor) -> None:
        self._timed(lambda: self._one.validated(loss=loss, logits=logits, labels=labels))

    def _timed(self, work: Callable[[], None]) -> None:
        start = time.process_time()
        work()
        self.seconds += time.process_time() - start


@dataclass
class Steps:
    """Optimiser steps of a fine-tuning of its own, hooked or not."""

    saving: AtStep | None = None

    def __post_init__(self) -> None:
        observer = Observer(hook=self.saving)
        tuning = a_tuning(photos(), observer=observer)
        tuning.model.train()
        observer.begin_training(tuning.model, epochs=EPOCHS, steps=_STEPS_OF_EPOCH, done=0)
        images, labels = next(synthetic())
        batch = Batch(images, labels, torch.ones(BATCH, dtype=torch.bool), torch.arange(BATCH)).to(DEVICE)
        self._step: Callable[[], None] = lambda: tuning.take_step(batch)
        self._step()

    def take(self) -> float:
        """CPU seconds of a step."""
        start = time.process_time()
        self._step()
        return time.process_time() - start

    @contextmanager
    def sampling_timed(self) -> Iterator[None]:
        """Inside, what our hook does in the network's modules counts as its calls."""
        sample, saving = activation_sample, self.saving

        def timed(activation: Tensor) -> Tensor:
            start = time.process_time()
            taken = sample(activation)
            if saving:
                saving.seconds += time.process_time() - start
            return taken

        activations.__dict__["activation_sample"] = timed
        try:
            yield
        finally:
            activations.__dict__["activation_sample"] = sample

    def calls(self) -> float:
        """CPU seconds of the hook's calls in a step."""
        before = self.saving.seconds if self.saving else 0.0
        self._step()
        return (self.saving.seconds if self.saving else 0.0) - before


_STEPS_OF_EPOCH = 11
"""Of clothing10's 703 training photos."""

_EVERYTHING, _LOSS = 2, 3
"""Steps of which everything, and of which the loss is saved."""


def _finetune(*, quick: bool) -> Result:
    steps = EPOCHS * _STEPS_OF_EPOCH
    detailed = len({*range(contract.FIRST_STEPS), *range(0, steps, SAVE_INTERVAL), steps - 1})
    with our_hook("finetune") as ours, smdebugs_hook(1) as peer, smdebugs_hook(10**9) as peer_of_losses:
        none = Steps()
        everything = {"ours": Steps(AtStep(ours, _EVERYTHING)), "smdebug": Steps(AtStep(peer, _EVERYTHING))}
        with everything["ours"].sampling_timed():
            rounds = interleave(
                {"none": none.take, "ours": everything["ours"].calls, "smdebug": everything["smdebug"].take},
                rounds=1 if quick else 5,
            )
        del everything
        of_losses = {"ours": Steps(AtStep(ours, _LOSS)), "smdebug": Steps(AtStep(peer_of_losses, _LOSS))}
        losses = {name: median(one.calls() for _ in range(1 if quick else 3)) for name, one in of_losses.items()}
    importing = _import_seconds()
    cost = {name: median(seconds) for name, seconds in rounds.items()}
    # The peer's work is in its module hooks, so that it can only be told by what a step takes more.
    added = {"ours": cost["ours"], "smdebug": cost["smdebug"] - cost["none"]}
    share = {
        name: (importing + detailed * added[name] + (steps - detailed) * losses[name]) / (steps * cost["none"])
        for name in losses
    }
    return Result(
        name="hook_finetune",
        unit=f"share of the training time: {detailed} of {steps} steps with everything saved, "
        f"{added['ours']:.2f} s more for a step of {cost['none']:.1f} s, ResNet50, batch {BATCH}; "
        "smdebug's hook without activations",
        ours=share["ours"],
        peers={"smdebug's hook": share["smdebug"]},
        ratio=share["smdebug"] / share["ours"],
        against="smdebug's hook",
        goal="at most 0.10",
        holds=share["ours"] <= 0.10,
    )


if __name__ == "__main__":
    emit(run(quick="--quick" in sys.argv))
