"""Download and upload between S3 and the folders of jobs and endpoints, as their role."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from local.sagemaker.clients import s3_client
from local.sagemaker.errors import JobFailure
from local.sagemaker.object_cache import ObjectCache
from local.tar import tarfile

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import ObjectTypeDef

__all__ = ["Transfer", "no_objects", "split_uri"]

_PARALLEL = 8
"""Objects that are transferred at a time."""

_READ_ERRORS = (Boto3Error, BotoCoreError, ClientError, OSError, ValueError, tarfile.TarError)


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of `s3://bucket/key`, or of `https://s3.region.amazonaws.com/bucket/key`."""
    parts = urlsplit(uri, allow_fragments=False)
    if parts.scheme == "s3":
        return parts.netloc, parts.path.removeprefix("/")
    bucket, _, key = parts.path.removeprefix("/").partition("/")
    return bucket, key


def no_objects(uri: str, *, region: str, role_arn: str) -> str:
    """Return SageMaker's message for a prefix without objects."""
    return (
        f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket exists in '
        f"the selected region ({region}), that objects exist under that S3 prefix, and that the role "
        f'"{role_arn}" has "s3:ListBucket" permissions on bucket "{split_uri(uri)[0]}".'
    )


class Transfer:
    """S3 as one role. Every error becomes a `JobFailure`, worded as SageMaker's FailureReason.

    Args:
        credentials: `AWS_…` variables of the role.
        role_arn: the role, for the cache and the error messages.
        cache: objects that were downloaded before.
        kms_key_id: encrypts what is uploaded.
    """

    def __init__(
        self, credentials: Mapping[str, str], *, role_arn: str, cache: ObjectCache, kms_key_id: str | None = None
    ) -> None:
        self._s3 = s3_client(credentials)
        self._role_arn = role_arn
        self._region = credentials.get("AWS_REGION", "")
        self._cache = cache
        self._encryption: dict[str, Any] = (
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key_id} if kms_key_id else {}
        )

    def download_prefix(
        self, uri: str, folder: Path, *, may_be_empty: bool = False, share: tuple[int, int] | None = None
    ) -> int:
        """Download the objects under a prefix, and return their number.

        Args:
            uri: the prefix.
            folder: the objects' folder.
            may_be_empty: whether there may be no objects.
            share: `(i, n)` downloads only the objects i, i + n, i + 2n and so on, counted from 0 (ShardedByS3Key).

        Raises:
            JobFailure: there are no objects, unless `may_be_empty`, or one could not be read.
        """
        bucket, prefix = split_uri(uri)
        try:
            listed = list(self._objects(bucket, prefix))
            if not listed and not may_be_empty:
                missing = no_objects(uri, region=self._region, role_arn=self._role_arn)
                raise JobFailure(f"ClientError: Data download failed:{missing}")

            # take this host's share
            first, step = share or (0, 1)
            mine = listed[first::step]
            self._download(bucket, [(entry, _below(prefix, entry["Key"])) for entry in mine], folder)
        except _READ_ERRORS as error:
            raise JobFailure(f"ClientError: Data download failed:{uri}: {error}") from error
        return len(listed)

    def download_manifest(self, uri: str, folder: Path) -> int:
        """Download the objects that a ManifestFile lists, and return their number.

        A manifest is `[{"prefix": "s3://…/"}, "relative/key", …]`; the objects lie at their relative keys in `folder`.

        Raises:
            JobFailure: the manifest or an object could not be read.
        """
        bucket, key = split_uri(uri)
        try:
            manifest = json.loads(self._s3.get_object(Bucket=bucket, Key=key)["Body"].read())
            head, *names = manifest
            source, prefix = split_uri(head["prefix"])

            # ask S3 for each object's size and version, which the cache needs
            entries: list[tuple[ObjectTypeDef, str]] = []
            for name in names:
                found = self._s3.head_object(Bucket=source, Key=prefix + name)
                entry: ObjectTypeDef = {
                    "Key": prefix + name,
                    "ETag": found["ETag"],
                    "Size": found["ContentLength"],
                    "LastModified": found["LastModified"],
                }
                entries.append((entry, name))

            self._download(source, entries, folder)
        except (*_READ_ERRORS, KeyError, TypeError) as error:
            raise JobFailure(f"ClientError: Data download failed:manifest {uri}: {error!r}") from error
        return len(entries)

    def download_archive(self, uri: str, folder: Path) -> None:
        """Download and unpack a tar.gz object into `folder`.

        Raises:
            JobFailure: the archive could not be read, or a member would lie outside of the folder.
        """
        bucket, key = split_uri(uri)
        try:
            with tempfile.TemporaryFile(dir=folder.parent) as archive:
                self._s3.download_fileobj(bucket, key, archive)
                archive.seek(0)
                with tarfile.open(fileobj=archive, mode="r:*") as tar:
                    tar.extractall(folder, filter="data")
        except _READ_ERRORS as error:
            raise JobFailure(f"ClientError: Failed to download model data from {uri}: {error}") from error

    def download_object(self, uri: str, folder: Path) -> None:
        """Download one object into `folder`, with the last part of its key as name.

        Raises:
            JobFailure: the object could not be read.
        """
        bucket, key = split_uri(uri)
        try:
            self._s3.download_file(bucket, key, str(folder / PurePosixPath(key).name))
        except _READ_ERRORS as error:
            raise JobFailure(f"ClientError: Failed to download model data from {uri}: {error}") from error

    def upload_tree(self, folder: Path, uri: str) -> int:
        """Upload every file below `folder` to the prefix, and return their number.

        Raises:
            JobFailure: a file could not be uploaded.
        """
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        self.upload_files(files, folder, uri)
        return len(files)

    def upload_files(self, files: Sequence[Path], folder: Path, uri: str, *, may_vanish: bool = False) -> None:
        """Upload these files below `folder` to the prefix. With `may_vanish`, skip files that do not exist any more.

        Raises:
            JobFailure: a file could not be uploaded.
        """
        bucket, prefix = split_uri(uri)
        base = f"{prefix.rstrip('/')}/" if prefix else ""

        def upload(path: Path) -> None:
            try:
                self._s3.upload_file(
                    str(path), bucket, base + path.relative_to(folder).as_posix(), ExtraArgs=self._encryption
                )
            except OSError:
                if not may_vanish or path.exists():
                    raise

        try:
            with ThreadPoolExecutor(_PARALLEL) as pool:
                list(pool.map(upload, files))
        except (BotoCoreError, ClientError, OSError, Boto3Error) as error:
            raise JobFailure(f"ClientError: Artifact upload failed:{uri}: {error}") from error

    def delete_object(self, uri: str) -> None:
        """Delete an object; as in S3, one that does not exist is no error.

        Raises:
            JobFailure: the object could not be deleted.
        """
        bucket, key = split_uri(uri)
        try:
            self._s3.delete_object(Bucket=bucket, Key=key)
        except (BotoCoreError, ClientError) as error:
            raise JobFailure(
                f"ClientError: Cannot delete {uri}, whose file the program has deleted: {error}. Please ensure that "
                f'the role "{self._role_arn}" has "s3:DeleteObject" permissions on it.'
            ) from error

    def upload_archive(self, folders: Sequence[Path], uri: str) -> bool:
        """Upload the files of all folders as one tar.gz object. Return False, and upload nothing, if all are empty.

        A name that several folders have is taken from the first of them.

        Raises:
            JobFailure: the archive could not be uploaded.
        """
        members: dict[str, Path] = {}
        for folder in folders:
            for path in sorted(folder.rglob("*")):
                members.setdefault(path.relative_to(folder).as_posix(), path)
        if not members:
            return False
        with tempfile.TemporaryDirectory(dir=folders[0].parent) as scratch:
            archive = Path(scratch) / PurePosixPath(split_uri(uri)[1]).name
            with tarfile.open(archive, "w:gz", compresslevel=3) as tar:
                for name in sorted(members):
                    tar.add(members[name], arcname=name, recursive=False)
            self.upload_files([archive], archive.parent, uri.rpartition("/")[0])
        return True

    def _objects(self, bucket: str, prefix: str) -> Iterator[ObjectTypeDef]:
        for answer in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in answer.get("Contents", []):
                # the console makes an object for an empty folder
                if not entry["Key"].endswith("/"):
                    yield entry

    def _download(self, bucket: str, entries: list[tuple[ObjectTypeDef, str]], folder: Path) -> None:
        targets = [(entry, _target(folder, name)) for entry, name in entries]
        for parent in {target.parent for _, target in targets}:
            parent.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(_PARALLEL) as pool:
            list(pool.map(lambda item: self._fetch(bucket, *item), targets))

    def _fetch(self, bucket: str, entry: ObjectTypeDef, target: Path) -> None:
        def fetch(path: Path) -> None:
            body = self._s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"]
            with path.open("wb") as file:
                for chunk in body.iter_chunks(1 << 20):
                    file.write(chunk)

        self._cache.place(
            target,
            identity=(self._role_arn, bucket, entry["Key"], entry["ETag"]),
            size=entry["Size"],
            modified=int(entry["LastModified"].timestamp()),
            fetch=fetch,
        )


def _below(prefix: str, key: str) -> str:
    """Return the path of an object below its channel's folder: its key, without the whole folders of the prefix."""
    if prefix.endswith("/") or key[len(prefix) : len(prefix) + 1] == "/":
        return key[len(prefix) :].lstrip("/")
    return key[prefix.rfind("/") + 1 :]


def _target(folder: Path, name: str) -> Path:
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\0" in name:
        raise ValueError(f"the object's name {name!r} is not a path below the channel's folder")
    return folder.joinpath(*parts)
