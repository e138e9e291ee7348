"""What a photo's bytes are, as far as S3 tells: two photos of the same content are one photo.

S3's ETag is the MD5 of the content only where an object was uploaded in one part and is not encrypted with KMS (S3 API
reference, "Object": ETag). `aws s3 cp` uploads in parts from 8 MB on. Only such photos are looked at more closely, and
of them only those that another photo equals in size: by the SHA-256 that S3 keeps if the upload gave one, as
`whippet upload` does, or else by reading them.
"""

from __future__ import annotations

import base64
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from contract import counted

from .listing import Photo

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["MAX_READ_BYTES", "with_contents"]

MAX_READ_BYTES = 20 * 10**9
"""The most that is read to compare photos; at 100 MB/s that takes 200 s of the function's 15 minutes."""

_THREADS = 32
_CHUNK = 2**20


def with_contents(s3: S3Client, photos: Sequence[Photo], *, bucket: str, prefix: str) -> tuple[list[Photo], list[str]]:
    """Return the photos with `content` where the ETag does not tell the content, and remarks for the summary."""
    if not photos:
        return [], []
    kms = any(_is_encrypted_with_kms(s3, bucket=bucket, key=prefix + photo.path) for photo in (photos[0], photos[-1]))
    doubtful = [
        photo for group in _same_size(photos) if kms or any("-" in one.etag for one in group) for photo in group
    ]

    # What S3 knows costs a call each; with KMS all are asked, as the split follows from the content.
    with ThreadPoolExecutor(_THREADS) as pool:
        asked = photos if kms else doubtful
        stored = pool.map(lambda photo: _stored_sha256(s3, bucket=bucket, key=prefix + photo.path), asked)
        known = {photo.path: digest for photo, digest in zip(asked, stored, strict=True) if digest}

        # what it does not know is read
        unknown = [photo for photo in doubtful if photo.path not in known]
        total = sum(photo.size for photo in unknown)
        remarks = []
        if total > MAX_READ_BYTES:
            remarks.append(
                f"{counted(len(unknown), 'photo')} of {total / 1e9:.1f} GB not compared by content, since S3 does not "
                "tell it (uploads in parts, or KMS): copies among them are not seen. Upload them with `whippet upload`."
            )
        else:
            read = pool.map(lambda photo: _read_sha256(s3, bucket=bucket, key=prefix + photo.path), unknown)
            known |= {photo.path: digest for photo, digest in zip(unknown, read, strict=True)}
    return [replace(photo, content=known.get(photo.path)) for photo in photos], remarks


def _same_size(photos: Sequence[Photo]) -> list[list[Photo]]:
    by_size: dict[int, list[Photo]] = defaultdict(list)
    for photo in photos:
        by_size[photo.size].append(photo)
    return [group for group in by_size.values() if len(group) > 1]


def _is_encrypted_with_kms(s3: S3Client, *, bucket: str, key: str) -> bool:
    return s3.head_object(Bucket=bucket, Key=key).get("ServerSideEncryption", "").startswith("aws:kms")


def _stored_sha256(s3: S3Client, *, bucket: str, key: str) -> str | None:
    """Return the SHA-256 that S3 keeps of the whole object, if there is one; a composite one is of its parts' sums."""
    try:
        head = s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 403):  # a key of KMS that we may not use
            return None
        raise
    digest = head.get("ChecksumSHA256", "")
    if not digest or "-" in digest or head.get("ChecksumType", "FULL_OBJECT") != "FULL_OBJECT":
        return None
    return base64.b64decode(digest).hex()


def _read_sha256(s3: S3Client, *, bucket: str, key: str) -> str:
    digest = hashlib.sha256()
    for chunk in s3.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
