"""The alarms of an environment: their names, what each means, and what to do at night when it comes.

The stack makes them, the message about one quotes this text, and docs/operations.md has a section for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["ALARMS", "Alarm", "AlarmText", "alarm_name", "alarm_of"]


class Alarm(StrEnum):
    """What may be wrong; the value is the end of the alarm's name."""

    ENDPOINT_ERRORS = "endpoint-errors"
    ENDPOINT_LATENCY = "endpoint-latency"
    ENDPOINT_UNKNOWN = "endpoint-unknown"
    API_ERRORS = "api-errors"
    API_REFUSALS = "api-refusals"
    FUNCTION_ERRORS = "function-errors"
    FUNCTION_THROTTLES = "function-throttles"
    BACKGROUND_ERRORS = "background-errors"
    RUN_FAILED = "run-failed"
    NO_REQUESTS = "no-requests"
    DRIFT = "drift"
    TRIGGER_FAILED = "trigger-failed"


@dataclass(frozen=True)
class AlarmText:
    """What a person who is woken by an alarm has to know."""

    meaning: str
    """What is measured and what it means, in a sentence or two."""
    steps: tuple[str, ...]
    """What to look at and to type, in this order."""
    is_told: bool = True
    """Whether a message is sent; False where something else tells it already."""


_IN_A_ROLLOUT: Final = (
    "If a rollout is going on (`whippet status`: Updating), SageMaker puts the model before back by itself, and the "
    "run tells of it: there is nothing to do."
)
_ELSE_BACK: Final = (
    "If not, the cause is the model in service or what it is asked: `whippet history` shows which models there were, "
    "and `whippet rollback` puts the one before back."
)

