"""CheckDrift: compares captured answers with those to the test photos, and says whether what is sent has changed."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypedDict

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from shared.drift_page import drift_page
from shared.in_service import config_in_service
from shared.patience import PATIENT
from shared.s3_objects import write_json

import contract

from .baseline import UnreadableBaseline, read_baseline, read_listed
from .captured import Captured, read_captured
from .comparison import Answers, class_shares, compare, confidence_bins, distance_bins, unknown_shares

__all__ = ["ScheduledEvent", "handler"]

logger = Logger()
s3 = boto3.client("s3", config=PATIENT)
sagemaker = boto3.client("sagemaker", config=PATIENT)
cloudwatch = boto3.client("cloudwatch", config=PATIENT)
events = boto3.client("events", config=PATIENT)

_TIME_TO_COMPARE: Final = 90_000
"""Milliseconds that are kept for the comparison."""


class ScheduledEvent(TypedDict):
    """EventBridge's event of a rule with a schedule, as far as it is read."""

    time: str


@logger.inject_lambda_context
def handler(event: ScheduledEvent, context: LambdaContext) -> contract.DriftCheck:
    """Make a check, write what it found, count it in CloudWatch, and tell of drift that no check has told of yet."""
    # EventBridge may deliver late; what was captured since counts, too
    now = max(datetime.now(UTC), datetime.fromisoformat(event["time"]))
    check = _check(now, context)

    # An event tells of what is new, so that one change starts one run at most.
    drifted = [measured["measure"] for measured in check["measures"] if measured["drifted"]]
    before = _told_before(check["run"])
    new = [measure for measure in drifted if measure not in before]
    check["told"] = [measure for measure in contract.DRIFT_MEASURES if measure in {*before, *drifted}]

    _count(check)
    if new:
        _tell(check, drifted)
    bucket = os.environ["BUCKET"]
    page = drift_page(check).encode()
    s3.put_object(Bucket=bucket, Key=contract.DRIFT_PAGE, Body=page, ContentType="text/html; charset=utf-8")
    write_json(s3, bucket=bucket, key=contract.drift_check_key(check["checked"]), value=check)
    write_json(s3, bucket=bucket, key=contract.DRIFT_LATEST, value=check)
    logger.info("checked", extra={"run": check["run"], "verdict": check["verdict"], "measures": check["measures"]})
    return check


def _check(now: datetime, context: LambdaContext) -> contract.DriftCheck:
    endpoint = os.environ["ENDPOINT_NAME"]
    config = config_in_service(sagemaker, endpoint=endpoint, sleep_record=os.environ["SLEEP_RECORD"])
    run = "" if config is None else contract.released_run(config, prefix=os.environ["NAME_PREFIX"])
    check = contract.DriftCheck(
        verdict="no_model",
        checked=f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        environment=os.environ["ENVIRONMENT"],
        endpoint=endpoint,
        run=run,
        why="No model is in service.",
        answers=0,
        others=0,
        unreadable=0,
        is_sample=False,
        test_photos=0,
        measures=[],
        classes=[],
        confidence=[],
        distance=[],
        told=[],
    )
    if config is None:
        return check

    # what the model answered to its test photos
    try:
        test = read_baseline(s3, bucket=os.environ["BUCKET"], run=run)
    except UnreadableBaseline as error:
        return _without_baseline(check, f"The answers to the test photos of run {run} cannot be read: {error}.")
    check["test_photos"] = len(test or Answers())
    if test is None or len(test) < contract.FEWEST_TEST_PHOTOS:
        return _without_baseline(
            check,
            f"Run {run} left answers to {len(test or Answers())} test photos, and a check needs "
            f"{contract.FEWEST_TEST_PHOTOS}.",
        )

    # what it answers to everybody
    captured = read_captured(
        s3,
        bucket=os.environ["BUCKET"],
        folder=contract.capture_folder(endpoint, os.environ["VARIANT_NAME"]),
        release=config,
        run=run,
        now=now,
        every=timedelta(hours=int(os.environ["DRIFT_HOURS"])),
        oldest=timedelta(days=int(os.environ["CAPTURE_DAYS"])),
        has_time=lambda: context.get_remaining_time_in_millis() > _TIME_TO_COMPARE,
    )
    _describe(check, captured)
    if len(captured.answers) < contract.FEWEST_ANSWERS:
        check["verdict"] = "too_few"
        check["why"] = (
            f"{len(captured.answers)} captured answers of run {run} are too few to tell; a check needs "
            f"{contract.FEWEST_ANSWERS}."
        )
        return check
    _compare(check, test, captured.answers)
    return check


