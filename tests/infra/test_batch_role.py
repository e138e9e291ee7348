"""The role of batches: photos and models are read, answers written, and nothing else of the bucket is touched."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import pytest

import contract
from tests.infra.template import Template, listed

BUCKET = "arn:aws:s3:::data-bucket"


def allowed(template: Template, action: str) -> list[str]:
    """The resources that the batches' role may use an action on."""
    statements = [statement for name, statement in template.statements() if name.startswith("BatchRole")]
    assert statements
    return [arn for one in statements if action in listed(one["Action"]) for arn in listed(one["Resource"])]


def may(template: Template, action: str, arn: str) -> bool:
    return any(fnmatchcase(arn, pattern) for pattern in allowed(template, action))


def test_it_reads_models_and_photos_and_writes_answers_alone(synthesise: Callable[..., Template]) -> None:
    template = synthesise()
    for key in ("runs/r1/model.tar.gz", "dataset/dog/1.jpg", contract.batch_photos_key("0" * 12) + "a"):
        assert may(template, "s3:GetObject", f"{BUCKET}/{key}")
    for key in ("approvals/r1/approval.json", "features/a.npy", "elsewhere/1.jpg"):
        assert not may(template, "s3:GetObject", f"{BUCKET}/{key}")
    assert allowed(template, "s3:PutObject") == [f"{BUCKET}/batches/*"]


def test_a_source_of_the_settings_is_read_and_no_other_bucket(synthesise: Callable[..., Template]) -> None:
    template = synthesise(**{"batch.sources": "s3://my-photos/2026/,s3://all-of-it/"})
    assert may(template, "s3:GetObject", "arn:aws:s3:::my-photos/2026/a.jpg")
    assert may(template, "s3:GetObject", "arn:aws:s3:::all-of-it/a.jpg")
    assert not may(template, "s3:GetObject", "arn:aws:s3:::my-photos/2025/a.jpg")
    assert not may(template, "s3:GetObject", "arn:aws:s3:::others/a.jpg")
    assert allowed(template, "s3:ListBucket") == [BUCKET, "arn:aws:s3:::my-photos", "arn:aws:s3:::all-of-it"]


@pytest.mark.parametrize("source", ["my-photos", "s3://my-photos", "s3://my-photos/2026", "s3://my-photos/*/"])
def test_a_source_that_is_no_prefix_is_refused(source: str) -> None:
    from infra.settings import Settings, SettingsError

    with pytest.raises(SettingsError, match=r"batch\.sources"):
        Settings.from_context({"environments": {"dev": {}}, "batch.sources": source})


def test_batches_are_deleted_after_days_with_their_older_versions(synthesise: Callable[..., Template]) -> None:
    bucket: dict[str, Any] = synthesise().only("AWS::S3::Bucket")
    rules = {rule["Id"]: rule for rule in bucket["LifecycleConfiguration"]["Rules"]}
    assert rules["old-batches"]["Prefix"] == "batches/"
    assert rules["old-batches"]["ExpirationInDays"] == contract.BATCHES_DAYS
    assert rules["old-batches"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}
