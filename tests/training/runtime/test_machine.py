"""GPUs that torch cannot use end a job, whichever part of it asks for them first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import contract
from training.embedding.embedder import Embedder
from training.profiler.profiler import Profiler
from training.profiler.system_probes import probes
from training.runtime import environment, machine
from training.runtime.distributed import joined
from training.runtime.environment import JobError
from training.runtime.machine import LoaderPlan, has_cuda, plan_loader, reading_threads

ROOT = Path(__file__).parents[3]


@pytest.fixture
def no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


ASKING: dict[str, Callable[[], object]] = {
    "the device of a training": lambda: joined().__enter__(),
    "the device of the features": lambda: Embedder.on_all_devices(nn.Identity()),  # type: ignore[arg-type]
    "the loader": lambda: plan_loader(batch_size=8, image_size=32),
    "the profiler": lambda: Profiler(contract.Hyperparameters()),
    "the sampler": probes,
}


@pytest.mark.usefixtures("no_cuda")
@pytest.mark.parametrize("asking", ASKING)
def test_gpus_without_cuda_end_the_job(asking: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    driver = tmp_path / "version"
    driver.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.57.02  Tue Jul 13 16:14:05 UTC 2021\n")
    monkeypatch.setattr(machine, "_DRIVER", driver)
    monkeypatch.setenv("SM_NUM_GPUS", "4")
    with pytest.raises(JobError, match=r"has 4 GPUs.*cannot use CUDA.*driver 470\.57\.02.*another instance type"):
        ASKING[asking]()


@pytest.mark.usefixtures("no_cuda")
@pytest.mark.parametrize("gpus", [None, "0", ""])
def test_a_machine_without_gpus_computes_on_its_cpu(gpus: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SM_NUM_GPUS", raising=False)
    if gpus is not None:
        monkeypatch.setenv("SM_NUM_GPUS", gpus)
    assert not has_cuda()


def test_gpus_that_torch_can_use_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setenv("SM_NUM_GPUS", "1")
    assert has_cuda()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_the_job_ends_with_one_line_that_says_what_to_do() -> None:
    script = "from training.runtime import environment, machine; environment.run_job(lambda: print(machine.has_cuda()))"
    job = subprocess.run(
        [sys.executable, "-c", script],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "SM_NUM_GPUS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert job.returncode == 1
    assert job.stderr.startswith("RuntimeError: this machine has 1 GPU, and torch")
    assert "Traceback" not in job.stderr


@pytest.mark.usefixtures("no_cuda")
def test_photos_that_are_streamed_are_read_by_more_threads_than_there_are_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "cores", lambda: 8)
    assert plan_loader(batch_size=32, image_size=224).threads == 2, "the others are the network's"
    streamed = plan_loader(batch_size=4, image_size=224, streamed=True)
    assert streamed == LoaderPlan(threads=32, batches_ahead=8, pin_memory=False, chunk=1)
    assert streamed.batches_ahead * 4 // streamed.chunk >= streamed.threads, "each of them has a photo to read"
    assert (reading_threads(streamed=False), reading_threads(streamed=True)) == (8, 32)


@pytest.mark.parametrize("mode", ["File", "FastFile"])
def test_a_job_knows_which_channels_are_streamed(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    described = {"dataset": {"TrainingInputMode": mode, "RecordWrapperType": "None"}}
    monkeypatch.setenv("SM_INPUT_DATA_CONFIG", json.dumps(described))
    assert environment.is_streamed(contract.Channel.DATASET) == (mode == "FastFile")
    assert not environment.is_streamed(contract.Channel.MANIFEST)
    monkeypatch.delenv("SM_INPUT_DATA_CONFIG")
    assert not environment.is_streamed(contract.Channel.DATASET)
