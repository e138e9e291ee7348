"""Translate properties of AWS::S3::Bucket to the bodies of the S3 calls that set them.

Templates and the API name some members differently. botocore's model of S3 writes the XML.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import botocore.serialize
import botocore.session

__all__ = ["encryption_body", "lifecycle_body", "ownership_body"]


def encryption_body(bucket: str, properties: Mapping[str, Any]) -> bytes | None:
    """Return PutBucketEncryption's body for `BucketEncryption`; None if there is nothing to set.

    `aws:kms` without a key, as the CDK's bootstrap bucket has it, is ignored: it means the account's own key, which
    ministack does not have, so it would refuse every object.
    """
    rules = []
    for rule in (properties.get("BucketEncryption") or {}).get("ServerSideEncryptionConfiguration", []):
        default = rule.get("ServerSideEncryptionByDefault", {})
        if default.get("SSEAlgorithm", "").startswith("aws:kms") and not default.get("KMSMasterKeyID"):
            return None
        rules.append(
            {
                "ApplyServerSideEncryptionByDefault": _present(
                    SSEAlgorithm=default.get("SSEAlgorithm"), KMSMasterKeyID=default.get("KMSMasterKeyID")
                ),
                "BucketKeyEnabled": _truth(rule.get("BucketKeyEnabled", False)),
            }
        )
    if not rules:
        return None
    return _body("PutBucketEncryption", Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})


def lifecycle_body(bucket: str, properties: Mapping[str, Any]) -> bytes | None:
    """Return PutBucketLifecycleConfiguration's body for `LifecycleConfiguration`; None if there is nothing to set."""
    rules = (properties.get("LifecycleConfiguration") or {}).get("Rules", [])
    if not rules:
        return None
    configuration = {"Rules": [_lifecycle_rule(rule) for rule in rules]}
    return _body("PutBucketLifecycleConfiguration", Bucket=bucket, LifecycleConfiguration=configuration)


def ownership_body(bucket: str, properties: Mapping[str, Any]) -> bytes | None:
    """Return PutBucketOwnershipControls' body for `OwnershipControls`; None if there is nothing to set."""
    rules = (properties.get("OwnershipControls") or {}).get("Rules", [])
    if not rules:
        return None
    return _body("PutBucketOwnershipControls", Bucket=bucket, OwnershipControls={"Rules": rules})


def _lifecycle_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    expiration = _present(
        Days=_number(rule.get("ExpirationInDays")),
        Date=rule.get("ExpirationDate"),
        ExpiredObjectDeleteMarker=_truth(rule["ExpiredObjectDeleteMarker"])
        if "ExpiredObjectDeleteMarker" in rule
        else None,
    )

    # both spellings of the template
    noncurrent = rule.get("NoncurrentVersionExpiration") or {}
    noncurrent_expiration = _present(
        NoncurrentDays=_number(noncurrent.get("NoncurrentDays", rule.get("NoncurrentVersionExpirationInDays"))),
        NewerNoncurrentVersions=_number(noncurrent.get("NewerNoncurrentVersions")),
    )

    abort = rule.get("AbortIncompleteMultipartUpload") or {}
    return _present(
        ID=rule.get("Id"),
        Status=rule.get("Status"),
        Filter={"Prefix": rule.get("Prefix", "")},
        Expiration=expiration or None,
        NoncurrentVersionExpiration=noncurrent_expiration or None,
        AbortIncompleteMultipartUpload=_present(DaysAfterInitiation=_number(abort.get("DaysAfterInitiation"))) or None,
        Transitions=[
            _present(
                Days=_number(transition.get("TransitionInDays")),
                Date=transition.get("TransitionDate"),
                StorageClass=transition.get("StorageClass"),
            )
            for transition in rule.get("Transitions", [])
        ]
        or None,
    )


def _present(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _number(value: Any) -> int | None:
    """Return a whole number, which a template may give as text."""
    return None if value is None else int(value)


def _truth(value: Any) -> bool:
    return str(value).lower() == "true"


def _body(operation: str, **parameters: Any) -> bytes:
    model = _model()
    serializer = botocore.serialize.create_serializer(model.metadata["protocol"], include_validation=False)
    body = serializer.serialize_to_request(parameters, model.operation_model(operation))["body"]
    return body if isinstance(body, bytes) else str(body).encode()


@cache
def _model() -> Any:
    return botocore.session.get_session().get_service_model("s3")
