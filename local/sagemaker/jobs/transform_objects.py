"""The objects of a transform job: which it reads, and where the answer to each is written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from local.sagemaker.clients import s3_client
from local.sagemaker.errors import JobFailure
from local.sagemaker.transfer import no_objects, split_uri

__all__ = ["InputObject", "TransformObjects"]

_ERRORS: Final = (BotoCoreError, ClientError, ValueError, KeyError, TypeError)


@dataclass(frozen=True)
class InputObject:
    """An object that the container is asked about."""

    bucket: str
    key: str
    name: str
    """Below the input's prefix; the answer is written to `<S3OutputPath>/<name>.out`."""

    @property
    def label(self) -> str:
        """The object as log lines name it."""
        return f"{self.bucket}/{self.key}"


class TransformObjects:
    """S3 as the model's execution role, which is the one that a transform job has."""

    def __init__(self, credentials: Mapping[str, str], *, role_arn: str, output: Mapping[str, Any]) -> None:
        self._s3 = s3_client(credentials)
        self._role_arn = role_arn
        self._region = credentials.get("AWS_REGION", "")
        self._bucket, self._prefix = split_uri(output["S3OutputPath"])
        key = output.get("KmsKeyId")
        self._encryption: dict[str, Any] = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}

    def listed(self, source: Mapping[str, str]) -> list[InputObject]:
        """Return the objects of an `S3DataSource`.

        Raises:
            JobFailure: there are none, or the prefix or the manifest cannot be read.
        """
        uri = source["S3Uri"]
        try:
            found = list(self._of_manifest(uri) if source["S3DataType"] == "ManifestFile" else self._of_prefix(uri))
        except _ERRORS as error:
            raise JobFailure(f"ClientError: Data download failed:{uri}: {error}") from error
        if not found:
            missing = no_objects(uri, region=self._region, role_arn=self._role_arn)
            raise JobFailure(f"ClientError: Data download failed:{missing}")
        return found

    def read(self, item: InputObject) -> bytes:
        """Return an object's content.

        Raises:
            ClientError: it does not exist, or the role may not read it.
        """
        content: bytes = self._s3.get_object(Bucket=item.bucket, Key=item.key)["Body"].read()
        return content

    def write(self, item: InputObject, answer: bytes) -> None:
        """Write the answer to an object.

        Raises:
            ClientError: the role may not write there.
        """
        base = f"{self._prefix.rstrip('/')}/" if self._prefix else ""
        self._s3.put_object(Bucket=self._bucket, Key=f"{base}{item.name}.out", Body=answer, **self._encryption)

    def _of_prefix(self, uri: str) -> Iterator[InputObject]:
        bucket, prefix = split_uri(uri)
        folder = prefix if prefix.endswith("/") or not prefix else f"{prefix}/"
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                key = entry["Key"]
                if not key.endswith("/"):
                    yield InputObject(bucket, key, key.removeprefix(folder) if key != prefix else key.split("/")[-1])

    def _of_manifest(self, uri: str) -> Iterator[InputObject]:
        bucket, key = split_uri(uri)
        head, *names = json.loads(self._s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        source, prefix = split_uri(head["prefix"])
        for name in names:
            yield InputObject(source, prefix + name, name)
