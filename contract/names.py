"""Names of runs and jobs, under one prefix."""

from __future__ import annotations

import hashlib
import re

__all__ = [
    "features_job_name",
    "job_prefix",
    "result_key",
    "rules_job_name",
    "run_id",
    "training_job_name",
    "tuning_job_name",
]


def run_id(execution_name: str) -> str:
    """Short name of a run, at most 13 characters of `[a-z0-9-]`, from its execution's name.

    A tuning job's name holds 32 characters (CreateHyperParameterTuningJob), an execution's 80, so a long name is cut:
    a UUID, as the console gives, to its first 13 characters; anything else to a hash.
    """
    name = re.sub(r"[^a-z0-9]+", "-", execution_name.lower()).strip("-")
    if name and len(name) <= 13 and name == execution_name:
        return name
    if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", name):
        return name[:13]
    return hashlib.sha256(execution_name.encode()).hexdigest()[:13]


def job_prefix(prefix: str, run: str) -> str:
    """`<prefix>-<run>`: the name every job, model and endpoint configuration of a run starts with."""
    return f"{prefix}-{run}"


def features_job_name(prefix: str, run: str) -> str:
    """The training job that computes the features."""
    return f"{job_prefix(prefix, run)}-features"


def tuning_job_name(prefix: str, run: str) -> str:
    """The tuning job; SageMaker names its trials `<tuning job>-<number>-<hash>`."""
    return job_prefix(prefix, run)


def training_job_name(prefix: str, run: str) -> str:
    """The best-trial training."""
    return f"{job_prefix(prefix, run)}-train"


def rules_job_name(prefix: str, run: str) -> str:
    """The processing job that evaluates the debugger's rules where SageMaker does not."""
    return f"{job_prefix(prefix, run)}-rules"


def result_key(run: str, name: str) -> str:
    """Key of a file of the best training's output (`Artefact.EVALUATION`, `Artefact.PROFILE` …).

    The verdict unpacks them from the job's archive, so that reports and later verdicts read them one by one.
    """
    return f"runs/{run}/results/{name}"
