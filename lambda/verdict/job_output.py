"""The evaluation inside a training job's output archive."""

from __future__ import annotations

import json
import tarfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, cast

from botocore.exceptions import ClientError

from training.contract import Artefact, Evaluation

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["MAX_EVALUATION_BYTES", "UnreadableOutput", "read_evaluation"]

MAX_EVALUATION_BYTES = 64 * 2**20
"""A thousand classes' confusion matrix takes some megabytes; more is not an evaluation."""


class UnreadableOutput(Exception):
    """The training job's output is missing, broken or without an evaluation."""


def read_evaluation(s3: S3Client, *, bucket: str, key: str) -> Evaluation:
    """`evaluation.json` out of `output.tar.gz`, at whatever depth; the archive is streamed, not kept.

    Raises:
        UnreadableOutput: naming the archive and what is wrong with it.
    """
    uri = f"s3://{bucket}/{key}"
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"]
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        raise UnreadableOutput(f"{uri} is not there: the training job wrote no output; look at its log") from None
    try:
        with tarfile.open(fileobj=body, mode="r|gz") as archive:
            for member in archive:
                if member.isfile() and PurePosixPath(member.name).name == Artefact.EVALUATION:
                    return _parse(archive, member, uri)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise UnreadableOutput(f"{uri} is not a readable tar.gz archive: {error}") from error
    raise UnreadableOutput(f"{uri} holds no {Artefact.EVALUATION}; the training script did not finish its evaluation")


def _parse(archive: tarfile.TarFile, member: tarfile.TarInfo, uri: str) -> Evaluation:
    if member.size > MAX_EVALUATION_BYTES:
        raise UnreadableOutput(f"{member.name} in {uri} has {member.size} bytes, more than {MAX_EVALUATION_BYTES}")
    file = archive.extractfile(member)
    try:
        value = json.loads(file.read()) if file else None
    except ValueError as error:
        raise UnreadableOutput(f"{member.name} in {uri} is not JSON: {error}") from None
    missing = sorted(Evaluation.__required_keys__ - set(value)) if isinstance(value, dict) else ["everything"]
    if missing:
        raise UnreadableOutput(
            f"{member.name} in {uri} lacks {', '.join(missing)}; is the training code of this stack?"
        )
    return cast(Evaluation, value)
