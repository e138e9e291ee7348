"""POST /feedback: what is kept of a photo and its right label, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError
from classify import handler as classify
from classify.feedback import FeedbackInbox
from classify.photo_formats import suffix_of
from classify.uploads import Uploads
from PIL import Image

from contract import MAX_JSON_IMAGE_BYTES, MAX_SERVERLESS_IMAGE_BYTES, PHOTO_SUFFIXES, UPLOADS_PREFIX, feedback_id
from tests.fakes.api import FakeEndpoint, call, event, refused
from tests.fakes.photo_kinds import photos
from tests.fakes.s3 import client_error

UPLOAD = UPLOADS_PREFIX + "0f3c2c1e-6a53-4c0e-9d2b-0a4f8f1a2b3c"
BOUNDARY = "x-boundary-x"


def jpeg(colour: str = "teal") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 6), colour).save(file, "JPEG")
    return file.getvalue()


PHOTO = jpeg()
DEEP: list[Any] = []
for _ in range(400):
    DEEP = [DEEP]
SAID = {"label": "café", "consent": "true"}


class Bucket:
    """Takes objects below feedback/, each once, and gives those below uploads/."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.error: Exception | None = None

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, ContentType: str, IfNoneMatch: str) -> None:  # noqa: N803
        assert (Bucket, Key[:9], IfNoneMatch) == ("data", "feedback/", "*")
        assert ContentType in ("application/json", "application/octet-stream")
        if self.error:
            raise self.error
        if Key in self.objects:
            raise client_error("PreconditionFailed", "At least one of the pre-conditions did not hold", status=412)
        self.objects[Key] = Body

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        assert (Bucket, Key) == ("data", UPLOAD)
        return {"ContentLength": len(PHOTO), "Body": io.BytesIO(PHOTO)}

    def record(self) -> dict[str, Any]:
        (body,) = [body for key, body in self.objects.items() if key.endswith(".json")]
        found: dict[str, Any] = json.loads(body)
        return found


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """The bucket of an environment that takes feedback."""
    made = Bucket()
    inbox, uploads = FeedbackInbox("data", days=30), Uploads("data", mode="realtime")
    for place in (inbox, uploads):
        monkeypatch.setattr(place, "_s3", made)
    monkeypatch.setattr(classify, "inbox", inbox)
    monkeypatch.setattr(classify, "uploads", uploads)
    return made


def form(fields: dict[str, Any], *files: bytes) -> dict[str, Any]:
    """Return a request with a form; a value that is a list stands for a field that is given several times."""
    parts = [
        f'Content-Disposition: form-data; name="{name}"\r\n\r\n{each}'.encode()
        for name, value in fields.items()
        for each in (value if isinstance(value, list) else [value])
    ]
    parts += [b'Content-Disposition: form-data; name="image"; filename="p"\r\n\r\n' + file for file in files]
    body = b"".join(f"--{BOUNDARY}\r\n".encode() + part + b"\r\n" for part in parts) + f"--{BOUNDARY}--\r\n".encode()
    return event(body, f"multipart/form-data; boundary={BOUNDARY}", path="/feedback")


def as_json(**content: Any) -> dict[str, Any]:
    return event(json.dumps(content), "application/json", path="/feedback")


def inputs(photo: bytes = PHOTO) -> str:
    return base64.b64encode(photo).decode()


@pytest.mark.parametrize(
    "request_",
    [
        form({**SAID, "answered": "cat", "run": "run-1", "request_id": "0f3c"}, PHOTO),
        as_json(inputs=inputs(), label="café", consent=True, answered="cat", run="run-1", request_id="0f3c"),
        as_json(s3=UPLOAD, label="café", consent=True, answered="cat", run="run-1", request_id="0f3c"),
    ],
    ids=["form", "json", "upload"],
)
def test_a_photo_is_kept_with_its_label_in_every_form(
    monkeypatch: pytest.MonkeyPatch, bucket: Bucket, request_: dict[str, Any]
) -> None:
    status, receipt, _ = call(monkeypatch, FakeEndpoint(), request_)
    content = hashlib.sha256(PHOTO).hexdigest()
    assert (status, receipt) == (201, {"id": feedback_id(content, "café"), "days": 30})
    record = bucket.record()
    assert record.pop("received").endswith("+00:00")
    assert record == {
        "id": receipt["id"],
        "photo": f"feedback/{receipt['id']}.jpg",
        "content": content,
        "label": "café",
        "answered": "cat",
        "run": "run-1",
        "request_id": "0f3c",
        "consent": True,
    }
    assert bucket.objects == {
        f"feedback/{receipt['id']}.jpg": PHOTO,
        f"feedback/{receipt['id']}.json": bucket.objects[f"feedback/{receipt['id']}.json"],
    }
    assert list(bucket.objects)[-1].endswith(".json"), "where there is a record, there is its photo"


