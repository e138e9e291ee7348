"""The SageMaker endpoint behind the API: a photo's answer, and whether there is a model."""

from __future__ import annotations

import json
import threading
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, cast

import boto3
from aws_lambda_powertools import Logger
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from shared.aws_errors import error_code, is_missing_endpoint, is_missing_resource

from contract import REQUEST_ID, Answer, Health, ServingMode, shadowed_config

from .endpoint_failures import FAILED_TO_START, NONE_YET, NOT_READY, may_pass, problem_of
from .problems import Problem
from .request_parameters import Parameters
from .sleeping_model import ASLEEP, NOT_STARTED, WAKING, SleepingModel

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

__all__ = ["ClassifierEndpoint"]

logger = Logger(child=True)

_CLIENT: Final = threading.Lock()
"""Held while the client is made, which boto3's default session does for one thread at a time."""

_FAST = Config(connect_timeout=2, read_timeout=22, retries={"total_max_attempts": 1})
"""A single attempt within the 29 seconds that API Gateway waits."""
_DESCRIBE = Config(connect_timeout=2, read_timeout=4, retries={"total_max_attempts": 1})

_TRY_AGAIN_WITHIN: Final = 4.0
"""Seconds after a request's beginning in which there is time for a second attempt within API Gateway's 29."""
_PAUSE: Final = 0.2
"""Seconds before it."""


class ClassifierEndpoint:
    """The endpoint of one environment.

    Args:
        name: its name.
        mode: what it runs on.
        sleep_record: name of the SSM parameter that says which model sleeps; empty where none ever does.
        env: name of the environment.
    """

    def __init__(self, name: str, *, mode: ServingMode, sleep_record: str, env: str) -> None:
        self.name = name
        self._sleeping = SleepingModel(name, record=sleep_record, env=env, patience=_DESCRIBE)
        self._is_serverless = mode == "serverless"
        self._runtime = boto3.client("sagemaker-runtime", config=_FAST)

    @cached_property
    def _sagemaker(self) -> SageMakerClient:
        """Made when it is asked for the first time, which most requests do not: it is a ninth of a cold start."""
        with _CLIENT:
            return boto3.client("sagemaker", config=_DESCRIBE)

    def classify(self, image: bytes, asked: Parameters, *, request_id: str) -> Answer:
        """Return the endpoint's answer; a failure that may pass is tried again once, in time.

        Args:
            image: its bytes.
            asked: what is asked about it.
            request_id: the API's id of the request, which the container's log shows.

        Raises:
            Problem: the endpoint refuses the image, does not exist, does not answer, or is too old for what is asked.
        """
        attributes = {**asked, REQUEST_ID: request_id}
        began = time.monotonic()
        try:
            return _as_answer(self._invoke(image, attributes), asked)
        except (ClientError, BotoCoreError) as error:
            if not may_pass(error) or time.monotonic() - began > _TRY_AGAIN_WITHIN:
                raise self._explain(error) from None
            logger.warning("the endpoint is asked again", extra={"error": str(error)})

        # the second attempt is the last
        time.sleep(_PAUSE)
        try:
            return _as_answer(self._invoke(image, attributes), asked)
        except (ClientError, BotoCoreError) as error:
            raise self._explain(error) from None

    def health(self) -> Health:
        """Return the status and the configuration of the endpoint, and since when it serves.

        Raises:
            Problem: the endpoint is not in service.
        """
        described = self._describe()
        if described is None:
            raise NONE_YET() if self._sleeping_config() is None else ASLEEP()

        # An endpoint that is updated serves its old model until the new one is ready.
        if described["EndpointStatus"] not in ("InService", "Updating", "SystemUpdating", "RollingBack"):
            raise self._not_serving(described["EndpointStatus"])
        release = shadowed_config(described.get("EndpointConfigName", ""))
        found: Health = {"status": "ok", "endpoint": self.name, "release": release}
        if described["EndpointStatus"] == "InService":
            found["since"] = described["LastModifiedTime"].isoformat(timespec="seconds")
        return found

    def _invoke(self, image: bytes, attributes: Parameters) -> bytes:
        response = self._runtime.invoke_endpoint(
            EndpointName=self.name,
            Body=image,
            ContentType="application/octet-stream",
            Accept="application/json",
            CustomAttributes=";".join(f"{name}={value}" for name, value in sorted(attributes.items())),
        )
        return response["Body"].read()

    def _describe(self) -> dict[str, Any] | None:
        """Return DescribeEndpoint's answer, or None where there is no endpoint."""
        try:
            return dict(self._sagemaker.describe_endpoint(EndpointName=self.name))
        except ClientError as error:
            if is_missing_resource(error):
                return None
            raise problem_of(error, is_serverless=self._is_serverless) from None
        except BotoCoreError as error:
            raise problem_of(error, is_serverless=False) from None

    def _sleeping_config(self) -> str | None:
        """Return the name of the configuration that sleeps, which counts where there is no endpoint."""
        try:
            return self._sleeping.config()
        except (ClientError, BotoCoreError) as error:
            raise problem_of(error, is_serverless=False) from None

    def _explain(self, error: ClientError | BotoCoreError) -> Problem:
        if isinstance(error, ClientError) and error_code(error) in ("ValidationError", "ValidationException"):
            try:
                return self._why_not_invoked(error)
            except Problem as problem:
                return problem
        return problem_of(error, is_serverless=self._is_serverless)

    def _why_not_invoked(self, error: ClientError) -> Problem:
        """Tell a missing endpoint from one that is being created, for InvokeEndpoint answers both alike; wake a model.

        Raises:
            Problem: SageMaker or SSM does not say.
        """
        if not is_missing_endpoint(error):
            return NOT_READY()
        described = self._describe()
        if described is not None:
            return self._not_serving(described["EndpointStatus"])
        config = self._sleeping_config()
        return NONE_YET() if config is None else self._sleeping.wake(config, self._sagemaker)

    def _not_serving(self, status: str) -> Problem:
        """Return why an endpoint of this status does not answer: it starts, ends, or has failed."""
        sleeps = self._sleeping_config() is not None
        if status == "Failed":
            return NOT_STARTED() if sleeps else FAILED_TO_START()
        return WAKING() if sleeps else NOT_READY()


def _as_answer(body: bytes, asked: Parameters) -> Answer:
    """Return the endpoint's response as `contract.Answer`.

    Between a deployment and the next release, the endpoint runs the container of an earlier release, which answers a
    list of predictions and reads no custom attributes.

    Raises:
        Problem: such a container is asked for something that it cannot do.
    """
    content = json.loads(body)
    if isinstance(content, dict):
        return cast("Answer", content)
    if asked:
        raise Problem(
            422,
            "Model too old",
            "The model in service was released before parameters in the query string; start a run, or leave them out.",
        )
    return {
        "label": content[0]["label"],
        "score": content[0]["score"],
        "known": None,
        "distance": None,
        "predictions": content,
    }
