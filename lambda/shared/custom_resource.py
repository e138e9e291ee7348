"""Answers to CloudFormation from the Lambda function of a custom resource."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, Literal, NotRequired, TypedDict

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

__all__ = ["CustomResourceEvent", "Deadline", "OutOfTime", "respond"]

logger = Logger(child=True)

_ANSWER_SECONDS = 20.0
"""Time of the function that is kept for sending the answer."""

_REPEAT = "repeat the deployment or deletion, and it continues where it stopped"

_MAX_REASON = 900
"""Longest reason. CloudFormation takes an answer of 4,096 bytes ("Custom resource response objects")."""


class CustomResourceEvent(TypedDict):
    """CloudFormation's request ("Custom resource request objects")."""

    RequestType: Literal["Create", "Update", "Delete"]
    ResponseURL: str
    StackId: str
    RequestId: str
    LogicalResourceId: str
    PhysicalResourceId: NotRequired[str]
    ResourceProperties: dict[str, str]


class OutOfTime(Exception):
    """The function's time is nearly over; the message says what was not finished."""


class Deadline:
    """The time that the function has left for work, in which no call takes longer than `longest_call_seconds`.

    `advice` is what to do when it is over.
    """

    def __init__(self, context: LambdaContext, *, longest_call_seconds: float, advice: str = _REPEAT) -> None:
        self._context = context
        self._advice = advice
        self._reserved_seconds = _ANSWER_SECONDS + longest_call_seconds
        self._paused_while = ""

    def check(self, doing: str) -> None:
        """Raise OutOfTime when there is not enough time left for another call and the answer to CloudFormation."""
        if self._context.get_remaining_time_in_millis() / 1000 < self._reserved_seconds:
            # where the time went says more than the call that there is none left for
            earlier = f", after {self._paused_while}" if self._paused_while not in ("", doing) else ""
            raise OutOfTime(f"ran out of time while {doing}{earlier}; {self._advice}")

    def pause(self, seconds: float, doing: str) -> None:
        """Wait for some seconds, or raise OutOfTime where there is not enough time left before or after them."""
        self.check(doing)
        self._paused_while = doing
        time.sleep(seconds)
        self.check(doing)


def respond(
    event: CustomResourceEvent,
    context: LambdaContext,
    *,
    physical_id: str,
    longest_call_seconds: float,
    work: Callable[[Deadline], Mapping[str, str]],
) -> None:
    """Do the work and tell CloudFormation how it went, since without an answer the deployment waits for an hour.

    Every exception becomes a FAILED answer with its message, and is logged with its traceback. No call that `work`
    makes between two looks at its deadline may take longer than `longest_call_seconds`.
    """
    status, reason, data = "SUCCESS", "", {}
    try:
        data = dict(work(Deadline(context, longest_call_seconds=longest_call_seconds)))
    except Exception as error:
        logger.exception("custom resource failed")
        status, reason = "FAILED", f"{type(error).__name__}: {error}"

    # CloudFormation deletes the old resource when the physical id changes, so an existing one is kept.
    body: dict[str, Any] = {
        "Status": status,
        "Reason": f"{reason[:_MAX_REASON]} (log: {context.log_group_name} {context.log_stream_name})",
        "PhysicalResourceId": event.get("PhysicalResourceId", physical_id),
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
        "Data": data,
    }
    logger.info("answering CloudFormation", extra={"status": status, "reason": reason})
    request = urllib.request.Request(  # noqa: S310 - the URL is CloudFormation's own, presigned
        event["ResponseURL"], data=json.dumps(body).encode(), method="PUT", headers={"Content-Type": ""}
    )
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
        response.read()