ALARMS: Final[Mapping[Alarm, AlarmText]] = {
    Alarm.ENDPOINT_ERRORS: AlarmText(
        "The endpoint answered more than the share release.max_error_share of a minute's requests with 500 to 599, and "
        "at least three.",
        (
            _IN_A_ROLLOUT,
            _ELSE_BACK,
            "The endpoint's log, /aws/sagemaker/Endpoints/whippet-ENV, says why: look for lines of the level ERROR.",
        ),
    ),
    Alarm.ENDPOINT_LATENCY: AlarmText(
        "The model took longer than release.max_latency_ms for the slowest 1 % of a minute's requests, in two of three "
        "minutes.",
        (
            _IN_A_ROLLOUT,
            _ELSE_BACK,
            "If there are more requests than usual (dashboard, How much?), raise release.instance_count or "
            "scaling.max_instances, and start a run.",
        ),
    ),
    Alarm.ENDPOINT_UNKNOWN: AlarmText(
        "An instance took more than the share release.max_unknown_share of its photos for unlike anything that the "
        "model was trained on.",
        (
            _IN_A_ROLLOUT,
            "If not, look at what is sent: other photos than those that the model was trained on, such as of another "
            "camera, or of things that have no class?",
            "If the photos are what people want to classify, add some of them to the data set, with their labels, and "
            "start a run.",
        ),
    ),
    Alarm.API_ERRORS: AlarmText(
        "More than the allowed share of requests to the API got an answer of 500 to 599 for a quarter of an hour.",
        (
            "`whippet status`: is the endpoint InService, and since when does which model serve?",
            "If a release came shortly before: `whippet rollback`.",
            "Else look at the endpoint's log, /aws/sagemaker/Endpoints/whippet-ENV, and at the member errorType of the "
            "lines in the API's access log.",
            "Many answers of 503 mean more requests than the endpoint can take: raise release.instance_count, or "
            "serving.max_concurrency of a serverless endpoint, and start a run.",
        ),
    ),
    Alarm.API_REFUSALS: AlarmText(
        "More than half of at least 20 requests in five minutes got an answer of 400 to 499, three times in a row: a "
        "client sends what the API does not take, or somebody tries keys.",
        (
            "Look at the API's access log: which key (apiKeyId) or address (ip) gets which status?",
            "403: a wrong or missing key; 400, 413, 415: photos that are damaged, too large or of another type; 429: "
            "more than api.rate or api.daily_quota.",
            "To stop one caller, disable its key: `aws apigateway update-api-key --api-key ID --patch-operations "
            "op=replace,path=/enabled,value=false`.",
        ),
    ),
    Alarm.FUNCTION_ERRORS: AlarmText(
        "The function behind the API crashed or took longer than 29 seconds at least three times in five minutes.",
        (
            "Look at the function's log for lines of the level ERROR; the id in an answer's member `instance` is in "
            "them, too.",
            "Time-outs mean that the model does not answer in time: look at the endpoint's metric ModelLatency, and if "
            "a release came shortly before: `whippet rollback`.",
        ),
    ),
    Alarm.FUNCTION_THROTTLES: AlarmText(
        "Lambda refused to run the function behind the API, since the account's concurrent executions are used up, by "
        "this or by other functions. Callers got 429 or 500.",
        (
            "`aws lambda get-account-settings`: how many executions may run at once?",
            "Ask for more in Service Quotas (Lambda, Concurrent executions), or lower api.rate.",
        ),
    ),
    Alarm.BACKGROUND_ERRORS: AlarmText(
        "A function failed that works in the background: it pauses an idle endpoint, tidies up after a run, starts a "
        "run for an event, or sends messages. What it should have done may not be done, such as the deletion of an "
        "endpoint that costs money.",
        (
            "Look at the functions' logs for lines of the level ERROR, those of the function whose metric Errors is "
            "above 0 first.",
            "`whippet status`: does an endpoint stand that should sleep?",
        ),
    ),
    Alarm.RUN_FAILED: AlarmText(
        "A run failed, was stopped, or took too long.",
        ("`whippet status` and `whippet report` say why; the run itself has sent a message.",),
        is_told=False,
    ),
    Alarm.NO_REQUESTS: AlarmText(
        "Nobody has asked the API for the hours of monitoring.expect_requests_hours: the callers, the network or the "
        "API's address may be broken.",
        (
            "`whippet classify PHOTO`: does the API answer?",
            "If it does, look at the callers: their address, their key, their network.",
        ),
    ),
    Alarm.DRIFT: AlarmText(
        "A check found that the endpoint's answers differ from those to the test photos by more than chance and by at "
        "least monitoring.drift_share. The model may be less accurate than it was tested to be. It is not urgent: the "
        "endpoint answers as before.",
        (
            "`whippet drift`: what differs, and since when?",
            "Unknown photos and doubtful answers: look at what is sent. Add some of it to the data set, with labels, "
            "and start a run.",
            "Another class mix alone may be right: a season, a new shop. If it stays so, let the test photos follow "
            "it, or leave class_mix out of monitoring.drift_measures.",
            "If a release came shortly before, the check compares with its own test photos: `whippet history`.",
        ),
    ),
    Alarm.TRIGGER_FAILED: AlarmText(
        "EventBridge could not hand an event that should start a run to the function that starts it, and has given up: "
        "the upload of READY, the schedule, or drift.",
        (
            "`whippet status`: which run was started last? Start the one that is missing: `whippet run`.",
            "The rules whippet-ENV-ready and whippet-ENV-drift invoke the function by its policy, the schedule "
            "whippet-ENV by its role: was either changed by hand? `cdk deploy` brings them back.",
            "CloudWatch's metric FailedInvocations of AWS/Events by RuleName, or InvocationDroppedCount of "
            "AWS/Scheduler, says which of them failed and when.",
        ),
    ),
}


def alarm_name(prefix: str, alarm: Alarm) -> str:
    """Return the name of an environment's alarm."""
    return f"{prefix}-{alarm}"


def alarm_of(name: str, *, prefix: str) -> Alarm | None:
    """Return the alarm of a name; None for one that a person has made."""
    end = name.removeprefix(f"{prefix}-")
    return Alarm(end) if end in set(Alarm) and end != name else None