def _without_baseline(check: contract.DriftCheck, why: str) -> contract.DriftCheck:
    check["verdict"], check["why"] = "no_baseline", why
    return check


def _describe(check: contract.DriftCheck, captured: Captured) -> None:
    check["answers"], check["others"] = len(captured.answers), captured.others
    check["unreadable"], check["is_sample"] = captured.unreadable, captured.is_sample
    if captured.first is not None and captured.last is not None:
        check["since"], check["until"] = captured.first.isoformat(), captured.last.isoformat()


def _compare(check: contract.DriftCheck, test: Answers, captured: Answers) -> None:
    smallest = float(os.environ["DRIFT_SHARE"])
    check["measures"] = compare(test, captured, counting=json.loads(os.environ["DRIFT_MEASURES"]), smallest=smallest)
    check["classes"] = class_shares(test, captured)
    check["confidence"] = confidence_bins(test, captured)
    check["distance"] = distance_bins(test, captured)
    unknown = unknown_shares(test, captured)
    if unknown is not None:
        check["unknown"] = unknown

    drifted = [measured for measured in check["measures"] if measured["drifted"]]
    check["verdict"] = "drifted" if drifted else "steady"
    if drifted:
        named = ", ".join(
            f"{contract.DRIFT_TITLES[measured['measure']].lower()} ({measured['difference']:.0%})"
            for measured in drifted
        )
        check["why"] = f"What is sent is unlike the test photos: {named}."
    else:
        check["why"] = f"No difference from the test photos that is more than chance and at least {smallest:.0%}."


def _told_before(run: str) -> Sequence[contract.DriftMeasure]:
    """Return what the check before has told of this model."""
    content = read_listed(s3, bucket=os.environ["BUCKET"], key=contract.DRIFT_LATEST)
    if content is None:
        return ()
    before: contract.DriftCheck = json.loads(content)
    return before["told"] if before["run"] == run else ()


def _count(check: contract.DriftCheck) -> None:
    """Put the metrics of a check that could tell something."""
    if not check["measures"]:
        return
    dimensions = [{"Name": contract.ENDPOINT_DIMENSION, "Value": check["endpoint"]}]
    values: list[tuple[str, float, Any]] = [(contract.DRIFT_FOUND, float(check["verdict"] == "drifted"), "None")]
    values += [
        (contract.DRIFT_METRICS[measured["measure"]], 100 * measured["difference"], "Percent")
        for measured in check["measures"]
    ]
    cloudwatch.put_metric_data(
        Namespace=contract.SERVING_NAMESPACE,
        MetricData=[
            {"MetricName": name, "Dimensions": dimensions, "Value": value, "Unit": unit} for name, value, unit in values
        ],
    )


def _tell(check: contract.DriftCheck, drifted: Sequence[contract.DriftMeasure]) -> None:
    """Put the event that a rule may start a run by.

    Raises:
        RuntimeError: EventBridge did not take it; the next check tells of it again.
    """
    detail = contract.DriftDetail(
        environment=check["environment"], endpoint=check["endpoint"], release=check["run"], metrics=list(drifted)
    )
    answer = events.put_events(
        Entries=[
            {
                "Source": contract.EVENT_SOURCE,
                "DetailType": contract.DRIFT_DETAIL_TYPE,
                "Detail": json.dumps(detail),
            }
        ]
    )
    if answer["FailedEntryCount"]:
        entry = answer["Entries"][0]
        raise RuntimeError(f"EventBridge did not take the event: {entry.get('ErrorCode')}: {entry.get('ErrorMessage')}")
