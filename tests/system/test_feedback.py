"""Feedback through a whole system on a local cloud: sent to the API, reviewed, added to the data set, destroyed."""

from __future__ import annotations

import base64
import csv
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from PIL import Image

import contract
from infra.outputs import StackOutput
from local import control
from local.cloud.permission_log import VARIABLE
from tests.system.left_behind import unstated
from tests.system.permission_table import PermissionLog, granted, unproved
from tests.system.system import STACK, System

FEEDBACK = {"api.feedback": "true", "api.feedback_days": "7"}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> PermissionLog:
    """The permissions that the roles use."""
    return PermissionLog(tmp_path_factory.mktemp("log") / "permissions.jsonl")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, log: PermissionLog) -> Iterator[System]:
    state = tmp_path_factory.mktemp("feedback")
    system = System(state, environment={VARIABLE: str(log.file)})
    try:
        system.whippet("up", settings=FEEDBACK)
        yield system
    finally:
        control.stop(state)
        shutil.rmtree(state, ignore_errors=True)


def jpeg(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(file, "JPEG")
    return file.getvalue()


def send(system: System, photo: bytes, label: str, **more: Any) -> Any:
    body = {"inputs": base64.b64encode(photo).decode(), "label": label, "consent": True, **more}
    answer = system.api(
        "POST", "feedback", json.dumps(body).encode(), x_api_key=system.key(), content_type="application/json"
    )
    assert answer.status == 201, answer.data
    return answer.json()


def keys(system: System, prefix: str) -> list[str]:
    found = system.client("s3").list_objects_v2(Bucket=system.bucket, Prefix=prefix)
    return [item["Key"] for item in found.get("Contents", [])]


def decide(file: Path, decisions: dict[str, str], **relabelled: str) -> None:
    """Write actions, and other labels, into the rows of these labels."""
    with file.open(encoding="utf-8-sig", newline="") as opened:
        rows = list(csv.DictReader(opened))
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, rows[0].keys())
        writer.writeheader()
        for row in rows:
            label = row["label"]
            writer.writerow(row | {"action": decisions.get(label, ""), "label": relabelled.get(label, label)})


def test_what_is_sent_is_kept_once_and_only_with_the_key(system: System) -> None:
    empty = system.whippet("feedback", settings=FEEDBACK).stdout
    assert empty.startswith("no feedback waits"), empty
    assert system.api("POST", "feedback", b"{}", content_type="application/json").status == 403

    first = send(system, jpeg("teal"), "cat", answered="dog", run="run-1")
    assert first["days"] == 7
    assert send(system, jpeg("teal"), "cat") == first
    texts = {"label": "<b>new", "consent": "true"}
    form, kind = urllib3.encode_multipart_formdata([*texts.items(), ("image", ("p", jpeg("red")))])
    key = system.key()
    sent = system.api("POST", "feedback", form, x_api_key=key, content_type=kind)
    assert sent.status == 201, sent.data
    assert len(keys(system, contract.FEEDBACK_PREFIX)) == 4
    refused = system.api("POST", "feedback", form[:40], x_api_key=key, content_type="image/jpeg")
    assert (refused.status, refused.headers["content-type"]) == (415, "application/problem+json"), refused.data


def test_confirmed_photos_are_in_the_data_set_and_nothing_waits(system: System, tmp_path: Path) -> None:
    bucket, _, prefix = system.output(StackOutput.DATASET_URI).removeprefix("s3://").partition("/")
    for label, colour in (("cat", "white"), ("dog", "black")):
        system.client("s3").put_object(Bucket=bucket, Key=f"{prefix}{label}/a.jpg", Body=jpeg(colour))
    send(system, jpeg("white"), "dog")

    system.whippet("feedback", settings=FEEDBACK)
    (review,) = (system.state / "feedback").iterdir()
    page = (review / "feedback.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 3
    assert "&lt;b&gt;new" in page
    assert "<b>new" not in page
    assert "in the data set already, as cat/a.jpg" in page

    decide(review / "feedback.csv", {"cat": "add", "<b>new": "add", "dog": "reject"}, **{"<b>new": "dog"})
    done = system.whippet("feedback", "--apply", str(review / "feedback.csv"), settings=FEEDBACK).stdout
    assert "2 photos; 1 rejected" in done
    found = keys(system, prefix)
    assert len(found) == 4
    assert sum(key.startswith(f"{prefix}dog/feedback-") for key in found) == 1
    added = next(key for key in found if key.startswith(f"{prefix}cat/feedback-"))
    assert system.client("s3").get_object(Bucket=bucket, Key=added)["Body"].read() == jpeg("teal")
    assert keys(system, contract.FEEDBACK_PREFIX) == []
    assert system.whippet("feedback", settings=FEEDBACK).stdout.startswith("no feedback waits")
    again = system.whippet("feedback", "--apply", str(review / "feedback.csv"), settings=FEEDBACK).stdout
    assert "0 photos; 0 rejected, 3 no longer waiting" in again
    assert keys(system, prefix) == found


def test_what_others_do_not_need_is_needed_here(system: System, log: PermissionLog) -> None:
    log.end("feedback")
    permissions = granted(system.client("iam"), prefix=STACK)
    assert unproved(permissions, log, test=__file__) == []


def test_destroy_takes_what_still_waits(system: System) -> None:
    send(system, jpeg("blue"), "cat")
    bucket = system.bucket
    system.destroy()
    assert bucket not in [item["Name"] for item in system.client("s3").list_buckets()["Buckets"]]
    assert unstated(system.client) == []
