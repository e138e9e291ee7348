"""A batch's files in the data bucket: the photos that were uploaded, the lists that jobs got, the answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

import contract
from cli import CliError
from cli.aws_errors import read_object
from cli.batch.photos import BatchPhoto, Source

if TYPE_CHECKING:
    from cli.target import Target

__all__ = ["BatchStore", "batch_id"]

_THREADS: Final = 16


def batch_id(source: Source, *, model: str, parameters: str) -> str:
    """Return a batch's name, 12 hexadecimal digits: the same photos' place, model and parameters are the same batch.

    Args:
        source: where the photos lie.
        model: URI of the model's archive.
        parameters: what is asked about every photo.
    """
    return hashlib.sha256("\n".join((source.place, model, parameters)).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class BatchStore:
    """The files of one batch. All of its state is here, so that any machine can go on with it."""

    target: Target
    bucket: str
    batch: str

    @cached_property
    def _s3(self) -> Any:
        return self.target.client("s3")

    @property
    def photos_uri(self) -> str:
        """Where a folder's photos are uploaded to."""
        return f"s3://{self.bucket}/{contract.batch_photos_key(self.batch)}"

    @property
    def answers_uri(self) -> str:
        """Where the answers are written to."""
        return f"s3://{self.bucket}/{contract.batch_answers_key(self.batch)}"

    def upload(self, folder: Path, photos: Sequence[BatchPhoto]) -> Iterator[BatchPhoto]:
        """Upload those photos of a folder that are not there yet; yield each when it is there.

        Raises:
            CliError: a photo was changed or removed since it was looked at.
        """
        prefix = contract.batch_photos_key(self.batch)
        there = {key.removeprefix(prefix) for key, _ in self._listed(prefix)}

        def put(photo: BatchPhoto) -> BatchPhoto:
            if photo.name not in there:
                try:
                    body = (folder / photo.path).read_bytes()
                except OSError as error:
                    raise CliError(f"{folder / photo.path} cannot be read any more ({error.strerror})") from None
                if hashlib.sha256(body).hexdigest() != photo.name:
                    raise CliError(f"{folder / photo.path} was changed while it was uploaded: start the command again")
                self._s3.put_object(Bucket=self.bucket, Key=prefix + photo.name, Body=body)
            return photo

        with ThreadPoolExecutor(_THREADS) as threads:
            yield from threads.map(put, photos)

    def write_manifest(self, attempt: int, *, prefix: str, names: Sequence[str]) -> str:
        """Write the list of the photos that an attempt is asked about, and return its URI.

        Args:
            attempt: from 1 on.
            prefix: URI that the names are below.
            names: the keys below it.
        """
        key = contract.batch_manifest_key(self.batch, attempt)
        body = json.dumps([{"prefix": prefix}, *names], ensure_ascii=False).encode()
        self._s3.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType="application/json")
        return f"s3://{self.bucket}/{key}"

    def manifest(self, attempt: int) -> list[str]:
        """Return the names of the photos that an attempt was asked about; none where it got no list."""
        key = contract.batch_manifest_key(self.batch, attempt)
        try:
            names: list[str] = json.loads(read_object(self._s3, bucket=self.bucket, key=key))[1:]
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchKey":
                raise
            return []
        return names

    def attempts(self) -> list[int]:
        """Return the numbers of the attempts that got a list."""
        prefix = contract.batch_manifest_key(self.batch, 0).removesuffix("0.json")
        return [int(Path(key).stem) for key, _ in self._listed(prefix)]

    def answered(self, photos: Iterable[BatchPhoto], *, prefix: str) -> dict[str, str]:
        """Return the keys of the answers that there are, by the photos' names.

        SageMaker names an answer after the photo's key; whether after the whole key or its part below the prefix, its
        documentation says with two examples that differ, so that both are taken.

        Args:
            photos: the batch's.
            prefix: URI that the photos' names are below.
        """
        answers = contract.batch_answers_key(self.batch)
        written = {
            key.removeprefix(answers).removesuffix(".out"): (key, when)
            for key, when in self._listed(answers)
            if key.endswith(".out")
        }
        below = prefix.removeprefix("s3://").partition("/")[2]
        found = {}
        for photo in photos:
            key, when = written.get(photo.name) or written.get(below + photo.name) or (None, None)
            if key is not None and when is not None and (photo.modified is None or when >= photo.modified):
                found[photo.name] = key
        return found

    def count_answers(self) -> int:
        """Return how many answers there are."""
        return sum(1 for _ in self._listed(contract.batch_answers_key(self.batch)))

    def read(self, keys: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
        """Yield the content of each answer, with the photo's name."""

        def get(item: tuple[str, str]) -> tuple[str, Any]:
            name, key = item
            return name, json.loads(read_object(self._s3, bucket=self.bucket, key=key))

        with ThreadPoolExecutor(_THREADS) as threads:
            yield from threads.map(get, keys.items())

    def _listed(self, prefix: str) -> Iterator[tuple[str, datetime]]:
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
            for item in page.get("Contents", []):
                yield item["Key"], item["LastModified"]
