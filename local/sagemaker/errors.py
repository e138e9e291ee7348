"""The errors of SageMaker's API, and the failure of a job."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["JobFailure", "SageMakerError", "unknown_operation", "validation"]


class SageMakerError(Exception):
    """An error that the API answers.

    Attributes:
        code: SageMaker's error code, e.g. `ValidationException`, `ResourceInUse`.
        message: the message for the client.
        status: HTTP status of the answer.
        members: further members of the answer's body (`ModelError` has `OriginalStatusCode` and others).
    """

    def __init__(
        self, code: str, message: str, status: int = 400, *, members: Mapping[str, str | int] | None = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.members = dict(members or {})


class JobFailure(Exception):  # noqa: N818 - not an error of the API: it becomes a job's FailureReason
    """The job fails; the message is its FailureReason."""


def validation(message: str) -> SageMakerError:
    """Return a ValidationException of the API."""
    return SageMakerError("ValidationException", message)


def unknown_operation(name: str, *, exists: bool) -> SageMakerError:
    """Return the refusal of an operation that the local SageMaker does not have, or SageMaker neither."""
    if not name:
        what = "The request names no operation: expected the header X-Amz-Target: SageMaker.<operation>."
    elif exists:
        what = f"{name}: the local SageMaker does not support it; see docs/local-cloud.md for what it does."
    else:
        what = f"{name}: SageMaker has no such operation."
    return SageMakerError("UnknownOperationException", what)
