"""One request to the endpoint, to see that it answers and with which model."""

from __future__ import annotations

import io
import json
import time
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError
from PIL import Image

from cli import CliError
from cli.endpoint import poll_seconds
from infra.outputs import StackOutput

if TYPE_CHECKING:
    from cli.target import Target

__all__ = ["ask_once"]

_ATTEMPTS: Final = 3
"""Requests without an answer before that is told: a serverless model may fail the first ones as it wakes."""


def ask_once(target: Target, *, config: str) -> None:
    """Send a photo to the endpoint, and check that the model that was put back answers.

    Raises:
        CliError: it does not answer, or another model does.
    """
    answer = _answer(target, config)
    # the answers of early releases name no model
    served = answer.get("model", {}).get("release", config) if isinstance(answer, dict) else config
    if served != config:
        raise CliError(f"the endpoint answers with {served}, not with {config}: `whippet status` says what serves")


def _answer(target: Target, config: str) -> Any:
    runtime, failures = target.client("sagemaker-runtime"), 0
    while True:
        try:
            response = runtime.invoke_endpoint(
                EndpointName=target.output(StackOutput.ENDPOINT_NAME),
                Body=_photo(),
                ContentType="application/octet-stream",
                Accept="application/json",
            )
            return json.loads(response["Body"].read())
        except (ClientError, BotoCoreError) as error:
            failures += 1
            if failures == _ATTEMPTS:
                raise CliError(
                    f"the endpoint has the configuration {config}, but does not answer: {error}. Look at its log; "
                    "`whippet rollback RUN` puts another release into service"
                ) from None
        time.sleep(poll_seconds(target))


def _photo() -> bytes:
    """Return a grey photo, which every model classifies as something."""
    file = io.BytesIO()
    Image.new("RGB", (64, 64), (128, 128, 128)).save(file, "PNG")
    return file.getvalue()
