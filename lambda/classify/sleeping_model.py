"""A model whose endpoint was deleted because nobody asked: what says so, and how a request brings it back."""

from __future__ import annotations

from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Final

from aws_lambda_powertools import Logger
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from shared.aws_errors import already_exists, error_code, error_message, is_missing_resource
from shared.sleep_record import sleeping_config

import contract

from .problems import Problem

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

__all__ = ["ASLEEP", "NOT_STARTED", "WAKING", "SleepingModel"]

logger = Logger(child=True)

ASLEEP: Final = partial(
    Problem,
    503,
    "Model is asleep",
    "The model sleeps since nobody has asked for hours. The next photo wakes it, or `whippet wake`, which takes about "
    f"{contract.WAKING_MINUTES} minutes.",
)
WAKING: Final = partial(
    Problem,
    503,
    "Model is waking",
    "The model was asleep since nobody had asked for hours, and wakes now, which takes about "
    f"{contract.WAKING_MINUTES} minutes; try again in 30 seconds.",
    retry_after=30,
)
NOT_STARTED: Final = partial(
    Problem,
    503,
    "Model failed to start",
    "The endpoint has failed, and the model sleeps on; `whippet wake` starts it again at once, a photo in a quarter of "
    "an hour. `whippet status` says why it failed.",
)
_REFUSED: Final = partial(
    Problem,
    503,
    "Model cannot wake",
    "The model sleeps, and SageMaker refuses to start it, as where it has no machine or the account no quota left; the "
    "API's log has the reason. Try again in some minutes.",
    retry_after=60,
)
_GONE: Final = partial(
    Problem,
    503,
    "No model",
    "The model that slept was deleted: start the state machine (the output StateMachineConsole, or `whippet run`) and "
    "try again when it has succeeded.",
)


class SleepingModel:
    """The model that sleeps while the endpoint is not there, if one does.

    Args:
        endpoint: name of the endpoint.
        record: name of the SSM parameter that says which model sleeps; empty where none ever does.
        env: name of the environment, for the endpoint's tags.
        patience: how long a call may take.
    """

    def __init__(self, endpoint: str, *, record: str, env: str, patience: Config) -> None:
        self._endpoint = endpoint
        self._record = record
        self._env = env
        self._patience = patience
        self._one_at_a_time = Lock()

    def config(self) -> str | None:
        """Return the name of the configuration that sleeps, or None where none does.

        Raises:
            ClientError: the record cannot be read.
            BotoCoreError: there was no answer.
        """
        # the images of one request are classified by several threads, and boto3 makes one client after the other
        with self._one_at_a_time:
            return sleeping_config(self._record, patience=self._patience)

    def wake(self, config: str, sagemaker: SageMakerClient) -> Problem:
        """Have the endpoint created with this configuration, and return the answer to who asked."""
        try:
            sagemaker.create_endpoint(**contract.wake_request(endpoint=self._endpoint, config=config, env=self._env))
        except ClientError as error:
            # another request was quicker
            if already_exists(error):
                return WAKING()
            logger.warning("not woken", extra={"code": error_code(error), "reason": error_message(error)})
            return (_GONE if is_missing_resource(error) else _REFUSED)()
        except BotoCoreError as error:
            # SageMaker may have carried it out: the next request sees whether
            logger.warning("no answer to the wake-up", extra={"error": str(error)})
        logger.info("the model wakes", extra={"config": config})
        return WAKING()
