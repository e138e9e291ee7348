"""A job as SageMaker runs it: the source bundle through the sagemaker-training toolkit, in a process of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np

import contract
from training.embedding.files import SplitWriter, write_index

ROOT = Path(__file__).parents[2]


def write_features(folder: Path) -> None:
    """Features of two classes that a head tells apart at once."""
    folder.mkdir(parents=True)
    counts: dict[contract.SplitName, int] = {"train": 20, "validation": 10, "test": 10}
    for split, count in counts.items():
        labels = [index % 2 for index in range(count)]
        features = np.random.default_rng(count).normal(size=(count, 1, 4)) + 5 * np.array(labels)[:, None, None]
        records: list[contract.ImageRecord] = [
            {"path": f"{index}.jpg", "label": label, "split": split, "etag": "e"} for index, label in enumerate(labels)
        ]
        with SplitWriter(folder, split=split, views=1, dim=4, precision="float32") as writer:
            writer.add(features.astype(np.float32), records=records, positions=range(count))
    spec = contract.feature_spec(
        contract.Hyperparameters(views=0),
        weights="w",
        resize=256,
        interpolation="bilinear",
        levels=[4],
        precision="float32",
    )
    index = contract.new_features_index(spec, key="k", classes=["a", "b"])
    index["counts"] = counts
    write_index(folder, index)


def run_trial(base: Path, **hyperparameters: str) -> subprocess.CompletedProcess[str]:
    """Lay out what SageMaker gives a container below `base` and start the toolkit's `train` command."""
    bundle, config, host = base / "sourcedir.tar.gz", base / "input/config", socket.gethostname()
    for folder in (config, base / "model", base / "output/data", base / "code"):
        folder.mkdir(parents=True)
    with tarfile.open(bundle, "w:gz") as archive:
        for package in ("contract", "training"):
            for file in sorted((ROOT / package).rglob("*.py")):
                archive.add(file, arcname=file.relative_to(ROOT).as_posix())
    write_features(base / "input/data/features/job/output/model")
    values = {
        "sagemaker_program": str(contract.EntryPoint.TRIAL),
        "sagemaker_submit_directory": str(bundle),
        **contract.Hyperparameters(epochs=3).to_strings(),
        **hyperparameters,
    }
    channel = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}
    resources = {"current_host": host, "hosts": [host], "network_interface_name": "lo"}
    for name, content in (
        ("hyperparameters", values),
        ("inputdataconfig", {str(contract.Channel.FEATURES): channel}),
        ("resourceconfig", resources),
    ):
        (config / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return subprocess.run(
        [str(Path(sys.executable).parent / "train")],
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "SAGEMAKER_BASE_DIR": str(base),
            "SAGEMAKER_TRAINING_MODULE": "sagemaker_pytorch_container.training:main",
            "TRAINING_JOB_NAME": "whippet-dev-r1-001",
            "AWS_REGION": "us-east-1",
        },
        cwd=base,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_trial_runs_from_the_source_bundle_and_its_log_holds_the_objective(tmp_path: Path) -> None:
    result = run_trial(tmp_path / "ml")
    assert result.returncode == 0, result.stdout + result.stderr
    assert (tmp_path / "ml/output/success").exists()
    assert "validation:accuracy=1.000000;" in result.stdout


def test_the_failure_file_says_what_was_wrong_in_plain_words(tmp_path: Path) -> None:
    result = run_trial(tmp_path / "ml", epochs="0")
    assert result.returncode != 0
    failure = (tmp_path / "ml/output/failure").read_text(encoding="utf-8")
    assert "epochs=0 is outside 1 to 1000" in failure
    assert "Traceback" not in failure
