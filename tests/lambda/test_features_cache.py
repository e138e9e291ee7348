"""Which features in the bucket can be used again."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from check_dataset.features_cache import find_features

START = datetime(2026, 1, 1, tzinfo=UTC)


class Bucket:
    """An S3 client of one bucket, in memory; every object a second younger than the one before."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put_features(self, folder: str, *, number: int = 0, of: int = 1) -> None:
        self.objects[f"{folder}train_features.npy"] = b"12345"
        index = {"files": [{"name": "train_features.npy", "bytes": 5}], "part": {"number": number, "of": of}}
        self.objects[f"{folder}features.json"] = json.dumps(index).encode()

    def get_paginator(self, _: str) -> Bucket:
        return self

    def paginate(self, **given: str) -> list[dict[str, Any]]:
        items = [
            {"Key": key, "Size": len(body), "LastModified": START + timedelta(seconds=number)}
            for number, (key, body) in enumerate(self.objects.items())
        ]
        return [{"Contents": [item]} for item in items if str(item["Key"]).startswith(given["Prefix"])]

    def get_object(self, **given: str) -> dict[str, Any]:
        return {"Body": io.BytesIO(self.objects[given["Key"]])}

    def find(self, backbones: tuple[str, ...] = ()) -> str | None:
        return find_features(cast(Any, self), bucket="b", prefix="features/k/", backbones=backbones)


def test_the_newest_complete_features_are_found() -> None:
    bucket = Bucket()
    for job in ("z-old", "a-new"):
        bucket.put_features(f"features/k/{job}/output/model/")
    bucket.put_features("features/k/stopped/output/model/")
    del bucket.objects["features/k/stopped/output/model/train_features.npy"]
    assert bucket.find() == "features/k/a-new/output/model/"


def test_features_of_several_hosts_are_found_as_one() -> None:
    bucket = Bucket()
    for number in range(12):
        bucket.put_features(f"features/k/job/output/model/part-{number}-of-12/", number=number, of=12)
    assert bucket.find() == "features/k/job/output/model/"


def test_features_that_lack_a_host_are_not_complete() -> None:
    bucket = Bucket()
    bucket.put_features("features/k/job/output/model/part-1-of-2/", number=1, of=2)
    assert bucket.find() is None


def test_a_file_cut_short_is_noticed() -> None:
    bucket = Bucket()
    bucket.put_features("features/k/job/output/model/")
    bucket.objects["features/k/job/output/model/train_features.npy"] = b"123"
    assert bucket.find() is None


def test_no_features_yet() -> None:
    assert Bucket().find() is None


BACKBONES = ("resnet50", "timm/resnet50.a1_in1k")
FOLDERS = ("backbone-resnet50/", "backbone-timm--resnet50.a1_in1k/")


def test_features_of_several_backbones_are_found_as_one() -> None:
    bucket = Bucket()
    for folder in FOLDERS:
        for number in range(2):
            place = f"features/k/job/output/model/{folder}part-{number}-of-2/"
            bucket.put_features(place, number=number, of=2)
    assert bucket.find(BACKBONES) == "features/k/job/output/model/"
    del bucket.objects[f"features/k/job/output/model/{FOLDERS[1]}part-1-of-2/features.json"]
    assert bucket.find(BACKBONES) is None


def test_features_that_lack_a_backbone_are_not_complete() -> None:
    bucket = Bucket()
    bucket.put_features(f"features/k/job/output/model/{FOLDERS[0]}")
    assert bucket.find(BACKBONES) is None
    assert bucket.find() is None
    bucket.put_features(f"features/k/job/output/model/{FOLDERS[1]}")
    assert bucket.find(BACKBONES) == "features/k/job/output/model/"
