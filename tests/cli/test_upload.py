"""Making the bucket the same as a folder."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cli import CliError
from cli.bursts import groups_file
from cli.photos import Photos, find_photos
from cli.upload import compare, content_hashes, upload

PREFIX = "dataset/"


class Bucket:
    """The four S3 calls an upload makes, over a dictionary."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.refuse: str | None = None
        self.kms = False
        self.heads = 0

    def head_object(self, *, Bucket: str, Key: str, ChecksumMode: str) -> dict[str, str]:  # noqa: N803
        assert ChecksumMode == "ENABLED"
        self.heads += 1
        digest = base64.b64encode(hashlib.sha256(self.objects[Key]).digest()).decode()
        return {"ServerSideEncryption": "aws:kms" if self.kms else "AES256", "ChecksumSHA256": digest}

    def get_paginator(self, _: str) -> Bucket:
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:  # noqa: N803
        keys = sorted(key for key in self.objects if key.startswith(Prefix))
        for start in range(0, len(keys), 2):
            yield {
                "Contents": [
                    {"Key": key, "Size": len(self.objects[key]), "ETag": f'"{self._etag(key)}"'}
                    for key in keys[start : start + 2]
                ]
            }

    def _etag(self, key: str) -> str:
        return _md5(key.encode() if self.kms else self.objects[key])

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, ContentType: str, ChecksumSHA256: str) -> None:  # noqa: N803
        if Key == self.refuse:
            raise PermissionError(Key)
        assert ContentType == ("image/jpeg" if Key.endswith(".jpg") else "text/csv")
        assert base64.b64decode(ChecksumSHA256) == hashlib.sha256(Body).digest()
        self.objects[Key] = Body

    def delete_objects(self, *, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:  # noqa: N803
        for item in Delete["Objects"]:
            if item["Key"] == self.refuse:
                return {"Errors": [{"Key": item["Key"], "Message": "Access Denied"}]}
            del self.objects[item["Key"]]
        return {}


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    for name in ("cat/a.jpg", "cat/b.jpg", "dog/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return find_photos(tmp_path)


def _sync(bucket: Bucket, photos: Photos, *, add: bool = False) -> tuple[int, int, int]:
    contents = content_hashes(photos)
    changes = compare(bucket, photos=photos, contents=contents, bucket="b", prefix=PREFIX, add=add)
    upload(bucket, photos=photos, changes=changes, bucket="b", prefix=PREFIX, console=Console(quiet=True))
    return len(changes.missing), changes.unchanged, len(changes.surplus)


def test_the_bucket_holds_what_the_folder_holds(photos: Photos) -> None:
    bucket = Bucket()
    bucket.objects = {"dataset/cat/old.jpg": b"old", "dataset/cat/a.jpg": b"another cat", "elsewhere/x.jpg": b"x"}
    assert _sync(bucket, photos) == (3, 0, 1)
    assert bucket.objects == {
        "dataset/cat/a.jpg": b"cat/a.jpg",
        "dataset/cat/b.jpg": b"cat/b.jpg",
        "dataset/dog/c.jpg": b"dog/c.jpg",
        "elsewhere/x.jpg": b"x",
    }


def test_the_object_ready_is_neither_sent_nor_removed(photos: Photos) -> None:
    bucket = Bucket()
    bucket.objects = {"dataset/READY": b""}
    (photos.folder / "READY").write_bytes(b"here, too")
    assert _sync(bucket, find_photos(photos.folder)) == (3, 0, 0)
    assert bucket.objects["dataset/READY"] == b""


def test_a_second_upload_sends_nothing(photos: Photos) -> None:
    bucket = Bucket()
    _sync(bucket, photos)
    assert _sync(bucket, photos) == (0, 3, 0)


def test_a_second_upload_to_a_bucket_with_kms_sends_nothing(photos: Photos) -> None:
    """An upload again would change the ETags there, for which the features of every photo would be computed anew."""
    bucket = Bucket()
    bucket.kms = True
    _sync(bucket, photos)
    assert _sync(bucket, photos) == (0, 3, 0)
    (photos.folder / "cat" / "a.jpg").write_bytes(b"another cat")
    assert _sync(bucket, find_photos(photos.folder)) == (1, 2, 0)
    assert bucket.objects["dataset/cat/a.jpg"] == b"another cat"


def test_without_kms_one_object_is_asked_about_and_not_each(photos: Photos) -> None:
    bucket = Bucket()
    bucket.objects = {f"dataset/{name}": b"old" for name in ("cat/a.jpg", "cat/b.jpg", "dog/c.jpg")}
    assert _sync(bucket, photos) == (3, 0, 0)
    assert bucket.heads == 1


def test_add_keeps_what_the_folder_lacks(photos: Photos) -> None:
    bucket = Bucket()
    bucket.objects = {"dataset/cat/old.jpg": b"old"}
    assert _sync(bucket, photos, add=True) == (3, 0, 0)
    assert "dataset/cat/old.jpg" in bucket.objects


def test_what_is_added_must_fit_to_what_is_there(photos: Photos) -> None:
    bucket = Bucket()
    bucket.objects = {"dataset/train/cat/old.jpg": b"old", "dataset/train/dog/old.jpg": b"old"}
    with pytest.raises(CliError, match=r"already: split folders \(train\) stand beside .* without --add"):
        _sync(bucket, photos, add=True)
    assert len(bucket.objects) == 2
    assert _sync(bucket, photos) == (3, 0, 2)


def test_a_photo_that_cannot_be_read_is_named(photos: Photos) -> None:
    (photos.folder / "cat" / "b.jpg").unlink()
    with pytest.raises(CliError, match=r"cat/b\.jpg cannot be read \(No such file or directory\): allow it, or move"):
        content_hashes(photos)


def test_the_file_with_the_groups_is_uploaded_with_the_photos(photos: Photos) -> None:
    (photos.folder / "groups.csv").write_text("path,group\n")
    bucket = Bucket()
    assert _sync(bucket, find_photos(photos.folder)) == (4, 0, 0)
    assert bucket.objects["dataset/groups.csv"] == b"path,group\n"
    assert _sync(bucket, find_photos(photos.folder)) == (0, 4, 0)


def test_a_refused_photo_stops_the_upload_before_anything_is_removed(photos: Photos) -> None:
    bucket = Bucket()
    bucket.objects = {"dataset/cat/old.jpg": b"old"}
    bucket.refuse = "dataset/dog/c.jpg"
    with pytest.raises(PermissionError):
        _sync(bucket, photos)
    assert "dataset/cat/old.jpg" in bucket.objects


def test_a_refused_deletion_is_named(photos: Photos) -> None:
    bucket = Bucket()
    bucket.objects = {"dataset/cat/old.jpg": b"old"}
    bucket.refuse = "dataset/cat/old.jpg"
    with pytest.raises(CliError, match=r"old\.jpg: Access Denied; allow s3:DeleteObject"):
        _sync(bucket, photos)


def test_the_file_with_the_bursts_is_made_by_the_upload_and_goes_when_there_are_none(photos: Photos) -> None:
    bucket = Bucket()
    found = replace(photos, made=groups_file({"cat/a.jpg": "x", "cat/b.jpg": "x"}))
    assert _sync(bucket, found) == (4, 0, 0)
    assert bucket.objects["dataset/.whippet-groups.csv"] == b"path,group\ncat/a.jpg,x\ncat/b.jpg,x\n"
    assert _sync(bucket, found) == (0, 4, 0)
    assert _sync(bucket, photos) == (0, 3, 1)
    assert not (photos.folder / ".whippet-groups.csv").exists()
