"""The output archive of a training job: unpacks its files, and reads the few that the verdict needs."""

from __future__ import annotations

import json
import mimetypes
import tarfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, cast

from botocore.exceptions import ClientError
from shared.aws_errors import is_missing_object

from contract import Artefact, Evaluation, result_key

from .unreadable_output import UnreadableOutput

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["MAX_FILES", "MAX_FILE_BYTES", "UnreadableOutput", "evaluation_of", "unpack"]

MAX_FILE_BYTES = 64 * 2**20
"""Largest file. The confusion matrix of a thousand classes takes some megabytes."""

MAX_FILES = 1_000
"""Most files of an archive, beside the tensors."""

_READ_HERE = (
    Artefact.EVALUATION,
    Artefact.PROFILE,
    Artefact.PREDICTIONS,
    Artefact.IN_SERVICE,
    Artefact.IN_SERVICE_PREDICTIONS,
)


def unpack(s3: S3Client, *, bucket: str, key: str, run: str) -> dict[str, bytes]:
    """Copy the files of `output.tar.gz` to the run's results, without the tensors, which only the rules need.

    The archive is read as a stream. Files keep their names, without folders.

    Returns:
        The evaluation, the profile and the predictions, with those of the model in service, by their names, as far as
        the archive holds them.

    Raises:
        UnreadableOutput: the archive is missing or damaged, or holds too many or too large files.
    """
    uri = f"s3://{bucket}/{key}"
    kept: dict[str, bytes] = {}
    for number, (name, content) in enumerate(_files(s3, bucket, key)):
        if number >= MAX_FILES:
            raise UnreadableOutput(
                f"{uri} holds more than {MAX_FILES} files beside the tensors; change the training code to leave fewer"
            )
        content_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        s3.put_object(Bucket=bucket, Key=result_key(run, name), Body=content, ContentType=content_type)
        if name in _READ_HERE:
            kept[name] = content
    return kept


def evaluation_of(files: dict[str, bytes], *, uri: str) -> Evaluation:
    """Return the evaluation among the files of the archive at `uri`.

    Raises:
        UnreadableOutput: it is missing, is not JSON, or lacks members.
    """
    if Artefact.EVALUATION not in files:
        raise UnreadableOutput(
            f"{uri} holds no {Artefact.EVALUATION}, so the training did not finish its evaluation; look at its log"
        )
    try:
        value = json.loads(files[Artefact.EVALUATION])
    except ValueError as error:
        raise UnreadableOutput(
            f"{Artefact.EVALUATION} in {uri} is not JSON: {error}; look at the training job's log"
        ) from None
    missing = sorted(Evaluation.__required_keys__ - set(value)) if isinstance(value, dict) else ["everything"]
    if missing:
        raise UnreadableOutput(
            f"{Artefact.EVALUATION} in {uri} lacks {', '.join(missing)}; the training code may be another version "
            "than the stack: deploy again, and start the execution again"
        )
    return cast(Evaluation, value)


def _files(s3: S3Client, bucket: str, key: str) -> Iterator[tuple[str, bytes]]:
    uri = f"s3://{bucket}/{key}"
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"]
    except ClientError as error:
        if not is_missing_object(error):
            raise
        raise UnreadableOutput(f"{uri} is not there: the training job wrote no output; look at its log") from None
    try:
        with tarfile.open(fileobj=body, mode="r|gz") as archive:
            for member in archive:
                folders = PurePosixPath(member.name).parts
                if not member.isfile() or Artefact.TENSORS in folders[:-1]:
                    continue
                if member.size > MAX_FILE_BYTES:
                    raise UnreadableOutput(
                        f"{member.name} in {uri} has {member.size} bytes, more than {MAX_FILE_BYTES}; change "
                        " the training code to write less"
                    )
                file = archive.extractfile(member)
                yield folders[-1], file.read() if file else b""
    except (tarfile.TarError, EOFError, OSError) as error:
        raise UnreadableOutput(f"{uri} is not a readable tar.gz archive: {error}; start the execution again") from error
