"""S3: objects are on disk and not in memory.

With S3_PERSIST, ministack writes the current version of an object to a file and forgets its bytes. It still keeps in
memory every version of a bucket with versioning and the parts of an upload, and reads a whole object for each range.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import threading
from pathlib import Path
from typing import IO, Any, Final

from local.cloud import seam

__all__ = ["apply"]

_FILE: Final = "whippet_file"
"""Member of an upload's record: a file without a name that holds the bytes of its parts, and goes with the record."""


class _Stored:
    """The bytes of a part, in the upload's file."""

    def __init__(self, begin: int, length: int) -> None:
        self.range = slice(begin, begin + length)


def apply() -> None:
    """Replace the parts of ministack's S3 that keep bytes in memory.

    Raises:
        SeamError: S3 is not the expected one, or was imported without S3_PERSIST.
    """
    s3 = seam.module("services.s3")
    if not seam.expect(s3, "S3_PERSIST"):
        raise seam.SeamError("ministack's S3 was imported before S3_PERSIST was set")
    _forget_versions(s3)
    _store_parts(s3)
    _map_ranges(s3)


def _forget_versions(s3: Any) -> None:
    """Forget the bytes of versions that are on disk, and remove the second file of a version that a marker hides."""
    persist = seam.expect(s3, "_persist_object", "bucket", "key", "obj")
    persist_marker = seam.expect(s3, "_persist_delete_marker", "bucket_name", "key", "marker")
    has_file = seam.expect(s3, "_version_file_exists", "bucket_name", "key", "version_id")
    remove = seam.expect(s3, "_remove_key_files", "fpath")
    path_of = seam.expect(s3, "_object_disk_path", "bucket", "key")
    histories = seam.expect(s3, "_object_versions")

    def persist_object(bucket: str, key: str, obj: Any) -> None:
        persist(bucket, key, obj)
        if not isinstance(obj, dict) or obj.get("body") is not None:
            return  # it could not be written
        current = obj.get("version_id") or "null"
        for version in histories.get((bucket, key)) or ():
            written = version["version_id"] == current or has_file(bucket, key, version["version_id"])
            if version.get("data") is not None and written:
                version["data"] = None

    def persist_delete_marker(bucket_name: str, key: str, marker: dict[str, Any]) -> None:
        hidden = [version for version in histories.get((bucket_name, key)) or () if not version.get("is_delete_marker")]
        if all(has_file(bucket_name, key, version["version_id"]) for version in hidden):
            remove(path_of(bucket_name, key))
            for version in hidden:
                version["data"] = None
        persist_marker(bucket_name, key, marker)

    s3._persist_object = persist_object
    s3._persist_delete_marker = persist_delete_marker


def _store_parts(s3: Any) -> None:
    """Keep the parts of an upload in a file until it is completed or aborted."""
    upload_part = seam.expect(s3, "_upload_part", "bucket_name", "key", "body", "query_params", "headers")
    copy_part = seam.expect(s3, "_upload_part_copy", "bucket_name", "dest_key", "query_params", "headers")
    complete = seam.expect(s3, "_complete_multipart_upload", "bucket_name", "key", "body", "query_params")
    parameter = seam.expect(s3, "_qp", "params", "key")
    uploads = seam.expect(s3, "_multipart_uploads")

    def store(query_params: Any) -> None:
        upload = uploads.get(parameter(query_params, "uploadId"))
        for part in upload["parts"].values() if upload else ():
            if not isinstance(part["body"], bytes) or not part["body"]:
                continue
            if _FILE not in upload:
                upload[_FILE] = tempfile.TemporaryFile(dir=os.environ["TMPDIR"])  # noqa: SIM115 - as long as the record
            file: IO[bytes] = upload[_FILE]
            begin = file.seek(0, os.SEEK_END)
            file.write(part["body"])
            part["body"] = _Stored(begin, part["size"])

    def upload_part_to_file(bucket_name: str, key: str, body: bytes, query_params: Any, headers: Any) -> Any:
        answer = upload_part(bucket_name, key, body, query_params, headers)
        store(query_params)
        return answer

    def copy_part_to_file(bucket_name: str, dest_key: str, query_params: Any, headers: Any) -> Any:
        answer = copy_part(bucket_name, dest_key, query_params, headers)
        store(query_params)
        return answer

    def complete_from_file(bucket_name: str, key: str, body: bytes, query_params: Any, headers: Any = None) -> Any:
        upload = uploads.get(parameter(query_params, "uploadId"))
        stored = {number: part["body"] for number, part in upload["parts"].items()} if upload else {}
        if upload and upload.get(_FILE):
            upload[_FILE].flush()
            content = memoryview(mmap.mmap(upload[_FILE].fileno(), 0, access=mmap.ACCESS_READ))
            for number, place in stored.items():
                if isinstance(place, _Stored):
                    upload["parts"][number]["body"] = content[place.range]

        answer = complete(bucket_name, key, body, query_params, headers)
        # an upload that was not completed goes on
        for number, place in stored.items():
            upload["parts"][number]["body"] = place
        return answer

    s3._upload_part = upload_part_to_file
    s3._upload_part_copy = copy_part_to_file
    s3._complete_multipart_upload = complete_from_file


def _map_ranges(s3: Any) -> None:
    """Read only the range of an object that GetObject asks for; clients download a large file in ranges."""
    get = seam.expect(s3, "_get_object", "bucket_name", "key", "headers", "query_params")
    read = seam.expect(s3, "_read_body", "bucket_name", "key", "obj")
    path_of = seam.expect(s3, "_object_disk_path", "bucket", "key")
    getting = threading.local()

    def get_object(bucket_name: str, key: str, headers: Any, query_params: Any = None) -> Any:
        getting.range = bool(headers.get("range"))
        try:
            status, answered, body = get(bucket_name, key, headers, query_params)
        finally:
            getting.range = False
        return status, answered, body[:] if isinstance(body, mmap.mmap) else body

    def read_body(bucket_name: str, key: str, obj: dict[str, Any]) -> Any:
        if getattr(getting, "range", False) and obj.get("body") is None and obj.get("size"):
            file = path_of(bucket_name, key)
            if file is not None and Path(file).is_file():
                with Path(file).open("rb") as opened:
                    return mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        return read(bucket_name, key, obj)

    s3._get_object = get_object
    s3._read_body = read_body
