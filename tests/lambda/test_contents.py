"""Telling photos apart by their content, whatever their ETags are."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from check_dataset import contents
from check_dataset.contents import with_contents
from check_dataset.listing import Photo

from tests.fakes.s3 import FakeS3, client_error, etag


class Objects(FakeS3):
    """Objects some of which were uploaded in parts, are encrypted with KMS, or carry a SHA-256."""

    def __init__(self, objects: dict[str, bytes], *, parts: tuple[str, ...] = (), kms: bool = False) -> None:
        super().__init__({f"dataset/{path}": body for path, body in objects.items()})
        self.parts, self.kms = parts, kms
        self.checksums: set[str] = set()
        self.denied = False
        self.asked: list[str] = []
        self.read: list[str] = []

    def photos(self) -> list[Photo]:
        return [
            Photo(key.removeprefix("dataset/"), "a", None, self._etag(key.removeprefix("dataset/"), body), len(body))
            for key, body in self.objects.items()
        ]

    def _etag(self, path: str, body: bytes) -> str:
        if path in self.parts:
            return f"{hashlib.md5(etag(body).encode(), usedforsecurity=False).hexdigest()}-2"
        return hashlib.md5(path.encode(), usedforsecurity=False).hexdigest() if self.kms else etag(body)

    def head_object(self, *, Bucket: str, Key: str, **more: Any) -> dict[str, Any]:  # noqa: N803
        path = Key.removeprefix("dataset/")
        answer: dict[str, Any] = {"ServerSideEncryption": "aws:kms" if self.kms else "AES256"}
        if more:
            assert more == {"ChecksumMode": "ENABLED"}
            self.asked.append(path)
            if self.denied:
                raise client_error("403", "Forbidden", status=403, ResponseMetadata={"HTTPStatusCode": 403})
            if path in self.checksums:
                answer["ChecksumSHA256"] = base64.b64encode(hashlib.sha256(self.objects[Key]).digest()).decode()
                answer["ChecksumType"] = "FULL_OBJECT"
            elif path in self.parts:
                answer["ChecksumSHA256"] = "Zm9v-2"
                answer["ChecksumType"] = "COMPOSITE"
        return answer

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        self.read.append(Key.removeprefix("dataset/"))
        return super().get_object(Bucket=Bucket, Key=Key)


def identities(s3: Objects) -> dict[str, str]:
    photos, remarks = with_contents(s3, s3.photos(), bucket="data", prefix="dataset/")  # type: ignore[arg-type]
    assert remarks == []
    return {photo.path: photo.identity for photo in photos}


def test_photos_uploaded_in_one_part_are_known_by_their_etag() -> None:
    s3 = Objects({"1.jpg": b"one", "2.jpg": b"two", "3.jpg": b"one", "4.jpg": b"four"})
    found = identities(s3)
    assert found["1.jpg"] == found["3.jpg"] == etag(b"one") != found["2.jpg"]
    assert (s3.asked, s3.read) == ([], [])


def test_a_photo_uploaded_in_parts_is_a_copy_of_one_uploaded_at_once() -> None:
    s3 = Objects({"1.jpg": b"same", "2.jpg": b"same", "3.jpg": b"else", "4.jpg": b"of another size"}, parts=("2.jpg",))
    found = identities(s3)
    assert found["1.jpg"] == found["2.jpg"] != found["3.jpg"]
    assert sorted(s3.read) == ["1.jpg", "2.jpg", "3.jpg"], "only what could be the same"


def test_a_photo_in_parts_that_no_other_equals_in_size_is_not_read() -> None:
    s3 = Objects({"1.jpg": b"one", "2.jpg": b"twenty"}, parts=("2.jpg",))
    assert identities(s3)["2.jpg"].endswith("-2")
    assert (s3.asked, s3.read) == ([], [])


def test_with_kms_photos_are_known_by_the_checksum_of_their_upload() -> None:
    s3 = Objects({"1.jpg": b"same", "2.jpg": b"same", "3.jpg": b"alone in its size"}, kms=True)
    s3.checksums = {"1.jpg", "2.jpg", "3.jpg"}
    found = identities(s3)
    assert found["1.jpg"] == found["2.jpg"] == hashlib.sha256(b"same").hexdigest()
    assert found["3.jpg"] == hashlib.sha256(b"alone in its size").hexdigest(), "its split must not follow from the ETag"
    assert s3.read == []


def test_with_kms_and_no_checksum_photos_of_one_size_are_read() -> None:
    s3 = Objects({"1.jpg": b"same", "2.jpg": b"same", "3.jpg": b"alone in its size"}, kms=True)
    found = identities(s3)
    assert found["1.jpg"] == found["2.jpg"]
    assert sorted(s3.read) == ["1.jpg", "2.jpg"]


def test_a_checksum_that_may_not_be_asked_for_is_none() -> None:
    s3 = Objects({"1.jpg": b"same", "2.jpg": b"same"}, parts=("2.jpg",))
    s3.denied = True
    found = identities(s3)
    assert found["1.jpg"] == found["2.jpg"]


def test_what_is_too_much_to_read_is_remarked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "MAX_READ_BYTES", 7)
    s3 = Objects({"1.jpg": b"same", "2.jpg": b"same"}, parts=("2.jpg",))
    photos, (remark,) = with_contents(s3, s3.photos(), bucket="data", prefix="dataset/")  # type: ignore[arg-type]
    assert photos == s3.photos()
    assert "2 photos of 0.0 GB not compared by content" in remark
    assert s3.read == []
