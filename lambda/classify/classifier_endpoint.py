"""The SageMaker endpoint behind the API, and what its failures mean to a caller."""

from __future__ import annotations

import json
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from .problems import Problem
from .request_image import ImageRequest

__all__ = ["ClassifierEndpoint"]

logger = Logger(child=True)

_FAST = Config(connect_timeout=2, read_timeout=22, retries={"total_max_attempts": 1})
"""One attempt within API Gateway's 29 seconds: a second one would only be cut off."""
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
_NOT_FOUND = "not found"
"""How InvokeEndpoint words a missing endpoint: "Endpoint … of account … not found."; it is a ValidationError."""


class ClassifierEndpoint:
    """Asks the endpoint, in one attempt, and words its refusals as problems."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._runtime = boto3.client("sagemaker-runtime", config=_FAST)
        self._sagemaker = boto3.client("sagemaker", config=_DESCRIBE)

    def classify(self, request: ImageRequest) -> str:
        """The endpoint's answer, JSON.

        Raises:
            Problem: it refuses the image, is not there, or does not answer.
        """
        try:
            response = self._runtime.invoke_endpoint(
                EndpointName=self.name,
                Body=request.body,
                ContentType=request.content_type,
                Accept="application/json",
            )
            return response["Body"].read().decode()
        except ClientError as error:
            raise self._explain(error) from None
        except BotoCoreError as error:
            logger.warning("no answer from the endpoint", extra={"error": str(error)})
            raise Problem(
                503, "Model did not answer", "The model took too long; try again in some seconds.", retry_after=5
            ) from None

    def health(self) -> dict[str, str]:
        """Status and configuration of the endpoint that is in service.

        Raises:
            Problem: it is not.
        """
        described = self._describe()
        if described["EndpointStatus"] in ("InService", "Updating", "SystemUpdating", "RollingBack"):
            return {"status": "ok", "endpoint": self.name, "release": described.get("EndpointConfigName", "")}
        if described["EndpointStatus"] == "Failed":
            raise Problem(
                503,
                "Model failed to start",
                "The endpoint has failed: start the state machine to release a model again.",
            )
        raise _NOT_READY

    def _describe(self) -> dict[str, Any]:
        try:
            return dict(self._sagemaker.describe_endpoint(EndpointName=self.name))
        except ClientError as error:
            if "Could not find" in error.response["Error"].get("Message", ""):
                raise _NONE_YET from None
            raise

    def _explain(self, error: ClientError) -> Problem:
        code = error.response["Error"].get("Code", "")
        message = error.response["Error"].get("Message", "")
        status = error.response.get("OriginalStatusCode")
        if code == "ModelError" and isinstance(status, int) and 400 <= status < 500:
            return _from_endpoint(status, str(error.response.get("OriginalMessage", "")))
        logger.warning("the endpoint refused", extra={"code": code, "reason": message, "model_status": status})
        if code == "ModelError":
            return Problem(502, "Model failed", "The model could not answer; try again in some seconds.", retry_after=5)
        if code in ("ValidationError", "ValidationException"):
            return self._why_not_invoked(message)
        if "Throttl" in code or code == "TooManyRequests":
            return Problem(503, "Model is busy", "Too many requests at once; try again in some seconds.", retry_after=2)
        return Problem(
            502, "Model not reachable", "The model could not be asked; its log has the reason.", retry_after=5
        )

    def _why_not_invoked(self, message: str) -> Problem:
        if _NOT_FOUND not in message and "Could not find" not in message:
            return _NOT_READY
        try:
            self._describe()
        except Problem as problem:
            return problem
        return _NOT_READY


def _from_endpoint(status: int, original: str) -> Problem:
    """The endpoint's own problem details, passed on."""
    try:
        value = json.loads(original)
        return Problem(status, str(value["title"]), str(value["detail"]))
    except (ValueError, KeyError, TypeError):
        return Problem(status, "Image refused", original or "The model refused the image.")
