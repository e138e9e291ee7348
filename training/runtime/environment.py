"""The job's environment: where its inputs lie, where its results go, its hyperparameters and its name.

All of it comes in `SM_…` variables set by the sagemaker-training toolkit (its ENVIRONMENT_VARIABLES page), so that the
same script runs in a SageMaker container and in a plain process.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import contract

__all__ = [
    "JobError",
    "channel",
    "checkpoint_dir",
    "hosts",
    "hyperparameters",
    "is_streamed",
    "job_name",
    "model_dir",
    "optional_channel",
    "output_dir",
    "run_job",
    "scratch_dir",
    "write_json",
]


class JobError(RuntimeError):
    """The job cannot go on; the message says what was wrong, what was expected and what to do."""


def hyperparameters() -> contract.Hyperparameters:
    """Return the job's hyperparameters.

    Raises:
        ContractError: an unknown hyperparameter, or a value outside its limits.
    """
    return contract.Hyperparameters.from_strings(json.loads(_variable("SM_HPS")))


def channel(name: contract.Channel) -> Path:
    """Return the folder of an input channel that the job needs.

    Raises:
        JobError: the job has no such channel.
    """
    folder = optional_channel(name)
    if folder is None:
        raise JobError(f"the job has no input channel {name.value!r}; add it to the job's InputDataConfig")
    return folder


def optional_channel(name: contract.Channel) -> Path | None:
    """Return the folder of an input channel, or None where the job was given none."""
    text = os.environ.get(f"SM_CHANNEL_{name.value.upper()}")
    if text is None:
        return None
    folder = Path(text)
    if not folder.is_dir():
        raise JobError(f"input channel {name.value!r} has no folder {folder}; does its S3 prefix hold any object?")
    return folder


def is_streamed(name: contract.Channel) -> bool:
    """Return whether a channel's files are read from S3 as they are opened (FastFile), and not copied before the job.

    The toolkit hands on `/opt/ml/input/config/inputdataconfig.json` ("How Amazon SageMaker AI provides training
    information", developer guide) as SM_INPUT_DATA_CONFIG. Outside SageMaker no channel is streamed.
    """
    described = json.loads(os.environ.get("SM_INPUT_DATA_CONFIG") or "{}")
    return bool(described.get(name.value, {}).get("TrainingInputMode") == "FastFile")


def model_dir() -> Path:
    """Return the folder whose content becomes the job's model artefact."""
    return _made(_variable("SM_MODEL_DIR"))


def output_dir() -> Path:
    """Return the folder whose content becomes the job's `output.tar.gz`."""
    return _made(_variable("SM_OUTPUT_DATA_DIR"))


def checkpoint_dir() -> Path | None:
    """Return the folder that SageMaker keeps across a job's attempts; None for a job without CheckpointConfig.

    It is `/opt/ml/checkpoints`, the documented default of `CheckpointConfig.LocalPath`. No SM_ variable names it, so
    it is found from SAGEMAKER_BASE_DIR, by which the toolkit itself finds `/opt/ml`.
    """
    folder = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")) / "checkpoints"
    return folder if folder.is_dir() else None


@contextmanager
def scratch_dir() -> Iterator[Path]:
    """Give a folder for what need not outlast the job, on this host's disk; its processes on this host share it.

    It lies in the folder for temporary files: SageMaker offers /tmp as scratch space, on the instance's NVMe storage or
    else on its EBS volume ("SageMaker AI environment variables and the default paths for training storage locations"
    and "Managing storage paths for different types of instance local storage", developer guide). It is removed at the
    end by the first process of the host; files that others still have open last until they close them.
    """
    host = os.environ.get("SM_CURRENT_HOST", "")
    folder = Path(tempfile.gettempdir()) / f"whippet-{job_name()}-{host}"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        if os.environ.get("LOCAL_RANK", "0") == "0":
            shutil.rmtree(folder, ignore_errors=True)


def job_name() -> str:
    """Return the training job's name, as in CreateTrainingJob."""
    return _variable("TRAINING_JOB_NAME")


def hosts() -> tuple[int, int]:
    """Return this host's number, from 0, and how many the job runs on: (0, 1) outside SageMaker."""
    names = sorted(json.loads(os.environ.get("SM_HOSTS", "[]")))
    current = os.environ.get("SM_CURRENT_HOST", "")
    if len(names) < 2:
        return 0, 1
    if current not in names:
        raise JobError(f"SM_CURRENT_HOST is {current!r} and not one of SM_HOSTS, {names}; start all hosts of the job")
    return names.index(current), len(names)


def write_json(file: Path, content: object) -> None:
    """Write a JSON file that people can read too."""
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")


def run_job(main: Callable[[], None]) -> None:
    """Run a job's `main`; an expected failure ends the process with one readable line in place of a traceback.

    The toolkit makes `FailureReason` of what follows the first name of a Python error in the output, hence the line's
    start. SIGTERM, where it arrives, ends it with a message too; a training that can keep its state for the next
    attempt handles the signal by itself.
    """
    signal.signal(signal.SIGTERM, _end)
    try:
        main()
    except (JobError, ValueError) as error:
        if not type(error).__module__.startswith(("contract", "training")):
            raise  # a bug, not a reason: its traceback is wanted
        reason = " ".join(str(error).split())[: contract.MAX_ERROR_CHARACTERS]
        print(f"RuntimeError: {reason}", file=sys.stderr, flush=True)
        sys.exit(1)


def _end(_number: int, _frame: FrameType | None) -> None:
    print("interrupted by SIGTERM; the next attempt resumes from the last checkpoint, if there is one", flush=True)
    sys.exit(128 + signal.SIGTERM)


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise JobError(f"environment variable {name} is not set; start this script with the sagemaker-training toolkit")
    return value


def _made(text: str) -> Path:
    folder = Path(text)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
