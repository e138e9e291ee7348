"""What a body is taken for, forms, and several images of one request."""

from __future__ import annotations

import base64
import json
import threading
from typing import Any

import pytest
import urllib3
from classify.request_form import read_form

from contract import MAX_BATCH, MAX_IMAGE_BYTES, image_in
from tests.fakes.api import ANSWER, FakeEndpoint, call, event, refused
from tests.fakes.lambda_context import Context
from tests.fakes.s3 import client_error

PHOTO = bytes(range(256)) + b"\r\n--\r\n\n\r" * 3
"""Bytes that no text survives."""


def in_base64(image: bytes) -> str:
    return base64.b64encode(image).decode()


UNCLEAR = [None, "", "*/*", "application/octet-stream", "application/x-www-form-urlencoded"]


@pytest.mark.parametrize(
    "content_type", [*UNCLEAR, "image/jpeg", "image/png; q=1", "IMAGE/WEBP", "application/x-image"]
)
def test_an_images_bytes_reach_the_endpoint_unharmed(monkeypatch: pytest.MonkeyPatch, content_type: str | None) -> None:
    endpoint = FakeEndpoint()
    status, body, headers = call(monkeypatch, endpoint, event(PHOTO, content_type))
    assert (status, body, headers["Content-Type"]) == (200, ANSWER, "application/json")
    assert endpoint.asked == [PHOTO]


@pytest.mark.parametrize("content_type", [*UNCLEAR, "application/json", "application/json; charset=utf-8"])
def test_json_is_known_by_its_bytes(monkeypatch: pytest.MonkeyPatch, content_type: str | None) -> None:
    endpoint = FakeEndpoint()
    content = json.dumps({"inputs": in_base64(PHOTO)}, indent=1).encode()
    assert call(monkeypatch, endpoint, event(b"\n " + content, content_type))[0] == 200
    assert endpoint.asked == [PHOTO]


@pytest.mark.parametrize("content_type", ["text/plain", "text/html", "video/mp4", "application/pdf", "multipart/mixed"])
def test_what_no_image_is_called_is_refused(monkeypatch: pytest.MonkeyPatch, content_type: str) -> None:
    assert refused(monkeypatch, FakeEndpoint(), event(PHOTO, content_type))[0]["status"] == 415


@pytest.mark.parametrize(
    "text",
    [
        in_base64(PHOTO),
        in_base64(PHOTO).rstrip("="),
        base64.urlsafe_b64encode(PHOTO).decode(),
        base64.encodebytes(PHOTO).decode(),
        "data:image/jpeg;base64," + in_base64(PHOTO),
        "data:image/svg+xml;charset=utf-8;base64,\r\n" + base64.encodebytes(PHOTO).decode(),
    ],
)
def test_base64_of_every_kind_is_read(text: str) -> None:
    assert image_in(text) == PHOTO


@pytest.mark.parametrize("text", ["%", "a", "aaaa=a", "data:image/png,aaaa", "é"])
def test_what_is_no_base64_is_no_image(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        image_in(text)


def form(*fields: tuple[str, Any]) -> tuple[bytes, str]:
    """A form as urllib3 writes it, with the same boundary every time, and its content type."""
    return urllib3.encode_multipart_formdata(fields, boundary="a-boundary")


def test_a_form_is_read_as_clients_write_it(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = FakeEndpoint()
    fields = [("top_k", "3"), ("image", ('dög "1".jpg', PHOTO, "image/jpeg")), ("explain", "1")]
    assert call(monkeypatch, endpoint, event(*form(*fields)))[:2] == (200, ANSWER)
    assert endpoint.asked == [PHOTO]
    assert endpoint.attributes == ["explain=1;top_k=3"]


@pytest.mark.parametrize("name", ["photo.jpg", "", None])
def test_a_file_needs_a_name_or_a_type(name: str | None) -> None:
    disposition = "form-data; name=image" + ("" if name is None else f'; filename="{name}"')
    part = f"Content-Disposition: {disposition}\r\nContent-Type: image/jpeg\r\n\r\n".encode() + PHOTO
    read = read_form('multipart/form-data; boundary="a b"', b"--a b\r\n" + part + b"\r\n--a b--\r\n")
    assert (read.files, read.texts) == ([PHOTO], {})


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--x--"),
        ("multipart/form-data; boundary=", b"--x--"),
        ("multipart/form-data; boundary=" + "x" * 71, b"--x--"),
        ("multipart/form-data; boundary=\u00e9", b"--x--"),
        ("multipart/form-data; boundary=x", b"\xff\xd8\xff"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=a; filename=a\r\n\r\nphoto"),
        ("multipart/form-data; boundary=x", b"--x\r\nphoto\r\n--x--"),
        ("multipart/form-data; boundary=x", b"--x--"),
        ("multipart/form-data; boundary=x", b"--x" + b"\r\n--x" * 1000 + b"--"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nphoto\r\n--x--"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Type: text/plain\r\n\r\nphoto\r\n--x--"),
        ("multipart/form-data; boundary=x", b"--x\r\n" + b"a" * 10_000 + b"\r\n\r\nphoto\r\n--x--"),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\nContent-Disposition: form-data; name*1=a; name=b; name*0*=\r\n\r\n1\r\n--x--",
        ),
        form(("image", ("a.jpg", b"", "image/jpeg"))),
        form(("topk", "3"), ("image", ("a.jpg", PHOTO, "image/jpeg"))),
        form(("top_k", "3"), ("top_k", "3"), ("image", ("a.jpg", PHOTO, "image/jpeg"))),
        form(("top_k", "3" * 300), ("image", ("a.jpg", PHOTO, "image/jpeg"))),
        form(*[("image", ("a.jpg", PHOTO, "image/jpeg"))] * (MAX_BATCH + 1)),
    ],
)
def test_a_broken_form_is_told_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, content_type: str | bytes, body: bytes | str
) -> None:
    endpoint = FakeEndpoint()
    given = (body, content_type) if isinstance(body, bytes) else (content_type, body)
    problem, _ = refused(monkeypatch, endpoint, event(*given))
    assert (problem["status"], endpoint.asked) == (400, [])
    assert len(problem["detail"]) < 500


