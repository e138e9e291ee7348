"""S3: who reads or writes an object that a customer's KMS key encrypts needs the key, too, as on AWS.

Nothing is encrypted here. ministack keeps with an object which key it would be encrypted with; the caller is asked for
`kms:Decrypt` or `kms:GenerateDataKey` on it. Source: Amazon S3 user guide, "Using server-side encryption with AWS KMS
keys"; API reference, permissions of CreateMultipartUpload, UploadPart and HeadObject.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

from local.cloud import seam

__all__ = ["apply"]

_KEY_ID: Final = "x-amz-server-side-encryption-aws-kms-key-id"
_READ: Final = "kms:Decrypt"
_WRITE: Final = "kms:GenerateDataKey"


def apply() -> None:
    """Let ministack ask for the key's permissions after those of S3.

    Raises:
        SeamError: ministack's authorization or its S3 is not the expected one.
    """
    actions, evaluator = seam.module("core.iam_actions"), seam.module("core.iam_evaluator")
    others = seam.expect(actions, "s3_additional_checks", "method", "path", "headers", "body", "query_params")
    enforce = seam.expect(
        evaluator, "enforce", "access_key_id", "iam_action", "service", "region", "resource_arn", "service_context"
    )
    s3 = seam.module("services.s3")
    anonymous = seam.expect(evaluator, "_anonymous")
    signer_may = seam.expect(s3, "_enforce_signed_post_policy", "fields", "bucket_name", "region")
    error = seam.expect(s3, "_error", "code", "message", "status")
    keys = _Keys()

    def s3_additional_checks(
        method: str, path: str, headers: dict[str, str], body: bytes, query_params: dict[str, Any]
    ) -> list[tuple[str, str]]:
        asked = others(method, path, headers, body, query_params)
        return [*asked, *keys.asked(method, path, headers, query_params)]

    def enforce_on_keys(
        access_key_id: str,
        iam_action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: dict[str, Any] | None = None,
    ) -> Any:
        if service == "s3" and iam_action in (_READ, _WRITE):
            # the key's own policy has to allow it, too, and may ask for the service that uses the key
            service, region = "kms", resource_arn.split(":")[3]
            service_context = {**(service_context or {}), "kms:ViaService": f"s3.{region}.amazonaws.com"}
        return enforce(access_key_id, iam_action, service, region, resource_arn, service_context)

    def enforce_form(fields: dict[str, str], bucket_name: str, region: str, *of_form: Any) -> Any:
        refused = signer_may(fields, bucket_name, region, *of_form)
        key = keys.of_form(fields, bucket_name)
        if refused is not None or key is None:
            return refused
        signer = fields["x-amz-credential"].partition("/")[0]
        token = anonymous.set(False)  # the request is unsigned, and the form is not
        try:
            denied = enforce_on_keys(signer, _WRITE, "s3", region, key)
        finally:
            anonymous.reset(token)
        return None if denied is None else error("AccessDenied", "Access Denied", 403)

    actions.s3_additional_checks = s3_additional_checks
    s3._enforce_signed_post_policy = enforce_form
    evaluator.enforce = enforce_on_keys


class _Keys:
    """Which key a request of S3 uses, and for what."""

    def __init__(self) -> None:
        self._action = seam.expect(seam.module("core.iam_actions"), "_s3_action", "method", "path", "query_params")
        self._resolve = seam.expect(seam.module("services.kms"), "_resolve_key", "key_id_or_arn")
        s3 = seam.module("services.s3")
        self._buckets = seam.expect(s3, "_buckets")
        self._histories = seam.expect(s3, "_object_versions")
        self._uploads = seam.expect(s3, "_multipart_uploads")
        self._parameter = seam.expect(s3, "_qp", "params", "key")
        self._of_write = seam.expect(s3, "_resolve_sse_write_headers", "headers", "bucket_name")

    def asked(
        self, method: str, path: str, headers: Mapping[str, str], query: Mapping[str, Any]
    ) -> Iterator[tuple[str, str]]:
        """Yield the actions on keys, with the key's ARN, that a request needs."""
        bucket, _, name = path.lstrip("/").partition("/")
        action = self._action(method, path, query)
        if not name or bucket not in self._buckets:
            return

        used: list[tuple[str, str | None]] = []
        if action in ("GetObject", "GetObjectVersion"):
            found = self._object(bucket, name, self._parameter(query, "versionId"))
            asks_checksum = headers.get("x-amz-checksum-mode", "").upper() == "ENABLED" and bool(found.get("checksums"))
            if method == "GET" or asks_checksum:
                used.append((_READ, _key_of(found)))
        if action == "PutObject":
            upload = self._uploads.get(self._parameter(query, "uploadId"))
            if upload is None:
                used.append((_WRITE, self._written(headers, bucket)))
            elif method == "PUT":
                used.append((_READ, _key_of(upload)))
            if source := headers.get("x-amz-copy-source"):
                used.append((_READ, _key_of(self._source(source))))
        yield from ((asked, arn) for asked, key in used if (arn := self._arn(key)))

    def of_form(self, fields: dict[str, str], bucket: str) -> str | None:
        """Return the ARN of the key that encrypts what a form uploads."""
        return self._arn(self._written(fields, bucket))

    def _written(self, headers: Mapping[str, str], bucket: str) -> str | None:
        """Return the key of an object that is written with these headers; None also where S3 refuses them."""
        stored, _ = self._of_write(headers, bucket)
        key: str | None = (stored or {}).get(_KEY_ID)
        return key

    def _source(self, source: str) -> Mapping[str, Any]:
        place, _, query = source.partition("?")
        bucket, _, name = unquote(place).lstrip("/").partition("/")
        return self._object(bucket, name, query.removeprefix("versionId="))

    def _object(self, bucket: str, name: str, version: str) -> Mapping[str, Any]:
        """Return what is known of an object, or of an earlier version; nothing of one that is not there."""
        if version:
            history = self._histories.get((bucket, name)) or ()
            return next((each for each in history if each["version_id"] == version), {})
        return self._buckets.get(bucket, {}).get("objects", {}).get(name) or {}

    def _arn(self, key: str | None) -> str | None:
        """Return the ARN of a key that is named by its id, ARN or alias; None for a key that the account has not."""
        record = self._resolve(key) if key else None
        return str(record["Arn"]) if record else None


def _key_of(record: Mapping[str, Any]) -> str | None:
    """Return the key that an object or an upload was written with, as its request named it."""
    key: str | None = (record.get("preserved_headers") or {}).get(_KEY_ID)
    return key
