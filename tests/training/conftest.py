"""A data set of coloured squares and a small network with random weights: the whole of training in seconds."""

from __future__ import annotations

import io
import json
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import models

import contract
import training.debugger  # noqa: F401 (prepares smdebug before a test imports it)
from training import features

torch.set_num_threads(1)  # the tests' networks are tiny, and cores may be shared

BACKBONE = "shufflenet_v2_x0_5"
CLASSES = {"blue é": (40, 60, 220), "green": (40, 200, 60), "red": (220, 50, 40)}
IMAGE_SIZE = 32


def photo(colour: tuple[int, int, int], *, seed: int, form: str = "JPEG") -> bytes:
    """A noisy square of a colour, on grey, somewhere."""
    noise = np.random.default_rng(seed)
    pixels = noise.integers(90, 150, size=(48, 40, 3))
    top, left = noise.integers(0, 20, size=2)
    pixels[top : top + 24, left : left + 18] = np.array(colour) + noise.integers(-15, 15, size=(24, 18, 3))
    file = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, form)
    return file.getvalue()


@dataclass
class Workspace:
    """The folders of a job, as SageMaker lays them out."""

    root: Path
    monkeypatch: pytest.MonkeyPatch

    def folder(self, name: str) -> Path:
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def start(self, *, channels: tuple[str, ...], model: str = "model", **hyperparameters: Any) -> Path:
        """Set the SM_ variables of a job; returns its model folder. Before a fine-tuning, run its features job."""
        if hyperparameters.get("mode") == "finetune" and "features" not in (*channels, model):
            names = {field for field in (*contract.FEATURE_HYPERPARAMETERS, "mode") if field in hyperparameters}
            shutil.rmtree(self.root / "features", ignore_errors=True)
            self.start(channels=channels, model="features", **{name: hyperparameters[name] for name in names})
            features.main()
            channels = (*channels, "features")
        values = {"backbone": BACKBONE, "image_size": IMAGE_SIZE, "views": 2, "epochs": 5, **hyperparameters}
        for channel in contract.Channel:
            self.monkeypatch.delenv(f"SM_CHANNEL_{channel.upper()}", raising=False)
        for channel_name in channels:
            self.monkeypatch.setenv(f"SM_CHANNEL_{channel_name.upper()}", str(self.root / channel_name))
        self.monkeypatch.setenv("SM_HPS", json.dumps(values))
        self.monkeypatch.setenv("SM_MODEL_DIR", str(self.root / model))
        self.monkeypatch.setenv("SM_OUTPUT_DATA_DIR", str(self.root / "output"))
        self.monkeypatch.setenv("TRAINING_JOB_NAME", "whippet-dev-r1-train")
        self.monkeypatch.setenv(contract.JobVariable.RUN, "r1")
        self.monkeypatch.setenv(contract.JobVariable.FEATURES_KEY, "k" * 32)
        return self.root / model

    def write_manifest(self, records: list[contract.ImageRecord], *, classes: list[str] | None = None) -> None:
        names = classes or list(CLASSES)
        seen = Counter((record["split"], record["label"]) for record in records)
        summary: contract.DatasetSummary = {
            "prefix": "dataset/",
            "classes": [
                {
                    "name": name,
                    "train": seen["train", label],
                    "validation": seen["validation", label],
                    "test": seen["test", label],
                }
                for label, name in enumerate(names)
            ],
            "images": len(records),
            "stray_files": 0,
            "duplicates_across_splits": 0,
            "left_out": [],
            "in_two_classes": [],
            "remarks": [],
            "split": "by content",
            "fingerprint": "f" * 64,
            "test_fingerprint": "t" * 64,
        }
        folder = self.folder("manifest")
        (folder / contract.Artefact.DATASET_SUMMARY).write_text(json.dumps(summary), encoding="utf-8")
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (folder / contract.Artefact.MANIFEST).write_text(lines, encoding="utf-8")

    def fill(self, *, each: int = 20) -> list[contract.ImageRecord]:
        """Photos and manifest: of each class 60 % for training, 20 % each for validation and test."""
        records: list[contract.ImageRecord] = []
        for label, (name, colour) in enumerate(CLASSES.items()):
            folder = self.folder(f"dataset/{name}")
            for index in range(each):
                (folder / f"{index:02}.jpg").write_bytes(photo(colour, seed=100 * label + index))
                part = index / each
                split: contract.SplitName = "train" if part < 0.6 else "validation" if part < 0.8 else "test"
                records.append({"path": f"{name}/{index:02}.jpg", "label": label, "split": split, "etag": "e"})
        self.write_manifest(records)
        return records

    def write_weights(self, name: str = BACKBONE) -> Path:
        """Random weights of a torchvision network, as the weights channel's only file."""
        torch.manual_seed(0)
        file = self.folder("weights") / f"{name}.pth"
        torch.save(models.get_model(name, weights=None).state_dict(), file)
        return file


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    return Workspace(root=tmp_path, monkeypatch=monkeypatch)


@pytest.fixture
def hooked_job(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that asks for a hook, with smdebug's reader in no need to wait for files on their way."""
    monkeypatch.setenv(contract.JobVariable.SAVE_INTERVAL, "5")
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(workspace.root))
    monkeypatch.setenv("SM_OUTPUT_DATA_DIR", str(workspace.root / "output"))
    monkeypatch.setenv("SMDEBUG_TRAINING_END_DELAY_REFRESH", "0")


@pytest.fixture(autouse=True)
def exporter(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Export by PyTorch's tracer, whose files answer alike and are written in a tenth of the time.

    Tests of the files themselves are marked `shipped_exporter`, and use the one that the training job uses.
    """
    if request.node.get_closest_marker("shipped_exporter"):
        return
    export = torch.onnx.export

    def traced(
        module: nn.Module,
        args: tuple[Tensor, ...],
        file: Path,
        *,
        input_names: list[str],
        output_names: list[str],
        **_: Any,
    ) -> None:
        export(
            module,
            args,
            file,
            input_names=input_names,
            output_names=output_names,
            dynamic_axes={name: {0: "images"} for name in (*input_names, *output_names)},
            dynamo=False,
        )

    monkeypatch.setattr(torch.onnx, "export", traced)
