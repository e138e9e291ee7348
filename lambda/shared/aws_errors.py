"""How AWS words and codes the errors that a Lambda expects, in one place.

SageMaker reports a missing resource as a ValidationException, so that only the message tells it from a wrong request.
"""

from __future__ import annotations

from botocore.exceptions import ClientError

__all__ = [
    "already_exists",
    "error_code",
    "error_message",
    "has_ended",
    "is_already_there",
    "is_being_changed",
    "is_denied",
    "is_missing_bucket",
    "is_missing_endpoint",
    "is_missing_execution",
    "is_missing_job",
    "is_missing_object",
    "is_missing_parameter",
    "is_missing_resource",
    "is_missing_state_machine",
    "is_throttled",
    "is_unreadable_object",
    "was_written_meanwhile",
]

_MISSING_RESOURCE = ("Could not find", "does not exist", "Requested resource not found")
"""Parts of the messages with which SageMaker's API answers for a resource that it does not have."""

_MISSING_ENDPOINT = "not found"
"""How InvokeEndpoint words a missing endpoint: "Endpoint … of account … not found."."""

_ENDED = ("status", "Stopped", "Completed", "Failed")
"""Parts of the messages with which SageMaker refuses to stop a job that has just ended."""

_BEING_CHANGED = "in-progress"
"""How SageMaker refuses to change an endpoint: "Cannot update in-progress endpoint …"."""

_EXISTS = "Cannot create already existing"
"""How SageMaker refuses to create an endpoint of a name that it has."""

_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedException")
_NOT_AUTHORIZED = ("not authorized to perform", "does not allow AWS CodeBuild")
"""Codes of a refusal by IAM, and its wording where a service was refused and answers with a code of its own."""

_THROTTLED = (
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionInProgressException",
)
"""Codes by which AWS throttles an account (botocore's list, "Standard retry mode")."""


def error_code(error: ClientError) -> str:
    """Return the error's code, such as `ValidationException`; empty where there is none."""
    return str(error.response.get("Error", {}).get("Code", ""))


def error_message(error: ClientError) -> str:
    """Return the error's message; empty where there is none."""
    return str(error.response.get("Error", {}).get("Message", ""))


def is_missing_resource(error: ClientError) -> bool:
    """Return whether SageMaker says that there is no such endpoint, model, job or group."""
    return error_code(error) == "ResourceNotFound" or _says(error, *_MISSING_RESOURCE)


def is_missing_job(error: ClientError) -> bool:
    """Return whether a Describe or List call says that there is no such job.

    Its only parameter is a name, so that a ValidationException has no other reason.
    """
    return error_code(error) in ("ResourceNotFound", "ValidationException")


def is_missing_endpoint(error: ClientError) -> bool:
    """Return whether InvokeEndpoint says that there is no such endpoint."""
    return _says(error, _MISSING_ENDPOINT, *_MISSING_RESOURCE)


def is_being_changed(error: ClientError) -> bool:
    """Return whether SageMaker refuses to change or delete an endpoint that is being created or updated."""
    return _says(error, _BEING_CHANGED)


def already_exists(error: ClientError) -> bool:
    """Return whether SageMaker refuses to create an endpoint because there is one of its name."""
    return _says(error, _EXISTS)


def is_denied(error: ClientError) -> bool:
    """Return whether IAM refuses the call, or one that the service makes for it."""
    return error_code(error) in _DENIED or _says(error, *_NOT_AUTHORIZED)


def is_throttled(error: ClientError) -> bool:
    """Return whether AWS refuses a call because the account has made too many."""
    return error_code(error) in _THROTTLED


def has_ended(error: ClientError) -> bool:
    """Return whether SageMaker refuses to stop a job because it has ended."""
    return _says(error, *_ENDED)


def is_missing_object(error: ClientError) -> bool:
    """Return whether S3 says that there is no such object (404)."""
    return _status(error) == 404


def is_unreadable_object(error: ClientError) -> bool:
    """Return whether an object is missing or may not be read.

    HeadObject answers 403 for a missing object where the caller may not list the bucket.
    """
    return _status(error) in (403, 404)


def is_already_there(error: ClientError) -> bool:
    """Return whether S3 refuses to write an object because there is one (`If-None-Match: *`)."""
    return error_code(error) == "PreconditionFailed"


def was_written_meanwhile(error: ClientError) -> bool:
    """Return whether S3 refuses a conditional write since another one came first, or comes at the same time."""
    return error_code(error) in ("PreconditionFailed", "ConditionalRequestConflict")


def is_missing_bucket(error: ClientError) -> bool:
    """Return whether S3 says that there is no such bucket."""
    return error_code(error) == "NoSuchBucket"


def is_missing_parameter(error: ClientError) -> bool:
    """Return whether SSM says that there is no such parameter."""
    return error_code(error) == "ParameterNotFound"


def is_missing_execution(error: ClientError) -> bool:
    """Return whether Step Functions says that there is no such execution."""
    return error_code(error) == "ExecutionDoesNotExist"


def is_missing_state_machine(error: ClientError) -> bool:
    """Return whether Step Functions says that there is no such state machine."""
    return error_code(error) == "StateMachineDoesNotExist"


def _says(error: ClientError, *texts: str) -> bool:
    return any(text in error_message(error) for text in texts)


def _status(error: ClientError) -> int | None:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