def test_the_same_photo_with_the_same_label_is_kept_once_and_answered_alike(
    monkeypatch: pytest.MonkeyPatch, bucket: Bucket
) -> None:
    first = call(monkeypatch, FakeEndpoint(), form({**SAID, "run": "run-1"}, PHOTO))[:2]
    kept = dict(bucket.objects)
    assert call(monkeypatch, FakeEndpoint(), as_json(inputs=inputs(), label="café", consent=True))[:2] == first
    assert bucket.objects == kept
    assert call(monkeypatch, FakeEndpoint(), form({**SAID, "label": "tea"}, PHOTO))[1] != first[1]
    assert len(bucket.objects) == 4


def test_a_photo_whose_record_was_not_written_gets_one_the_next_time(
    monkeypatch: pytest.MonkeyPatch, bucket: Bucket
) -> None:
    request = form(SAID, PHOTO)
    call(monkeypatch, FakeEndpoint(), request)
    del bucket.objects[next(key for key in bucket.objects if key.endswith(".json"))]
    assert call(monkeypatch, FakeEndpoint(), request)[0] == 201
    assert bucket.record()["label"] == "café"


@pytest.mark.parametrize(
    ("request_", "status", "title"),
    [
        (form({"label": "cat"}, PHOTO), 400, "No consent"),
        (form({"label": "cat", "consent": "false"}, PHOTO), 400, "No consent"),
        (as_json(inputs=inputs(), label="cat", consent="true"), 400, "No consent"),
        (as_json(inputs=inputs(), label="cat", consent=1), 400, "No consent"),
        (form({"consent": "true"}, PHOTO), 400, "No label"),
        (form({"label": "", "consent": "true"}, PHOTO), 400, "No label"),
        (as_json(inputs=inputs(), label=["cat"], consent=True), 400, "No label"),
        (form({"label": ["cat", "dog"], "consent": "true"}, PHOTO), 400, "Field given twice"),
        (form({**SAID, "name": "Ann"}, PHOTO), 400, "Unknown parameter"),
        (as_json(inputs=inputs(), label="cat", consent=True, parameters={}), 400, "Unknown parameter"),
        (form(SAID), 400, "No image"),
        (form(SAID, PHOTO, PHOTO), 400, "No image"),
        (form(SAID, b""), 400, "No image"),
        (as_json(label="cat", consent=True), 400, "No image"),
        (as_json(inputs=inputs(), s3=UPLOAD, label="cat", consent=True), 400, "No image"),
        (as_json(inputs=[inputs()], label="cat", consent=True), 400, "Several images"),
        (as_json(inputs="%%%", label="cat", consent=True), 400, "Unreadable image"),
        (as_json(s3="feedback/x.jpg", label="cat", consent=True), 400, "Unreadable key"),
        (as_json(inputs=inputs(), label="cat", consent=True, run="<b>"), 400, "Unreadable parameter"),
        (as_json(inputs=inputs(), label="cat", consent=True, request_id=7), 400, "Unreadable parameter"),
        (as_json(inputs=inputs(), label="cat", consent=True, answered="a\u202eb"), 400, "Unusable label"),
        (as_json(inputs=inputs(), label="cat", consent=True, answered=DEEP), 400, "Unreadable parameter"),
        (as_json(inputs=inputs(), label="cat", consent=True, run=DEEP), 400, "Unreadable parameter"),
        (event(None, path="/feedback"), 400, "No image"),
        (event(b"[1]", "application/json", path="/feedback"), 400, "No image"),
        (event(PHOTO, "image/jpeg", path="/feedback"), 415, "No feedback"),
        (form(SAID, b"<svg onload=alert(1)>"), 415, "Not an image"),
        (form(SAID, b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"), 415, "Not an image"),
    ],
)
def test_what_is_no_feedback_is_refused_in_words_and_nothing_is_kept(
    monkeypatch: pytest.MonkeyPatch, bucket: Bucket, request_: dict[str, Any], status: int, title: str
) -> None:
    problem, _ = refused(monkeypatch, FakeEndpoint(), request_)
    assert (problem["status"], problem["title"]) == (status, title)
    assert len(problem["detail"]) > 30
    assert bucket.objects == {}


@pytest.mark.parametrize(
    "label",
    [
        "a/b", "../cat", "..", ".cat", "__MACOSX", " cat", "cat ", "a\nb", "a\0b", "a\u202eb", "a\u200bb", "\ud800",
        "x" * 256, "ü" * 128, "dataset/cat",
    ],
)  # fmt: skip
def test_a_label_that_could_not_be_a_class_folder_is_refused(
    monkeypatch: pytest.MonkeyPatch, bucket: Bucket, label: str
) -> None:
    problem, _ = refused(monkeypatch, FakeEndpoint(), as_json(inputs=inputs(), label=label, consent=True))
    assert problem["title"] == "Unusable label"
    assert problem["detail"].isprintable()
    assert bucket.objects == {}


@pytest.mark.parametrize("label", ["<script>alert(1)</script>".replace("/", ""), "=1+1", "'; DROP", "猫" * 85, "train"])
def test_any_other_text_is_a_label(monkeypatch: pytest.MonkeyPatch, bucket: Bucket, label: str) -> None:
    assert call(monkeypatch, FakeEndpoint(), form({**SAID, "label": label}, PHOTO))[0] == 201
    assert bucket.record()["label"] == label


def test_the_limits_of_size_are_those_of_a_classification(monkeypatch: pytest.MonkeyPatch, bucket: Bucket) -> None:
    monkeypatch.setattr(classify, "mode", "serverless")
    too_large = b"\xff\xd8\xff" + bytes(MAX_SERVERLESS_IMAGE_BYTES)
    assert refused(monkeypatch, FakeEndpoint(), form(SAID, too_large))[0]["status"] == 413
    as_base64 = inputs(too_large[: MAX_JSON_IMAGE_BYTES + 3])
    problem, _ = refused(monkeypatch, FakeEndpoint(), as_json(inputs=as_base64, label="cat", consent=True))
    assert problem["status"] == 413
    assert bucket.objects == {}


@pytest.mark.parametrize(
    "error",
    [
        client_error("SlowDown", "Please reduce your request rate.", status=503),
        client_error("ConditionalRequestConflict", "conflict", status=409),
        ReadTimeoutError(endpoint_url="https://s3"),
    ],
)
def test_a_photo_that_s3_does_not_take_may_be_sent_again(
    monkeypatch: pytest.MonkeyPatch, bucket: Bucket, error: Exception
) -> None:
    bucket.error = error
    problem, headers = refused(monkeypatch, FakeEndpoint(), form(SAID, PHOTO))
    assert (problem["status"], problem["title"], headers["Retry-After"]) == (503, "Feedback not kept", "5")


def test_where_no_feedback_is_taken_nothing_is_read_or_kept(monkeypatch: pytest.MonkeyPatch, bucket: Bucket) -> None:
    closed = FeedbackInbox("data", days=0)
    monkeypatch.setattr(closed, "_s3", bucket)
    monkeypatch.setattr(classify, "inbox", closed)
    for request in (form(SAID, PHOTO), event(None, path="/feedback")):
        problem, _ = refused(monkeypatch, FakeEndpoint(), request)
        assert (problem["status"], problem["title"]) == (404, "No feedback")
        assert "api.feedback" in problem["detail"]
    assert bucket.objects == {}


def test_another_method_is_told_the_right_one(monkeypatch: pytest.MonkeyPatch, bucket: Bucket) -> None:
    problem, headers = refused(monkeypatch, FakeEndpoint(), event(None, method="GET", path="/feedback"))
    assert (problem["status"], headers["Allow"]) == (405, "POST")


def test_every_kind_of_photo_that_is_read_is_known_by_its_first_bytes() -> None:
    for name, content in photos().items():
        suffix = suffix_of(content)
        expected = "." + name.rpartition(".")[2].replace("tiff", "tif").replace("jpeg", "jpg")
        assert suffix == expected, name
        assert suffix in PHOTO_SUFFIXES
    assert {suffix_of(begin + b"\x08") for begin in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")} == {".tif"}
    for content in (b"", b"\xff\xd8", b"RIFF1234WAVE", b"GIF90a", b"%PDF-1.7", b"\0\0\0\x18ftypisom"):
        assert suffix_of(content) is None
