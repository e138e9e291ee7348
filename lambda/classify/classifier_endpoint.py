"""The SageMaker endpoint behind the API, and its failures as problems for the caller."""

from __future__ import annotations

import json
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from shared.aws_errors import error_code, error_message, is_missing_endpoint, is_missing_resource

from contract import Answer, ServingMode

from .problems import Problem
from .request_image import ImageRequest

__all__ = ["ClassifierEndpoint"]

logger = Logger(child=True)

_FAST = Config(connect_timeout=2, read_timeout=22, retries={"total_max_attempts": 1})
"""A single attempt within the 29 seconds that API Gateway waits: it would cut off a second one."""
_DESCRIBE = Config(connect_timeout=2, read_timeout=4, retries={"total_max_attempts": 1})

_NONE_YET = Problem(
    503,
    "No model yet",
    "No model has been released yet: start the state machine (the output StateMachineConsole, or `whippet run`) "
    "and try again when it has succeeded.",
)
_NOT_READY = Problem(
    503,
    "Model not ready",
    "The endpoint is being created or changed; try again in some minutes.",
    retry_after=60,
)


_TOO_LONG = Problem(503, "Model did not answer", "The model took too long; try again in some seconds.", retry_after=5)
_WAKING = Problem(
    503,
    "Model is waking",
    "The model sleeps while nobody asks, and starts now, which takes up to a minute or two; try again in 20 seconds.",
    retry_after=20,
)


class ClassifierEndpoint:
    """The endpoint; every call is a single attempt."""

    def __init__(self, name: str, *, mode: ServingMode) -> None:
        self.name = name
        self._is_serverless = mode == "serverless"
        self._runtime = boto3.client("sagemaker-runtime", config=_FAST)
        self._sagemaker = boto3.client("sagemaker", config=_DESCRIBE)

    def classify(self, request: ImageRequest) -> str:
        """Return the endpoint's response, as JSON.

        Raises:
            Problem: the endpoint refuses the image, does not exist, does not answer, or is too old for what is asked.
        """
        try:
            response = self._runtime.invoke_endpoint(
                EndpointName=self.name,
                Body=request.body,
                ContentType=request.content_type,
                Accept="application/json",
                **({"CustomAttributes": request.attributes} if request.attributes else {}),
            )
            return _as_answer(response["Body"].read().decode(), request)
        except ClientError as error:
            raise self._explain(error) from None
        except BotoCoreError as error:
            logger.warning("no answer from the endpoint", extra={"error": str(error)})
            raise (_WAKING if self._is_serverless else _TOO_LONG) from None

    def health(self) -> dict[str, str]:
        """Return the status and the configuration of the endpoint, and since when it serves.

        Raises:
            Problem: the endpoint is not in service.
        """
        described = self._describe()

        # An endpoint that is updated serves its old model until the new one is ready.
        if described["EndpointStatus"] in ("InService", "Updating", "SystemUpdating", "RollingBack"):
            found = {"status": "ok", "endpoint": self.name, "release": described.get("EndpointConfigName", "")}
            if described["EndpointStatus"] == "InService":
                found["since"] = described["LastModifiedTime"].isoformat(timespec="seconds")
            return found
        if described["EndpointStatus"] == "Failed":
            raise Problem(
                503,
                "Model failed to start",
                "The endpoint has failed; start the state machine to release a model again.",
            )
        raise _NOT_READY

    def _describe(self) -> dict[str, Any]:
        try:
            return dict(self._sagemaker.describe_endpoint(EndpointName=self.name))
        except ClientError as error:
            if is_missing_resource(error):
                raise _NONE_YET from None
            raise

    def _explain(self, error: ClientError) -> Problem:
        code, status = error_code(error), error.response.get("OriginalStatusCode")

        # the model refused the image: its own words
        if code == "ModelError" and isinstance(status, int) and 400 <= status < 500:
            return _from_endpoint(status, str(error.response.get("OriginalMessage", "")))

        # a serverless endpoint has no container yet ("InvokeEndpoint", SageMaker API reference)
        if code == "ModelNotReadyException":
            return _WAKING

        # anything else is no fault of the caller
        reason = error_message(error)
        logger.warning("the endpoint refused", extra={"code": code, "reason": reason, "model_status": status})
        if code == "ModelError":
            return Problem(502, "Model failed", "The model could not answer; try again in some seconds.", retry_after=5)
        if code in ("ValidationError", "ValidationException"):
            return self._why_not_invoked(error)
        if "Throttl" in code or code == "TooManyRequests":
            return Problem(503, "Model is busy", "Too many requests at once; try again in some seconds.", retry_after=2)
        return Problem(
            502,
            "Model not reachable",
            "The request did not reach the model; the API's log has the reason.",
            retry_after=5,
        )

    def _why_not_invoked(self, error: ClientError) -> Problem:
        """Tell a missing endpoint from one that is being created, for InvokeEndpoint answers both alike."""
        if not is_missing_endpoint(error):
            return _NOT_READY
        try:
            self._describe()
        except Problem as problem:
            return problem
        return _NOT_READY


def _as_answer(body: str, request: ImageRequest) -> str:
    """Return the endpoint's response as `contract.Answer`.

    Between a deployment and the next release, the endpoint runs the container of an earlier release, which answers a
    list of predictions and reads no custom attributes.

    Raises:
        Problem: such a container is asked for something that it cannot do.
    """
    content = json.loads(body)
    if not isinstance(content, list):
        return body
    if request.attributes:
        raise Problem(
            422,
            "Model too old",
            "The model in service was released before parameters in the query string; start a run, or leave them out.",
        )
    answer: Answer = {
        "label": content[0]["label"],
        "score": content[0]["score"],
        "known": None,
        "distance": None,
        "predictions": content,
    }
    return json.dumps(answer, ensure_ascii=False)


def _from_endpoint(status: int, original: str) -> Problem:
    """Return the endpoint's own problem details."""
    try:
        value = json.loads(original)
        return Problem(status, str(value["title"]), str(value["detail"]))
    except (ValueError, KeyError, TypeError):
        return Problem(status, "Image refused", original or "The model refused the image.")
