"""Photos that are uploaded to S3 first: POST /uploads, and `s3` in a request."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ReadTimeoutError
from classify import handler as classify
from classify.uploads import Uploads

from contract import MAX_SERVERLESS_IMAGE_BYTES, MAX_UPLOAD_BYTES, UPLOADS_PREFIX, ServingMode
from tests.fakes.api import ANSWER, FakeEndpoint, call, event, refused
from tests.fakes.s3 import client_error

KEY = UPLOADS_PREFIX + "0f3c2c1e-6a53-4c0e-9d2b-0a4f8f1a2b3c"
ANOTHER = UPLOADS_PREFIX + "0f3c2c1e-6a53-4c0e-9d2b-0a4f8f1a2b3d"
BEGIN = event(None, None, path="/uploads")


class Bucket:
    """The uploads that are there; anything else is denied, as to a role that may not list the bucket."""

    def __init__(self, photos: dict[str, bytes | Exception]) -> None:
        self._photos = photos

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        assert Bucket == "data"
        found = self._photos.get(Key, client_error("AccessDenied", "Access Denied", status=403))
        if isinstance(found, Exception):
            raise found
        return {"ContentLength": len(found), "Body": io.BytesIO(found)}


def holding(
    monkeypatch: pytest.MonkeyPatch, photos: dict[str, bytes | Exception], mode: ServingMode = "realtime"
) -> None:
    uploads = Uploads("data", mode=mode)
    monkeypatch.setattr(uploads, "_s3", Bucket(photos))
    monkeypatch.setattr(classify, "uploads", uploads)


def asking(content: dict[str, Any]) -> dict[str, Any]:
    return event(json.dumps(content), "application/json")


@pytest.mark.parametrize(
    ("mode", "largest"), [("realtime", MAX_UPLOAD_BYTES), ("serverless", MAX_SERVERLESS_IMAGE_BYTES)]
)
def test_a_form_is_for_one_key_one_size_and_minutes(
    monkeypatch: pytest.MonkeyPatch, mode: ServingMode, largest: int
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it keeps the region of the first test that made it
    monkeypatch.setattr(classify, "uploads", Uploads("data", mode=mode))
    status, upload, _ = call(monkeypatch, FakeEndpoint(), BEGIN)
    assert status == 200
    assert upload["url"] == "https://data.s3.eu-west-1.amazonaws.com/"
    assert upload["s3"].startswith(UPLOADS_PREFIX)
    assert upload["fields"]["key"] == upload["s3"]
    assert upload["max_bytes"] == largest
    policy = json.loads(base64.b64decode(upload["fields"]["policy"]))
    assert ["content-length-range", 1, largest] in policy["conditions"]
    assert {"bucket": "data"} in policy["conditions"]
    assert {"key": upload["s3"]} in policy["conditions"]
    assert upload["fields"]["x-amz-algorithm"] == "AWS4-HMAC-SHA256"
    assert upload["expires_in"] == 600
    assert call(monkeypatch, FakeEndpoint(), BEGIN)[1]["s3"] != upload["s3"]


def test_an_uploaded_photo_is_classified(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = b"x" * 20_000_000
    holding(monkeypatch, {KEY: photo})
    endpoint = FakeEndpoint()
    assert call(monkeypatch, endpoint, asking({"s3": KEY, "parameters": {"top_k": 2}}))[:2] == (200, ANSWER)
    assert endpoint.asked == [photo]
    assert endpoint.attributes == ["top_k=2"]


def test_several_uploaded_photos_have_an_answer_or_a_problem_each(monkeypatch: pytest.MonkeyPatch) -> None:
    holding(monkeypatch, {KEY: b"photo"})
    status, body, _ = call(monkeypatch, FakeEndpoint(), asking({"s3": [KEY, ANOTHER]}))
    assert status == 200
    assert body["answers"][0] == {"answer": ANSWER}
    assert body["answers"][1]["problem"]["status"] == 404


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (None, 404),
        (client_error("NoSuchKey", "no", status=404), 404),
        (client_error("SlowDown", "no", status=503), 503),
        (ReadTimeoutError(endpoint_url="https://s3"), 503),
        (b"x" * (MAX_SERVERLESS_IMAGE_BYTES + 1), 413),
    ],
)
def test_an_upload_that_cannot_be_read_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, found: bytes | Exception | None, status: int
) -> None:
    holding(monkeypatch, {} if found is None else {KEY: found}, mode="serverless")
    endpoint = FakeEndpoint()
    problem, headers = refused(monkeypatch, endpoint, asking({"s3": KEY}))
    assert (problem["status"], endpoint.asked) == (status, [])
    assert ("Retry-After" in headers) == (status == 503)


@pytest.mark.parametrize(
    "key",
    [
        "runs/model.tar.gz",
        "uploads/",
        "uploads/../runs/" + KEY,
        KEY + "/x",
        "s3://data/" + KEY,
        KEY.upper(),
        KEY + "\n",
    ],
)
def test_no_other_object_can_be_named(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    holding(monkeypatch, {key: b"secret"})
    endpoint = FakeEndpoint()
    problem, _ = refused(monkeypatch, endpoint, asking({"s3": key}))
    assert (problem["status"], endpoint.asked) == (400, [])


@pytest.mark.parametrize("content", [{"s3": KEY, "inputs": "aaaa"}, {"s3": []}, {"s3": 3}, {}])
def test_a_request_names_its_images_in_one_place(monkeypatch: pytest.MonkeyPatch, content: dict[str, Any]) -> None:
    holding(monkeypatch, {KEY: b"photo"})
    assert refused(monkeypatch, FakeEndpoint(), asking(content))[0]["status"] == 400


def test_without_a_bucket_of_the_stacks_own_there_are_no_uploads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classify, "uploads", Uploads("", mode="realtime"))
    for request in (BEGIN, asking({"s3": KEY})):
        problem, _ = refused(monkeypatch, FakeEndpoint(), request)
        assert (problem["status"], problem["title"]) == (404, "No uploads")