REFUSED = client_error(
    "ModelError",
    "x",
    OriginalStatusCode=400,
    OriginalMessage=json.dumps({"title": "Bad Request", "detail": "no image"}),
)


class EachItsOwn(FakeEndpoint):
    """Answers with the image's text as the label, and refuses `bad`."""

    def invoke_endpoint(self, *, Body: bytes, **more: Any) -> dict[str, Any]:  # noqa: N803
        self.answer = REFUSED if Body == b"bad" else {**ANSWER, "label": Body.decode()}
        return super().invoke_endpoint(Body=Body, **more)


def test_several_images_have_an_answer_or_a_problem_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("classify.batch._AT_ONCE", 1)
    endpoint = EachItsOwn()
    inputs = [in_base64(b"one"), in_base64(b"bad"), "%%%", in_base64(b"two")]
    content = json.dumps({"inputs": inputs, "parameters": {"top_k": 2}})
    status, body, headers = call(monkeypatch, endpoint, event(content, "application/json"))
    assert (status, headers["Whippet-Run"]) == (200, "run-1")
    assert [list(each) for each in body["answers"]] == [["answer"], ["problem"], ["problem"], ["answer"]]
    assert [body["answers"][place]["answer"]["label"] for place in (0, 3)] == ["one", "two"]
    assert body["answers"][1]["problem"]["detail"] == "no image"
    assert "not base64" in body["answers"][2]["problem"]["detail"]
    assert endpoint.attributes == ["top_k=2"] * 3


def test_what_no_image_can_be_asked_is_a_fault_of_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = [in_base64(b"one"), "%%%", in_base64(b"two")]
    content = json.dumps({"inputs": inputs, "parameters": {"coverage": 2.0}})
    endpoint = EachItsOwn()
    body = refused(monkeypatch, endpoint, event(content, "application/json"))[0]
    assert (body["status"], endpoint.asked) == (400, [])
    assert "coverage must be a number from 0.5" in body["detail"]

    of_an_earlier_release = FakeEndpoint([{"label": "dog", "score": 1.0}])
    content = json.dumps({"inputs": inputs, "parameters": {"coverage": 0.95}})
    body = refused(monkeypatch, of_an_earlier_release, event(content, "application/json"))[0]
    assert body["status"] == 422
    assert "released before" in body["detail"]


def test_a_form_with_several_files_is_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("classify.batch._AT_ONCE", 1)
    endpoint = EachItsOwn()
    files = [("image", (f"{name}.jpg", name.encode(), "image/jpeg")) for name in ("one", "two")]
    too_large = ("image", ("large.jpg", b"x" * (MAX_IMAGE_BYTES + 1), "image/jpeg"))
    _, body, _ = call(monkeypatch, endpoint, event(*form(*files, too_large)))
    assert [each.get("answer", {}).get("label") for each in body["answers"]] == ["one", "two", None]
    assert body["answers"][2]["problem"]["status"] == 413


@pytest.mark.parametrize("inputs", [[], [1], ["aaaa", ""], ["aaaa"] * (MAX_BATCH + 1)])
def test_a_batch_has_bounds(monkeypatch: pytest.MonkeyPatch, inputs: list[Any]) -> None:
    endpoint = FakeEndpoint()
    problem, _ = refused(monkeypatch, endpoint, event(json.dumps({"inputs": inputs}), "application/json"))
    assert (problem["status"], endpoint.asked) == (400, [])


class Silent(FakeEndpoint):
    """Answers the first image, and the others only when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()

    def invoke_endpoint(self, *, Body: bytes, **more: Any) -> dict[str, Any]:  # noqa: N803
        assert Body == b"first" or self.released.wait(600)
        return super().invoke_endpoint(Body=Body, **more)


def test_a_batch_is_cut_off_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has no answer when the function's time is nearly over has a problem that says so."""
    monkeypatch.setattr("tests.fakes.api.Context", lambda: Context(remaining=5_000))
    endpoint = Silent()
    content = json.dumps({"inputs": [in_base64(b"first"), in_base64(b"second")]})
    try:
        status, body, _ = call(monkeypatch, endpoint, event(content, "application/json"))
    finally:
        endpoint.released.set()
    assert status == 200
    assert body["answers"][0] == {"answer": ANSWER}
    assert body["answers"][1]["problem"]["status"] == 504
