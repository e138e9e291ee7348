"""What the endpoint's failures are to the caller: a status, the reason, and whether to come back.

The names of the errors are those of "InvokeEndpoint" (SageMaker API reference).
"""

from __future__ import annotations

import json
from functools import partial
from typing import Final

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError
from shared.aws_errors import error_code, error_message, is_throttled

from .problems import Problem

__all__ = ["FAILED_TO_START", "NONE_YET", "NOT_READY", "TOO_LONG", "may_pass", "problem_of"]

logger = Logger(child=True)

# Each is made when it is raised: an exception that is raised again keeps the frames, and photos, of every time before.
NONE_YET: Final = partial(
    Problem,
    503,
    "No model yet",
    "No model has been released yet: start the state machine (the output StateMachineConsole, or `whippet run`) "
    "and try again when it has succeeded.",
)
NOT_READY: Final = partial(
    Problem,
    503,
    "Model not ready",
    "The endpoint is being created or changed; try again in some minutes.",
    retry_after=60,
)
FAILED_TO_START: Final = partial(
    Problem,
    503,
    "Model failed to start",
    "The endpoint has failed; start the state machine to release a model again.",
)
_WAKING: Final = partial(
    Problem,
    503,
    "Model is waking",
    "The model sleeps while nobody asks, and starts now, which takes up to a minute or two; try again in 20 seconds.",
    retry_after=20,
)
_BUSY: Final = partial(
    Problem, 503, "Model is busy", "Too many requests at once; try again in some seconds.", retry_after=2
)
TOO_LONG: Final = partial(
    Problem,
    504,
    "No answer in time",
    "The model took too long; try again in some seconds, or send a smaller image.",
    retry_after=5,
)
_UNAVAILABLE: Final = partial(
    Problem,
    503,
    "Model not available",
    "SageMaker failed to pass the request on; try again in some seconds.",
    retry_after=5,
)
_FAILED: Final = partial(
    Problem, 502, "Model failed", "The model could not answer; try again in some seconds.", retry_after=5
)
_UNREACHABLE: Final = partial(
    Problem,
    502,
    "Model not reachable",
    "The request did not reach the model; the API's log has the reason.",
    retry_after=5,
)

_PASSING: Final = ("InternalFailure", "InternalDependencyException", "ServiceUnavailable")
"""Failures of SageMaker itself, of which the next request may know nothing."""

_NO_STATUS: Final = 0
"""The status of a container that did not answer: `Received server error (0) … Your invocation timed out`."""


def may_pass(error: ClientError | BotoCoreError) -> bool:
    """Return whether the same request may succeed at once: SageMaker failed, or the connection was lost."""
    if isinstance(error, ClientError):
        return error_code(error) in _PASSING
    return not isinstance(error, ReadTimeoutError)


def problem_of(error: ClientError | BotoCoreError, *, is_serverless: bool) -> Problem:
    """Return what a failure is to the caller; ValidationErrors, which mean a missing endpoint, are not known here."""
    if isinstance(error, ClientError):
        return _of_refusal(error)
    logger.warning("no answer from the endpoint", extra={"error": str(error)})
    if not isinstance(error, ReadTimeoutError):
        return _UNAVAILABLE()
    return _WAKING() if is_serverless else TOO_LONG()


def _of_refusal(error: ClientError) -> Problem:
    code, status = error_code(error), error.response.get("OriginalStatusCode")

    # the model refused the image: its own words
    if code == "ModelError" and isinstance(status, int) and 400 <= status < 500:
        return _of_model(status, str(error.response.get("OriginalMessage", "")))

    # a serverless endpoint has no container yet
    if code == "ModelNotReadyException":
        return _WAKING()

    # anything else is no fault of the caller
    logger.warning("the endpoint refused", extra={"code": code, "reason": error_message(error), "model_status": status})
    if code == "ModelError":
        known = {_NO_STATUS: TOO_LONG, 503: _BUSY, 504: TOO_LONG}
        return known.get(status if isinstance(status, int) else _NO_STATUS, _FAILED)()
    if is_throttled(error) or code == "TooManyRequests":
        return _BUSY()
    return (_UNAVAILABLE if code in _PASSING else _UNREACHABLE)()


def _of_model(status: int, original: str) -> Problem:
    """Return the endpoint's own problem details."""
    try:
        value = json.loads(original)
        return Problem(status, str(value["title"]), str(value["detail"]))
    except (ValueError, KeyError, TypeError):
        return Problem(status, "Image refused", original or "The model refused the image.")
