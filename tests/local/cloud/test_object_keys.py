"""Objects that a KMS key encrypts: who reads or writes them needs the key, by an IAM policy and the key's own."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
import urllib3
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.local.cloud.conftest import Account, allow


@pytest.fixture(scope="module")
def key(account: Account) -> str:
    """ARN of a key whose policy leaves it to IAM, as the CDK's keys do."""
    return new_key(account, Principal={"AWS": "arn:aws:iam::000000000000:root"}, Action="kms:*")


def new_key(account: Account, **statement: Any) -> str:
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*", **statement}]}
    created = account.client("kms").create_key(Policy=json.dumps(policy))
    arn: str = created["KeyMetadata"]["Arn"]
    return arn


@pytest.fixture
def bucket(account: Account, name: str, key: str) -> str:
    """A bucket that the key encrypts, with an object."""
    return encrypted_bucket(account, f"{name}-keyed", key)


def encrypted_bucket(account: Account, bucket: str, key: str) -> str:
    s3, default = account.client("s3"), {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": default}]},
    )
    s3.put_object(Bucket=bucket, Key="a", Body=b"content")
    return bucket


def client(account: Account, name: str, *statements: dict[str, Any]) -> Any:
    """A client of S3 in a role that may do everything in S3, and this."""
    role = account.role(f"{name}-role", "lambda.amazonaws.com", allow("s3:*", "*"), *statements)
    return account.client("s3", **account.assume(role))


def refused(action: str) -> Any:
    return pytest.raises(ClientError, match=f"AccessDenied.*not authorized to perform: {action}")


def upload_parts(s3: Any, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="large")["UploadId"]
    place = {"Bucket": bucket, "Key": "large", "UploadId": upload}
    part = s3.upload_part(**place, PartNumber=1, Body=b"x")
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
    s3.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})


def test_without_the_key_an_object_is_seen_and_neither_read_nor_written(
    account: Account, name: str, bucket: str
) -> None:
    s3 = client(account, name)
    assert s3.head_object(Bucket=bucket, Key="a")["ServerSideEncryption"] == "aws:kms"
    with pytest.raises(ClientError, match="403"):  # what a HEAD is refused with has no body
        s3.head_object(Bucket=bucket, Key="a", ChecksumMode="ENABLED")
    with refused("kms:Decrypt"):
        s3.get_object(Bucket=bucket, Key="a")
    with refused("kms:GenerateDataKey"):
        s3.put_object(Bucket=bucket, Key="b", Body=b"content")
    with refused("kms:GenerateDataKey"):
        s3.create_multipart_upload(Bucket=bucket, Key="b")
    s3.delete_object(Bucket=bucket, Key="a")


def test_who_may_decrypt_reads_and_who_may_make_data_keys_writes(
    account: Account, name: str, bucket: str, key: str
) -> None:
    reader = client(account, f"{name}-reader", allow("kms:Decrypt", key))
    assert reader.get_object(Bucket=bucket, Key="a")["Body"].read() == b"content"
    assert "ChecksumCRC32" in reader.head_object(Bucket=bucket, Key="a", ChecksumMode="ENABLED")
    with refused("kms:GenerateDataKey"):
        reader.put_object(Bucket=bucket, Key="b", Body=b"content")

    writer = client(account, f"{name}-writer", allow("kms:GenerateDataKey", key))
    writer.put_object(Bucket=bucket, Key="b", Body=b"content")
    with refused("kms:Decrypt"):
        writer.get_object(Bucket=bucket, Key="b")
    with refused("kms:Decrypt"):
        upload_parts(writer, bucket)
    upload_parts(client(account, name, allow(["kms:Decrypt", "kms:GenerateDataKey"], key)), bucket)


def test_a_copy_needs_the_key_of_its_source_and_of_its_target(
    account: Account, name: str, bucket: str, key: str
) -> None:
    plain, source = f"{name}-plain", {"Bucket": bucket, "Key": "a"}
    account.client("s3").create_bucket(Bucket=plain)
    writer = client(account, f"{name}-writer", allow("kms:GenerateDataKey", key))
    with refused("kms:Decrypt"):
        writer.copy_object(Bucket=plain, Key="a", CopySource=source)
    reader = client(account, f"{name}-reader", allow("kms:Decrypt", key))
    reader.copy_object(Bucket=plain, Key="a", CopySource=source)
    with refused("kms:GenerateDataKey"):
        reader.copy_object(Bucket=bucket, Key="b", CopySource={"Bucket": plain, "Key": "a"})


def test_the_key_counts_that_an_object_was_written_with(account: Account, name: str, bucket: str, key: str) -> None:
    """Also of an earlier version, and of one whose request named the key by its alias."""
    s3, kms = account.client("s3"), account.client("kms")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=bucket, Key="a", Body=b"first")["VersionId"]
    other = new_key(account, Principal={"AWS": "arn:aws:iam::000000000000:root"}, Action="kms:*")
    kms.create_alias(AliasName=f"alias/{name}", TargetKeyId=other)
    named = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": f"alias/{name}"}
    s3.put_object(Bucket=bucket, Key="a", Body=b"second", **named)

    reader = client(account, f"{name}-reader", allow("kms:Decrypt", key))
    assert reader.get_object(Bucket=bucket, Key="a", VersionId=first)["Body"].read() == b"first"
    with refused("kms:Decrypt"):
        reader.get_object(Bucket=bucket, Key="a")
    of_other = client(account, f"{name}-other", allow("kms:Decrypt", other))
    assert of_other.get_object(Bucket=bucket, Key="a")["Body"].read() == b"second"


def test_the_keys_own_policy_counts_too(account: Account, name: str) -> None:
    role = account.role(f"{name}-named", "lambda.amazonaws.com", allow("s3:*", "*"))
    key = new_key(account, Principal={"AWS": role}, Action="kms:Decrypt")
    bucket = encrypted_bucket(account, f"{name}-own", key)
    named = account.client("s3", **account.assume(role))
    assert named.get_object(Bucket=bucket, Key="a")["Body"].read() == b"content"
    with refused("kms:Decrypt"):
        client(account, name, allow("kms:*", key)).get_object(Bucket=bucket, Key="a")


def test_a_key_may_be_lent_for_s3_alone(account: Account, name: str, bucket: str, key: str) -> None:
    def through(service: str) -> dict[str, Any]:
        used = {"kms:ViaService": f"{service}.us-east-1.amazonaws.com"}
        return allow("kms:Decrypt", key) | {"Condition": {"StringEquals": used}}

    client(account, f"{name}-s3", through("s3")).get_object(Bucket=bucket, Key="a")
    with refused("kms:Decrypt"):
        client(account, f"{name}-sns", through("sns")).get_object(Bucket=bucket, Key="a")


@pytest.mark.parametrize("may", [True, False])
def test_the_signer_of_a_form_needs_the_key(account: Account, name: str, bucket: str, key: str, may: bool) -> None:
    statements = [allow("s3:PutObject", "*"), *([allow("kms:GenerateDataKey", key)] if may else [])]
    signer = boto3.client(  # type: ignore[call-overload]
        "s3",
        endpoint_url=account.cloud.endpoint_url,
        region_name="us-east-1",
        config=Config(signature_version="s3v4"),
        **account.assume(account.role(name, "lambda.amazonaws.com", *statements)),
    )
    form = signer.generate_presigned_post(bucket, "form")
    fields = {**form["fields"], "file": ("a.txt", b"content", "text/plain")}
    answer = urllib3.request("POST", form["url"], fields=fields, retries=False)
    assert answer.status == (204 if may else 403), answer.data
