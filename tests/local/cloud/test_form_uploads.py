"""Forms that upload to S3 (POST policies): who may, what, and how large."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import urllib3
from botocore.config import Config

from tests.local.cloud.conftest import Account

http = urllib3.PoolManager()
PHOTO = bytes(range(256)) * 4


@pytest.fixture
def bucket(account: Account) -> Iterator[str]:
    name = f"forms-{uuid.uuid4().hex[:8]}"
    account.client("s3").create_bucket(Bucket=name)
    yield name
    for item in account.client("s3").list_objects_v2(Bucket=name).get("Contents", []):
        account.client("s3").delete_object(Bucket=name, Key=item["Key"])
    account.client("s3").delete_bucket(Bucket=name)


@pytest.fixture
def form(account: Account, bucket: str) -> dict[str, Any]:
    """A signed form for `uploads/photo` of at most 2,000 bytes."""
    signer = boto3.client(
        "s3",
        endpoint_url=account.cloud.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=account.cloud.access_key,
        aws_secret_access_key=account.cloud.secret_key,
        config=Config(signature_version="s3v4"),
    )
    found: dict[str, Any] = signer.generate_presigned_post(
        bucket, "uploads/photo", Conditions=[["content-length-range", 1, 2000]], ExpiresIn=600
    )
    return found


def post(url: str, fields: dict[str, str], photo: bytes, **headers: str) -> urllib3.BaseHTTPResponse:
    body, content_type = urllib3.encode_multipart_formdata([*fields.items(), ("file", ("photo.jpg", photo))])
    return http.request("POST", url, body=body, headers={"Content-Type": content_type, **headers}, timeout=60)


def keys_in(account: Account, bucket: str) -> list[str]:
    return [item["Key"] for item in account.client("s3").list_objects_v2(Bucket=bucket).get("Contents", [])]


def test_a_signed_form_uploads_without_another_key(account: Account, bucket: str, form: dict[str, Any]) -> None:
    assert post(form["url"], form["fields"], PHOTO).status == 204
    found = account.client("s3").get_object(Bucket=bucket, Key="uploads/photo")
    assert found["Body"].read() == PHOTO


@pytest.mark.parametrize(
    "changes",
    [{"key": "runs/model.tar.gz"}, {"x-amz-signature": "0" * 64}, {"x-amz-signature": None}, {"policy": "e30="}],
    ids=["another key", "another signature", "no signature", "another policy"],
)
def test_a_form_that_is_not_as_signed_is_refused(
    account: Account, bucket: str, form: dict[str, Any], changes: dict[str, str | None]
) -> None:
    fields = {name: value for name, value in {**form["fields"], **changes}.items() if value is not None}
    assert post(form["url"], fields, PHOTO).status in (400, 403)
    assert keys_in(account, bucket) == []


@pytest.mark.parametrize("size", [0, 2001])
def test_a_photo_of_another_size_is_refused(account: Account, bucket: str, form: dict[str, Any], size: int) -> None:
    assert post(form["url"], form["fields"], b"x" * size).status == 400
    assert keys_in(account, bucket) == []


def test_a_form_opens_nothing_else(account: Account, bucket: str, form: dict[str, Any]) -> None:
    for url in (f"{form['url']}?delete", f"{account.cloud.endpoint_url}/no-such-bucket", account.cloud.endpoint_url):
        assert post(url, form["fields"], PHOTO).status == 403
    targeted = {"X-Amz-Target": "AWSStepFunctions.ListStateMachines"}
    assert post(form["url"], form["fields"], PHOTO, **targeted).status == 403


@pytest.fixture
def page(account: Account, bucket: str) -> str:
    """The origin of a page whose scripts may send forms to the bucket."""
    origin = "https://photos.example.com"
    rule = {"AllowedMethods": ["POST"], "AllowedOrigins": [origin], "AllowedHeaders": ["*"]}
    account.client("s3").put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
    return origin


def test_scripts_of_a_named_page_may_upload_and_read_the_answer(
    account: Account, bucket: str, form: dict[str, Any], page: str
) -> None:
    wanted = {"Origin": page, "Sec-Fetch-Site": "cross-site"}
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    preflight = http.request("OPTIONS", form["url"], headers={**wanted, **asked})
    answer = post(form["url"], form["fields"], PHOTO, **wanted)
    assert (preflight.status, answer.status) == (200, 204)
    assert preflight.headers["Access-Control-Allow-Methods"] == "POST"
    assert {each.headers["Access-Control-Allow-Origin"] for each in (preflight, answer)} == {page}
    assert keys_in(account, bucket) == ["uploads/photo"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_scripts_of_another_page_read_nothing(
    account: Account, bucket: str, form: dict[str, Any], page: str, origin: str
) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    preflight = http.request("OPTIONS", form["url"], headers=asked)
    answer = post(form["url"], form["fields"], PHOTO, Origin=origin)
    assert preflight.status == 403
    assert not [
        name for each in (preflight, answer) for name in each.headers if name.lower().startswith("access-control-")
    ]


def test_a_preflight_opens_nothing_else(account: Account, bucket: str, form: dict[str, Any], page: str) -> None:
    asked = {"Origin": page, "Access-Control-Request-Method": "PUT"}
    for url in (form["url"], f"{form['url']}?cors", f"{account.cloud.endpoint_url}/no-such-bucket"):
        assert http.request("OPTIONS", url, headers=asked).status == 403
