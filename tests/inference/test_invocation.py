from __future__ import annotations

import base64
import json

import pytest

import contract
from inference.invocation import ClassifyRequest, Problem, parse

INPUTS = base64.b64encode(b"image").decode()


def status_and_detail(body: bytes, *, content_type: str = "application/json") -> tuple[int, str]:
    with pytest.raises(Problem) as caught:
        parse(body, content_type=content_type)
    return caught.value.status, caught.value.detail


@pytest.mark.parametrize(
    "content_type",
    ["IMAGE/WEBP", "image/x-other", "image/jpeg; q=1", "", *(set(contract.CONTENT_TYPES) - {"application/json"})],
)
def test_a_body_of_an_image_type_is_the_image(content_type: str) -> None:
    asked = parse(b"image", content_type=content_type)
    assert (asked.image, asked.top_k, asked.coverage, asked.explain) == (b"image", 5, None, False)


def test_five_classes_are_answered_by_default() -> None:
    assert parse(b"image", content_type="image/jpeg").top_k == 5
    assert parse(json.dumps({"inputs": INPUTS}).encode(), content_type="application/json").top_k == 5


@pytest.mark.parametrize("top_k", [1, 2, 1000])
def test_json_carries_the_image_and_top_k(top_k: int) -> None:
    body = json.dumps({"inputs": INPUTS, "parameters": {"top_k": top_k}}).encode()
    asked = parse(body, content_type="application/json; charset=utf-8")
    assert (asked.image, asked.top_k) == (b"image", top_k)


@pytest.mark.parametrize("top_k", [0, -1, 1.0, "2", True, None, [1]])
def test_a_wrong_top_k_is_told_the_range(top_k: object) -> None:
    body = json.dumps({"inputs": INPUTS, "parameters": {"top_k": top_k}}).encode()
    status, detail = status_and_detail(body)
    assert status == 422
    assert "from 1 on" in detail


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


def test_base64_may_be_a_data_url_or_broken_into_lines() -> None:
    """Browsers write the one, other tools the other."""
    for inputs in (f"data:image/jpeg;base64,{INPUTS}", f"data:;base64,{INPUTS}", "\n".join(INPUTS), f" {INPUTS}\r\n"):
        body = json.dumps({"inputs": inputs}).encode()
        assert parse(body, content_type="application/json").image == b"image"


def asked_for(**parameters: object) -> ClassifyRequest:
    return parse(json.dumps({"inputs": INPUTS, "parameters": parameters}).encode(), content_type="application/json")


def test_json_carries_coverage_and_explain() -> None:
    asked = asked_for(coverage=0.95, explain=True)
    assert (asked.coverage, asked.explain) == (0.95, True)
    assert asked_for(coverage=0.5).coverage == 0.5
    assert asked_for(coverage=0.999).coverage == 0.999


@pytest.mark.parametrize("coverage", [0, 0.49, 0.9991, 1, 95, -0.95, "0.95", True, None, [0.9], float("nan"), 10**400])
def test_a_wrong_coverage_is_told_the_range(coverage: object) -> None:
    status, detail = status_and_detail(json.dumps({"inputs": INPUTS, "parameters": {"coverage": coverage}}).encode())
    assert status == 422
    assert "from 0.5 to 0.999" in detail


@pytest.mark.parametrize("explain", [1, "true", None, []])
def test_a_wrong_explain_is_told_the_right_ones(explain: object) -> None:
    status, detail = status_and_detail(json.dumps({"inputs": INPUTS, "parameters": {"explain": explain}}).encode())
    assert status == 422
    assert "true or false" in detail


def test_attributes_carry_the_parameters_of_an_images_bytes() -> None:
    asked = parse(b"image", content_type="image/jpeg", attributes="coverage=0.95;top_k=3;explain=1")
    assert asked == ClassifyRequest(b"image", top_k=3, coverage=0.95, explain=True)


def test_attributes_of_the_callers_own_are_left_alone() -> None:
    """CustomAttributes are any text: "an ID that you can use to track a request"."""
    for attributes in ("", ";;", "c000b4f9-df62-4c85-a0bf-7c525f9104a4", "trace=1;span==;ü=é", "explain2=1"):
        asked = parse(b"image", content_type="image/jpeg", attributes=attributes)
        assert asked == ClassifyRequest(b"image", top_k=5)


@pytest.mark.parametrize(
    ("attributes", "named"),
    [
        ("top_k=0", "top_k must"),
        ("top_k=-1", "top_k must"),
        ("top_k=1e1", "top_k must"),
        ("top_k=" + "9" * 5000, "top_k must"),
        ("top_k=٣", "top_k must"),
        ("top_k", "top_k must"),
        ("coverage=95%", "coverage must"),
        ("coverage=nan", "coverage must"),
        ("coverage=1e-1", "coverage must"),
        ("coverage=" + "0." + "9" * 5000, "coverage must"),
        ("coverage=1", "coverage must"),
        ("coverage=", "coverage must"),
        ("explain=yes", "explain must"),
        ("top_k=3;top_k=3", "top_k is given twice"),
    ],
)
def test_wrong_attributes_are_told_what_is_right(attributes: str, named: str) -> None:
    with pytest.raises(Problem) as caught:
        parse(b"image", content_type="image/jpeg", attributes=attributes)
    assert caught.value.status == 422
    assert named in caught.value.detail


def test_json_and_attributes_go_together_unless_they_name_the_same() -> None:
    body = json.dumps({"inputs": INPUTS, "parameters": {"top_k": 2}}).encode()
    asked = parse(body, content_type="application/json", attributes="coverage=0.9")
    assert (asked.top_k, asked.coverage) == (2, 0.9)
    with pytest.raises(Problem, match="top_k is given twice") as caught:
        parse(body, content_type="application/json", attributes="top_k=2")
    assert caught.value.status == 422


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe\xfd", b"[" * 100_000, b"NaN x"])
def test_a_body_that_is_no_json_is_told_so(body: bytes) -> None:
    status, detail = status_and_detail(body)
    assert status == 422
    assert "not JSON" in detail
    assert len(detail) < 300


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


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":' + b"[" * 900 + b"]" * 900 + b"}",
        b"[" + b"{}," * 1_000_000 + b"{}]",
        b'{"inputs": "' + b'\\u0041", "' * 100_000 + b'": 1}',
    ],
    ids=["deep", "wide", "many texts"],
)
def test_json_that_would_unfold_is_refused_before_it_is_read(body: bytes) -> None:
    status, detail = status_and_detail(body)
    assert status == 422
    assert len(detail) < 300


def test_a_callers_own_words_are_repeated_in_part() -> None:
    status, detail = status_and_detail(b'{"inputs": "aGVsbG8=", "' + b"x" * 2_000_000 + b'": 1}')
    assert status == 422
    assert "unknown 'xxx" in detail
    assert len(detail) < 300
    status, detail = status_and_detail(b"x", content_type="x" * 9_000)
    assert status == 415
    assert len(detail) < 300
