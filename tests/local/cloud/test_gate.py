"""The local cloud answers this machine's AWS clients with a key of this start, and nobody else."""

from __future__ import annotations

import http.client
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from local import control
from tests.local.cloud.conftest import Account

BUCKET = "made-by-a-stranger"


def request(
    account: Account,
    method: str,
    path: str,
    headers: Mapping[str, str],
    *,
    body: bytes = b"",
    host: str | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """Send a request as it is, whatever a well-behaved client would refuse to send."""
    connection = http.client.HTTPConnection("127.0.0.1", account.cloud.port, timeout=30)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host or f"127.0.0.1:{account.cloud.port}")
    connection.putheader("Content-Length", str(len(body)))
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    connection.close()
    return found


def signed(account: Account, *, access_key: str | None = None) -> dict[str, str]:
    """Headers of a signed CreateBucket request for `BUCKET`."""
    url = f"{account.cloud.endpoint_url}/{BUCKET}"
    wanted = AWSRequest(method="PUT", url=url)
    keys = Credentials(access_key or account.cloud.access_key, account.cloud.secret_key)
    SigV4Auth(keys, "s3", "us-east-1").add_auth(wanted)
    return {str(name): str(value) for name, value in wanted.headers.items()}


def create_bucket(account: Account, headers: Mapping[str, str], *, host: str | None = None) -> tuple[int, bytes]:
    status, answered, body = request(account, "PUT", f"/{BUCKET}", headers, host=host)
    assert not [name for name in answered if name.startswith("access-control-")], answered
    return status, body


def buckets(account: Account) -> list[str]:
    return [bucket["Name"] for bucket in account.client("s3").list_buckets()["Buckets"]]


def test_a_client_with_the_key_is_answered(account: Account) -> None:
    status, body = create_bucket(account, signed(account))
    assert status == 200, body
    account.client("s3").delete_bucket(Bucket=BUCKET)


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"Origin": "https://evil.example"}, "a web page of https://evil.example"),
        ({"Origin": "null"}, "a web page of null"),
        ({"Origin": "http://127.0.0.1:1"}, "a web page of http://127.0.0.1:1"),
        ({"Sec-Fetch-Site": "cross-site"}, "another origin"),
        ({"Sec-Fetch-Site": "same-site"}, "another origin"),
    ],
)
def test_a_foreign_page_is_refused_whatever_key_it_has(account: Account, headers: dict[str, str], reason: str) -> None:
    status, body = create_bucket(account, {**signed(account), **headers})
    assert status == 403
    assert reason in body.decode()
    assert BUCKET not in buckets(account)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", ""])
def test_a_request_for_another_host_is_refused(account: Account, host: str) -> None:
    """DNS rebinding: a name of a stranger's that leads to this machine."""
    status, _, body = request(account, "PUT", f"/{BUCKET}", signed(account), host=host or "[::1]:9")
    assert status == 403
    assert b"not for this server" in body
    assert BUCKET not in buckets(account)


@pytest.mark.parametrize("key", ["test", "000000000000", "123456789012", "AKIAIOSFODNN7EXAMPLE"])
def test_a_key_that_is_not_of_this_start_is_refused(account: Account, key: str) -> None:
    status, body = create_bucket(account, signed(account, access_key=key))
    assert status == 403
    assert "no access key ID of this local cloud" in body.decode()
    with pytest.raises(ClientError, match="no access key ID of this local cloud"):
        account.client("sts", aws_access_key_id=key, aws_secret_access_key="x").get_caller_identity()


def test_a_key_in_the_query_is_looked_at_too(account: Account) -> None:
    """As a form or an image of a page would send it, which needs no permission of the browser's."""
    query = urlencode({"Action": "CreateUser", "UserName": "x", "X-Amz-Credential": "test/20260101/us-east-1/iam/x"})
    status, _, body = request(account, "POST", f"/?{query}", {"Content-Type": "text/plain"})
    assert status == 403, body


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/_ministack/reset"),
        ("POST", "/_ministack/config"),
        ("GET", "/_ministack/lambda-code/000000000000/echo"),
        ("POST", "/_localstack/state/reset"),
        ("GET", "/"),
        ("OPTIONS", "/"),
        ("POST", "/2015-03-31/functions"),
    ],
)
def test_nothing_is_steered_or_read_without_a_key(account: Account, method: str, path: str) -> None:
    status, answered, _ = request(account, method, path, {})
    assert status == 403
    assert not [name for name in answered if name.startswith("access-control-")]


def test_steering_is_refused_with_the_key_too(account: Account) -> None:
    status, _, body = request(account, "POST", "/_ministack/reset", signed(account))
    assert status == 403
    assert b"whippet down" in body


def test_a_role_keeps_its_permissions(account: Account) -> None:
    role = account.role("gate", "sagemaker.amazonaws.com")
    with pytest.raises(ClientError, match="not authorized to perform: s3:ListAllMyBuckets"):
        account.client("s3", **account.assume(role)).list_buckets()


def test_the_apis_of_the_stack_stay_open(account: Account, front_door: dict[str, str]) -> None:
    """What guards them there, guards them here: an API key, IAM, or nothing."""
    status, _, body = request(account, "GET", "/_aws/execute-api/none/prod/", {})
    assert b"access key ID of this local cloud" not in body
    assert status != 403 or b"Missing Authentication Token" in body


def test_each_start_has_a_key_of_its_own_which_this_user_alone_may_read(tmp_path: Path) -> None:
    state = tmp_path / "state"
    first = control.start(state)
    try:
        assert stat.S_IMODE((state / "cloud.json").stat().st_mode) == 0o600
        assert first.access_key not in repr(first)
        environment: dict[str, Any] = first.environment()
        assert environment["AWS_ACCESS_KEY_ID"] == first.access_key
    finally:
        control.stop(state)
    second = control.start(state)
    try:
        assert second.access_key != first.access_key
        old = boto3.client(
            "sts",
            endpoint_url=second.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=first.access_key,
            aws_secret_access_key=first.secret_key,
        )
        with pytest.raises(ClientError, match="no access key ID of this local cloud"):
            old.get_caller_identity()
    finally:
        control.stop(state)
