"""A bucket in memory with the calls that the Lambdas make."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError
from botocore.response import StreamingBody


class FakeS3:
    """Keys and bytes; lists in pages of 1,000 as S3 does."""

    def __init__(self, objects: dict[str, bytes] | None = None) -> None:
        self.objects: dict[str, bytes] = {}
        self.modified: dict[str, datetime] = {}
        self.pages = 0
        self.size_factor = 1
        """By how much the listing exaggerates each size."""
        for key, body in (objects or {}).items():
            self.put_object(Bucket="data", Key=key, Body=body)

    def put_object(
        self,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        Body: bytes,  # noqa: N803
        IfNoneMatch: str = "",  # noqa: N803
        IfMatch: str = "",  # noqa: N803
        **_: Any,
    ) -> dict[str, Any]:
        if IfMatch and Key not in self.objects:
            raise client_error("NoSuchKey", "The specified key does not exist.", status=404)
        if (IfNoneMatch and Key in self.objects) or (IfMatch and IfMatch != f'"{etag(self.objects[Key])}"'):
            raise client_error("PreconditionFailed", "At least one of the pre-conditions did not hold", status=412)
        self.objects[Key] = Body
        self.modified[Key] = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=len(self.modified))
        return {"ETag": f'"{etag(Body)}"'}

    def delete_objects(self, *, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:  # noqa: N803
        for item in Delete["Objects"]:
            self.objects.pop(item["Key"], None)
        return {}

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        if Key not in self.objects:
            raise client_error("NoSuchKey", "The specified key does not exist.", status=404)
        body = self.objects[Key]
        return {"Body": StreamingBody(io.BytesIO(body), len(body)), "ETag": f'"{etag(body)}"'}

    def head_object(self, *, Bucket: str, Key: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        if Key not in self.objects:
            raise client_error("404", "Not Found", status=404)
        return {"ETag": f'"{etag(self.objects[Key])}"', "ServerSideEncryption": "AES256"}

    def get_paginator(self, name: str) -> FakeS3:
        assert name == "list_objects_v2"
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:  # noqa: N803
        keys = sorted(key for key in self.objects if key.startswith(Prefix))
        for start in range(0, max(len(keys), 1), 1000):
            self.pages += 1
            page = keys[start : start + 1000]
            yield {"Contents": [self._entry(key) for key in page]} if page else {}

    def _entry(self, key: str) -> dict[str, Any]:
        body = self.objects[key]
        return {
            "Key": key,
            "Size": len(body) * self.size_factor,
            "ETag": f'"{etag(body)}"',
            "LastModified": self.modified[key],
        }


def etag(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def client_error(code: str, message: str, *, status: int = 400, **more: Any) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response | more, "Call")
