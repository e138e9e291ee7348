"""Names of runs, jobs and result files."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Final

from contract.jobs import Artefact

__all__ = [
    "APPROVALS_PREFIX",
    "BATCHES_PREFIX",
    "CAPTURE_PREFIX",
    "CHECKPOINTS_PREFIX",
    "CLAIMS_PREFIX",
    "DRIFT_PREFIX",
    "FEATURES_PREFIX",
    "FEEDBACK_PREFIX",
    "JOBS_PREFIXES",
    "OWN_PREFIXES",
    "RELEASES_PREFIX",
    "RUNS_PREFIX",
    "TENSORS_PREFIX",
    "UPLOADS_PREFIX",
    "approval_key",
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

APPROVALS_PREFIX: Final = "approvals/"
"""Key prefix of the questions that wait for a person's answer."""

BATCHES_PREFIX: Final = "batches/"
"""Key prefix of the photos and answers of batches, `<prefix><batch>/`: S3 deletes them after some days."""

JOBS_PREFIXES: Final = (RUNS_PREFIX, FEATURES_PREFIX, CHECKPOINTS_PREFIX, TENSORS_PREFIX)
"""What jobs read and write below in the data bucket."""

UPLOADS_PREFIX: Final = "uploads/"
"""Key prefix of the photos that callers of the API upload before they are classified; S3 deletes them soon."""

FEEDBACK_PREFIX: Final = "feedback/"
"""Key prefix of the photos that callers of the API send with the right label; S3 deletes what nobody has reviewed."""

RELEASES_PREFIX: Final = "releases/"
"""Key prefix of the records of who served when, which jobs and the endpoint may not write."""

CLAIMS_PREFIX: Final = "claims/"
"""Key prefix of what runs and batches may come to cost, `<prefix><month>/<name>.json`, where there is a ceiling."""

CAPTURE_PREFIX: Final = "captured/"
"""Key prefix of captured answers, `<prefix><endpoint>/<variant>/yyyy/mm/dd/hh/`: S3 deletes them after some days."""

DRIFT_PREFIX: Final = "drift/"
"""Key prefix of what the checks of captured answers found."""

OWN_PREFIXES: Final = (
    *JOBS_PREFIXES,
    APPROVALS_PREFIX,
    BATCHES_PREFIX,
    UPLOADS_PREFIX,
    FEEDBACK_PREFIX,
    RELEASES_PREFIX,
    CLAIMS_PREFIX,
    CAPTURE_PREFIX,
    DRIFT_PREFIX,
)
"""What the runs, batches and the API write below in the data bucket. No photos or weights of a user's belong there."""

_LONGEST_RUN = 11
"""Room of a run's name in a tuning job's, after a prefix of 18 characters and before the number of a second attempt."""


def run_id(execution_name: str, *, started: str | datetime) -> str:
    """Return the short name of a run, at most 11 characters of `[a-z0-9-]`.

    A tuning job's name has at most 32 characters (CreateHyperParameterTuningJob) and an execution's at most 80. A UUID,
    as Step Functions gives where the caller gives no name, is shortened to its first 11 characters. Any other name may
    be used again, 90 days later or after the stack was deployed anew, while SageMaker never frees the name of a job:
    such a run is named after the name's beginning and a hash of name and start.

    Args:
        execution_name: Name of the execution.
        started: Its start, as a datetime with a time zone or as ISO 8601 text with one (`$$.Execution.StartTime`). Only
            whole seconds count.
    """
    name = execution_name.lower()
    if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", name):
        return name[:_LONGEST_RUN]
    moment = datetime.fromisoformat(started) if isinstance(started, str) else started
    second = moment.astimezone(UTC).isoformat(timespec="seconds")
    digest = hashlib.sha256(f"{execution_name} {second}".encode()).hexdigest()
    readable = re.sub(r"[^a-z0-9]+", "-", name)[:5].strip("-")
    return f"{readable}-{digest}"[:_LONGEST_RUN].lstrip("-")


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


def approval_key(run: str) -> str:
    """Return the key of `Artefact.APPROVAL`, below a prefix that jobs and the endpoint may not read.

    The file holds the token with which anybody can answer.
    """
    return f"{APPROVALS_PREFIX}{run}/{Artefact.APPROVAL.value}"


def result_key(run: str, name: str) -> str:
    """Return the key of a file of the training's output, such as `Artefact.EVALUATION`.

    Verdict unpacks the job's archive to these keys, where the report and later verdicts read the files one by one.
    """
    return f"runs/{run}/results/{name}"
