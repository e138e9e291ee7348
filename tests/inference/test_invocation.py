from __future__ import annotations

import base64
import json

import pytest

from inference.invocation import Problem, parse

INPUTS = base64.b64encode(b"image").decode()


def status_and_detail(body: bytes, *, content_type: str = "application/json") -> tuple[int, str]:
    with pytest.raises(Problem) as caught:
        parse(body, content_type=content_type, classes=3)
    return caught.value.status, caught.value.detail


@pytest.mark.parametrize(
    "content_type",
    ["image/jpeg", "image/png", "IMAGE/WEBP", "application/x-image", "application/octet-stream", "image/jpeg; q=1", ""],
)
def test_a_body_of_an_image_type_is_the_image(content_type: str) -> None:
    asked = parse(b"image", content_type=content_type, classes=3)
    assert (asked.image, asked.top_k) == (b"image", 3)


def test_five_classes_are_answered_by_default() -> None:
    assert parse(b"image", content_type="image/jpeg", classes=100).top_k == 5
    assert parse(json.dumps({"inputs": INPUTS}).encode(), content_type="application/json", classes=100).top_k == 5


@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_json_carries_the_image_and_top_k(top_k: int) -> None:
    body = json.dumps({"inputs": INPUTS, "parameters": {"top_k": top_k}}).encode()
    asked = parse(body, content_type="application/json; charset=utf-8", classes=3)
    assert (asked.image, asked.top_k) == (b"image", top_k)


@pytest.mark.parametrize("top_k", [0, -1, 4, 1.0, "2", True, None, [1]])
def test_a_wrong_top_k_is_told_the_range(top_k: object) -> None:
    body = json.dumps({"inputs": INPUTS, "parameters": {"top_k": top_k}}).encode()
    status, detail = status_and_detail(body)
    assert status == 422
    assert "from 1 to 3" in detail


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({"inputs": INPUTS, "topk": 1}, "'topk'"),
        ({"inputs": INPUTS, "parameters": {"k": 1}}, "'k'"),
        ({"inputs": INPUTS, "parameters": 3}, "parameters must be"),
        ({"inputs": INPUTS, "parameters": None}, "parameters must be"),
        ({"inputs": 3}, "inputs must be"),
        ({"inputs": ""}, "inputs must be"),
        ({}, "inputs must be"),
        ({"inputs": "not base64!"}, "not base64"),
        ({"inputs": "ü"}, "not base64"),
        ([INPUTS], "must be a JSON object"),
        (None, "must be a JSON object"),
    ],
)
def test_json_that_breaks_the_contract_is_told_where(content: object, named: str) -> None:
    status, detail = status_and_detail(json.dumps(content).encode())
    assert status == 422
    assert named in detail


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe\xfd", b"[" * 100_000, b"NaN x"])
def test_a_body_that_is_no_json_is_told_so(body: bytes) -> None:
    status, detail = status_and_detail(body)
    assert status == 422
    assert "not JSON" in detail


@pytest.mark.parametrize("content_type", ["image/jpeg", "application/json", ""])
def test_an_empty_body_is_told_so(content_type: str) -> None:
    status, detail = status_and_detail(b"", content_type=content_type)
    assert status == 400
    assert "empty" in detail


@pytest.mark.parametrize("content_type", ["text/plain", "text/csv", "multipart/form-data; boundary=x", "imagejpeg"])
def test_another_content_type_is_told_what_to_send(content_type: str) -> None:
    status, detail = status_and_detail(b"image", content_type=content_type)
    assert status == 415
    assert "image/jpeg" in detail
