"""Objects are on disk: how much memory and disk they take, and that they stay what they are."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from check_dataset.contents import with_contents
from check_dataset.listing import list_photos
from rich.console import Console

from cli.photos import find_photos
from cli.upload import compare, content_hashes, upload
from local import control
from tests.local.cloud.conftest import Account

MIB = 2**20
PARTS = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, max_concurrency=2)


@pytest.fixture
def bucket(account: Account, name: str) -> str:
    """A bucket with versioning, as the stack's."""
    return _bucket(account, f"{name}-objects")


def _bucket(account: Account, name: str) -> str:
    s3 = account.client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def _versions(s3: Any, bucket: str) -> list[dict[str, str]]:
    listed = s3.list_object_versions(Bucket=bucket)
    found = [*listed.get("Versions", []), *listed.get("DeleteMarkers", [])]
    return [{"Key": version["Key"], "VersionId": version["VersionId"]} for version in found]


def _resident(account: Account) -> int:
    """Memory of the server that is no file's, in MiB."""
    status = Path(f"/proc/{account.cloud.pid}/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) // 1024


def _on_disk(account: Account) -> int:
    """Size of the stored objects' files, in MiB."""
    return sum(file.stat().st_size for file in (account.cloud.state / "objects").rglob("*") if file.is_file()) // MIB


def test_objects_take_disk_and_not_memory_and_deletion_frees_it(own_account: Account) -> None:
    s3, bucket = own_account.client("s3"), _bucket(own_account, "bucket")
    before = _resident(own_account)
    for number in range(6):
        s3.put_object(Bucket=bucket, Key=f"put/{number}", Body=os.urandom(15 * MIB))
    s3.upload_fileobj(io.BytesIO(os.urandom(60 * MIB)), bucket, "multipart", Config=PARTS)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="unfinished")["UploadId"]
    for part in range(1, 5):
        body = os.urandom(15 * MIB)
        s3.upload_part(Bucket=bucket, Key="unfinished", UploadId=upload, PartNumber=part, Body=body)

    assert _resident(own_account) - before < 60, "210 MiB are stored"
    assert 150 <= _on_disk(own_account) < 155

    # hidden by markers, the versions are there once
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": f"put/{number}"} for number in range(6)]})
    assert 150 <= _on_disk(own_account) < 155
    s3.delete_objects(Bucket=bucket, Delete={"Objects": _versions(s3, bucket)})
    assert _on_disk(own_account) == 0
    control.stop(own_account.cloud.state)
    assert not (own_account.cloud.state / "objects").exists()


def test_a_file_uploaded_in_parts_and_read_in_ranges_is_the_same(account: Account, bucket: str) -> None:
    content = os.urandom(16 * MIB + 12_345)
    s3 = account.client("s3")
    s3.upload_fileobj(io.BytesIO(content), bucket, "large", Config=PARTS)
    assert s3.head_object(Bucket=bucket, Key="large")["ETag"].endswith('-4"')
    read = io.BytesIO()
    s3.download_fileobj(bucket, "large", read, Config=PARTS)
    assert read.getvalue() == content
    assert s3.get_object(Bucket=bucket, Key="large")["Body"].read() == content
    assert s3.get_object(Bucket=bucket, Key="large", Range="bytes=-10")["Body"].read() == content[-10:]
    assert s3.get_object(Bucket=bucket, Key="large", PartNumber=2)["Body"].read() == content[5 * MIB : 10 * MIB]


def test_an_upload_that_could_not_be_completed_can_be_completed_afterwards(account: Account, bucket: str) -> None:
    s3 = account.client("s3")
    which = {"Bucket": bucket, "Key": "retried"}
    which["UploadId"] = s3.create_multipart_upload(**which)["UploadId"]
    first, second = b"a" * 5 * MIB, b"b"
    tags = [s3.upload_part(**which, PartNumber=number, Body=body)["ETag"] for number, body in ((1, first), (2, b"old"))]
    tags[1] = s3.upload_part(**which, PartNumber=2, Body=second)["ETag"]
    parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, start=1)]
    wrong = [parts[0], parts[1] | {"ETag": '"0"'}]
    with pytest.raises(s3.exceptions.ClientError, match="InvalidPart"):
        s3.complete_multipart_upload(**which, MultipartUpload={"Parts": wrong})
    assert [part["Size"] for part in s3.list_parts(**which)["Parts"]] == [5 * MIB, 1]
    s3.complete_multipart_upload(**which, MultipartUpload={"Parts": parts})
    assert s3.get_object(Bucket=bucket, Key="retried")["Body"].read() == first + second


