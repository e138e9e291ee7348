"""SmokeTest: asks the endpoint about a photo of the test split, and checks the format of its answer."""

from __future__ import annotations

import json
import math
import os
import time
from itertools import zip_longest
from typing import TYPE_CHECKING

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from shared.first_few import first_few

import contract

if TYPE_CHECKING:
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

__all__ = ["SmokeTestFailed", "handler"]

logger = Logger()
s3 = boto3.client("s3")
runtime = boto3.client(
    "sagemaker-runtime", config=Config(connect_timeout=5, read_timeout=45, retries={"max_attempts": 0})
)

ATTEMPTS = 5
PAUSE_SECONDS = 5.0
"""Requests without an answer before the test fails, and the time between two. With the client's time-outs they fit into
the function's own time limit of five minutes (infra/workflow/smoke_test.py)."""

PHOTOS = 10
"""Photos that the endpoint may refuse. The jobs leave up to 5 % of damaged photos out, and one may come first."""

_SUM_TOLERANCE = 1e-3
"""How far above 1 the sum of the probabilities may be, since they are rounded."""

_EXCERPT = 300
"""Bytes of an answer that an error message quotes."""


class _Refused(Exception):
    """The endpoint answers that it cannot classify this photo."""


class SmokeTestFailed(Exception):
    """The endpoint is InService but does not classify; the message says what it does instead."""


@logger.inject_lambda_context
def handler(event: contract.SmokeTestInput, context: LambdaContext) -> contract.SmokeTestResult:
    """Send a photo of the test split to the endpoint and check the answer.

    A photo that the endpoint refuses may be damaged, so the next one is sent.

    Raises:
        SmokeTestFailed: the endpoint gives a wrong answer, none after several attempts, or refuses every photo.
    """
    bucket, run, endpoint = os.environ["BUCKET"], event["run"], os.environ["ENDPOINT_NAME"]

    # choose photos that the model was not trained on
    manifest = f"runs/{run}/manifest/"
    summary: contract.DatasetSummary = json.loads(_read(bucket, manifest + contract.Artefact.DATASET_SUMMARY))
    labels = [entry["name"] for entry in summary["classes"]]
    records = _test_photos(bucket, manifest + contract.Artefact.MANIFEST)

    # send one after the other, until the endpoint takes one
    refusals: list[str] = []
    failures: list[str] = []
    for record in records:
        try:
            answer = _invoke(runtime, endpoint, _read(bucket, summary["prefix"] + record["path"]), failures=failures)
        except _Refused as refusal:
            refusals.append(f"{record['path']}: {refusal}")
            logger.warning("refused", extra={"photo": record["path"], "error": str(refusal)})
        else:
            break
    else:
        raise SmokeTestFailed(f"the endpoint refused every test photo that was sent; {first_few(refusals)}")

    # check the answer
    best, known = _checked(answer, labels)
    truth = labels[record["label"]]
    logger.info("answered", extra={"photo": record["path"], "truth": truth, "best": best, "known": known})
    return contract.SmokeTestResult(
        endpoint=endpoint,
        photo=record["path"],
        truth=truth,
        predicted=best["label"],
        score=best["score"],
    )


def _checked(answer: bytes, labels: list[str]) -> tuple[contract.Prediction, bool | None]:
    """Return the likeliest class of an answer, and whether the photo is known, if the answer is one.

    A test photo may be unknown, and an unknown photo's `label` null.

    Raises:
        SmokeTestFailed: the answer is no `contract.Answer` with known labels and falling probabilities.
    """
    excerpt = answer[:_EXCERPT].decode(errors="replace")
    try:
        content = json.loads(answer)
    except ValueError:
        raise SmokeTestFailed(f"the endpoint's answer is not JSON: {excerpt}") from None

    # the format: an object with a list of labels and scores
    predictions = content.get("predictions") if isinstance(content, dict) else None
    shaped = isinstance(predictions, list) and all(_is_prediction(entry) for entry in predictions)
    if not shaped or not predictions:
        raise SmokeTestFailed(f'the endpoint\'s answer has no "predictions", a list of {{"label", "score"}}: {excerpt}')
    known, distance = content.get("known", ""), content.get("distance")
    judged = isinstance(known, bool) and _is_number(distance) and distance >= 0 and known == (distance <= 1)
    if not judged and (known is not None or distance is not None):
        raise SmokeTestFailed(
            f'the endpoint\'s answer has no "known" that agrees with its "distance", which is at most 1 for known '
            f"photos: {excerpt}"
        )

    # the content: known labels, falling probabilities
    unknown = [entry["label"] for entry in predictions if entry["label"] not in labels]
    if unknown:
        raise SmokeTestFailed(f"the endpoint names classes that the data set does not have: {first_few(unknown)}")
    scores = [entry["score"] for entry in predictions]
    if scores != sorted(scores, reverse=True) or min(scores) < 0 or sum(scores) > 1 + _SUM_TOLERANCE:
        raise SmokeTestFailed(f"the endpoint's scores are not falling probabilities: {scores}")
    best: contract.Prediction = predictions[0]
    return best, known


def _is_prediction(entry: object) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("label"), str) and _is_number(entry.get("score"))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _test_photos(bucket: str, key: str) -> list[contract.ImageRecord]:
    """Return up to `PHOTOS` records of the test split, of as many classes as there are."""
    by_class: dict[int, list[contract.ImageRecord]] = {}
    for line in s3.get_object(Bucket=bucket, Key=key)["Body"].iter_lines():
        record: contract.ImageRecord = json.loads(line)
        of_class = by_class.setdefault(record["label"], []) if record["split"] == "test" else []
        if len(of_class) < PHOTOS:
            of_class.append(record)
    rounds = zip_longest(*(by_class[label] for label in sorted(by_class)))
    found = [record for of_all_classes in rounds for record in of_all_classes if record is not None]
    if not found:
        raise SmokeTestFailed(f"s3://{bucket}/{key} lists no photo of the test split; start the execution again")
    return found[:PHOTOS]


def _invoke(client: SageMakerRuntimeClient, endpoint: str, image: bytes, *, failures: list[str]) -> bytes:
    """Ask until the endpoint answers: a model that has just started may fail its first requests.

    `failures` are the requests without an answer so far, over all photos: the function's time is one for all of them.

    Raises:
        _Refused: the endpoint answers that it cannot classify this photo.
        SmokeTestFailed: there were `ATTEMPTS` failures.
    """
    while True:
        try:
            response = client.invoke_endpoint(
                EndpointName=endpoint, Body=image, ContentType="application/octet-stream", Accept="application/json"
            )
            return response["Body"].read()
        except ClientError as error:
            status = error.response.get("OriginalStatusCode")
            if isinstance(status, int) and 400 <= status < 500:
                raise _Refused(str(error)) from None
            failures.append(str(error))
        except BotoCoreError as error:
            failures.append(str(error))

        logger.warning("no answer yet", extra={"attempt": len(failures), "error": failures[-1]})
        if len(failures) >= ATTEMPTS:
            raise SmokeTestFailed(f"the endpoint did not classify a test photo: {failures[-1]}")
        time.sleep(PAUSE_SECONDS)


def _read(bucket: str, key: str) -> bytes:
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()
