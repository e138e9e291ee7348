"""The reason of a failure in plain words, out of the cause that Step Functions hands over."""

from __future__ import annotations

import json

__all__ = ["plain_cause"]

_REASONS = ("FailureReason", "errorMessage", "Cause", "message")
"""Members that hold the reason: of a described SageMaker job, a Lambda's exception, a nested error."""

_STATUSES = ("TrainingJobStatus", "HyperParameterTuningJobStatus", "ProcessingJobStatus", "EndpointStatus")

_NO_REASON = "no reason was given"


def plain_cause(cause: str) -> str:
    """Return a job's FailureReason or an exception's message where the cause holds one, else the cause as it is."""
    try:
        value = json.loads(cause)
    except ValueError:
        return cause.strip() or _NO_REASON

    if isinstance(value, dict):
        for key in _REASONS:
            if isinstance(value.get(key), str) and value[key]:
                return plain_cause(value[key])
        for key in _STATUSES:
            if key in value:
                return f"the job ended with status {value[key]}"
    return cause.strip() or _NO_REASON