def test_a_part_may_be_copied_from_another_object(account: Account, bucket: str) -> None:
    s3 = account.client("s3")
    s3.put_object(Bucket=bucket, Key="source", Body=b"copied")
    which = {"Bucket": bucket, "Key": "target"}
    which["UploadId"] = s3.create_multipart_upload(**which)["UploadId"]
    source = {"Bucket": bucket, "Key": "source"}
    tag = s3.upload_part_copy(**which, PartNumber=1, CopySource=source)["CopyPartResult"]["ETag"]
    s3.complete_multipart_upload(**which, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})
    assert s3.get_object(Bucket=bucket, Key="target")["Body"].read() == b"copied"


def test_every_version_can_be_read_hidden_and_brought_back(account: Account, bucket: str) -> None:
    s3 = account.client("s3")
    which = {"Bucket": bucket, "Key": "k"}
    ids = [s3.put_object(**which, Body=body)["VersionId"] for body in (b"one", b"two", b"three")]

    def read(version: str | None = None) -> bytes:
        content: bytes = s3.get_object(**which, **({"VersionId": version} if version else {}))["Body"].read()
        return content

    def every_version() -> list[bytes]:
        return [read(version) for version in ids]

    assert every_version() == [b"one", b"two", b"three"]
    marker = s3.delete_object(**which)["VersionId"]
    with pytest.raises(s3.exceptions.NoSuchKey):
        read()
    assert every_version() == [b"one", b"two", b"three"]
    s3.delete_object(**which, VersionId=marker)
    assert read() == b"three"
    s3.delete_object(**which, VersionId=ids.pop())
    assert (read(), every_version()) == (b"two", [b"one", b"two"])
    s3.copy_object(**which, CopySource=which | {"VersionId": ids[0]})
    assert read() == b"one"
    ids.append(s3.put_object(**which, Body=b"four")["VersionId"])
    assert every_version() == [b"one", b"two", b"four"]


def test_an_object_from_before_versioning_is_kept(account: Account, name: str) -> None:
    s3, bucket = account.client("s3"), f"{name}-late"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=bucket, Key="k", Body=b"after")
    s3.delete_object(Bucket=bucket, Key="k")
    assert s3.get_object(Bucket=bucket, Key="k", VersionId="null")["Body"].read() == b"before"


def test_copies_are_known_however_they_were_uploaded(account: Account, bucket: str, tmp_path: Path) -> None:
    """By `whippet upload` in one part and with a SHA-256, and by `aws s3 cp` in parts, whose ETag is of the parts."""
    s3 = account.client("s3")
    for path, seed in (("cat/1.jpg", b"a"), ("dog/2.jpg", b"b")):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_bytes(seed * (6 * MIB))
    photos = find_photos(tmp_path)
    contents = content_hashes(photos)
    changes = compare(s3, photos=photos, contents=contents, bucket=bucket, prefix="dataset/")
    upload(s3, photos=photos, changes=changes, bucket=bucket, prefix="dataset/", console=Console(quiet=True))
    assert compare(s3, photos=photos, contents=contents, bucket=bucket, prefix="dataset/").missing == ()
    s3.upload_fileobj(io.BytesIO(b"a" * (6 * MIB)), bucket, "dataset/cat/parts.jpg", Config=PARTS)

    listing = list_photos(s3, bucket=bucket, prefix="dataset/")
    assert [photo.etag[-2:] == "-2" for photo in listing.photos] == [False, True, False]
    (one, parts, other), remarks = with_contents(s3, listing.photos, bucket=bucket, prefix="dataset/")
    assert remarks == []
    assert one.identity == parts.identity == hashlib.sha256(b"a" * (6 * MIB)).hexdigest() != other.identity
    with pytest.raises(ClientError):
        s3.put_object(Bucket=bucket, Key="dataset/bad.jpg", Body=b"x", ChecksumSHA256="A" * 43 + "=")
