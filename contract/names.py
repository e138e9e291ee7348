"""Names of runs, jobs and result files."""

from __future__ import annotations

import hashlib
import re
from typing import Final

__all__ = [
    "CHECKPOINTS_PREFIX",
    "FEATURES_PREFIX",
    "OWN_PREFIXES",
    "RUNS_PREFIX",
    "TENSORS_PREFIX",
    "features_job_name",
    "job_prefix",
    "result_key",
    "rules_job_name",
    "run_id",
    "training_job_name",
    "tuning_job_name",
]

RUNS_PREFIX: Final = "runs/"
"""Key prefix of the runs' manifests and results."""

FEATURES_PREFIX: Final = "features/"
"""Key prefix of the photos' features."""

CHECKPOINTS_PREFIX: Final = "checkpoints/"
"""Key prefix of the checkpoints, `<prefix><run>/<job>/`: S3 deletes them soon (a lifecycle rule takes no wildcard)."""

TENSORS_PREFIX: Final = "debug/"
"""Key prefix of the tensors that SageMaker Debugger reads, `<prefix><run>/`: S3 deletes them after a while."""

OWN_PREFIXES: Final = (RUNS_PREFIX, FEATURES_PREFIX, CHECKPOINTS_PREFIX, TENSORS_PREFIX)
"""What the runs write below in the data bucket. No photos or weights of a user's belong there."""


def run_id(execution_name: str) -> str:
    """Return the short name of a run, at most 13 characters of `[a-z0-9-]`, for its execution's name.

    A tuning job's name has at most 32 characters (CreateHyperParameterTuningJob) and an execution's at most 80. Names
    that do not fit are shortened: a UUID, as the console gives, to its first 13 characters, any other name to a hash.
    """
    name = re.sub(r"[^a-z0-9]+", "-", execution_name.lower()).strip("-")
    if name and len(name) <= 13 and name == execution_name:
        return name
    if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", name):
        return name[:13]
    return hashlib.sha256(execution_name.encode()).hexdigest()[:13]


def job_prefix(prefix: str, run: str) -> str:
    """Return `<prefix>-<run>`, with which the names of a run's jobs, model and endpoint configuration begin."""
    return f"{prefix}-{run}"


def features_job_name(prefix: str, run: str) -> str:
    """Return the name of the training job that computes the features."""
    return f"{job_prefix(prefix, run)}-features"


def tuning_job_name(prefix: str, run: str) -> str:
    """Return the name of the tuning job. SageMaker names its trials `<tuning job>-<number>-<hash>`."""
    return job_prefix(prefix, run)


def training_job_name(prefix: str, run: str) -> str:
    """Return the name of the training job with the best values."""
    return f"{job_prefix(prefix, run)}-train"


def rules_job_name(prefix: str, run: str) -> str:
    """Return the name of the processing job that evaluates the debugger's rules where SageMaker does not."""
    return f"{job_prefix(prefix, run)}-rules"


def result_key(run: str, name: str) -> str:
    """Return the key of a file of the training's output, such as `Artefact.EVALUATION`.

    Verdict unpacks the job's archive to these keys, where the report and later verdicts read the files one by one.
    """
    return f"runs/{run}/results/{name}"
