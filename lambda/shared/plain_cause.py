"""The reason a person wants to read, out of the cause that Step Functions hands over."""

from __future__ import annotations

import json

__all__ = ["plain_cause"]

_KEYS = ("FailureReason", "errorMessage", "Cause", "message")
"""Of a described SageMaker job, a Lambda's exception, a nested error."""


def plain_cause(cause: str) -> str:
    """The failure's own words: a job's FailureReason, an exception's message, or else the text as it is."""
    try:
        value = json.loads(cause)
    except ValueError:
        return cause.strip() or "no reason was given"
    if isinstance(value, dict):
        for key in _KEYS:
            if isinstance(value.get(key), str) and value[key]:
                return plain_cause(value[key])
        for key in ("TrainingJobStatus", "HyperParameterTuningJobStatus", "EndpointStatus"):
            if key in value:
                return f"the job ended with status {value[key]}"
    return cause.strip() or "no reason was given"
