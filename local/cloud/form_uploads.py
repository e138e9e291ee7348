"""S3: forms that upload an object (POST policies) are taken only if they are signed.

They pass the gate without a key of this account, as a browser sends them; ministack checks the signature of a form that
has one, and takes any other as if the bucket were public, which no bucket of the stack is.
"""

from __future__ import annotations

from typing import Any, Final

from local.cloud import seam

__all__ = ["apply"]

_SIGNATURE: Final = "x-amz-signature"


def apply() -> None:
    """Wrap the function of ministack's S3 that takes forms."""
    s3 = seam.module("services.s3")
    post = seam.expect(s3, "_post_object", "bucket_name", "body", "headers")
    parts = seam.expect(s3, "_parse_multipart_form", "content_type", "body")
    error = seam.expect(s3, "_error", "code", "message", "status")

    def post_object(bucket_name: str, body: bytes, headers: dict[str, Any]) -> Any:
        names = {str(name).lower() for name, *_ in parts(headers.get("content-type", ""), body)}
        if _SIGNATURE not in names:
            return error("AccessDenied", "Access Denied", 403)
        return post(bucket_name, body, headers)

    s3._post_object = post_object
