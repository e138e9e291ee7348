"""Calling the deployed API, and what a user reads when it does not classify."""

from __future__ import annotations

import itertools
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import urllib3
from botocore.awsrequest import AWSRequest

from cli import CliError, api
from cli.api import Api, curl_command
from contract import MAX_IMAGE_BYTES

DEPLOYED = Api("https://host/stage/", "the key")


class Pool:
    """An HTTP pool that answers every request in the same way."""

    def __init__(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.status, self.body, self.headers = status, body, headers or {}
        self.requests: list[tuple[str, str, dict[str, Any]]] = []

    def request(self, method: str, url: str, **options: Any) -> SimpleNamespace:
        self.requests.append((method, url, options))
        return SimpleNamespace(status=self.status, data=self.body, headers=self.headers)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    file = tmp_path / "dog.png"
    file.write_bytes(b"pixels")
    return file


def answering(monkeypatch: pytest.MonkeyPatch, status: int, body: object) -> Pool:
    pool = Pool(status, body if isinstance(body, bytes) else json.dumps(body).encode())
    monkeypatch.setattr(api, "_POOL", pool)
    return pool


def test_a_photo_is_posted_with_the_key_and_its_media_type(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = answering(monkeypatch, 200, {"label": "whippet", "score": 0.97})
    assert DEPLOYED.classify(photo) == {"label": "whippet", "score": 0.97}
    ((method, url, options),) = pool.requests
    assert (method, url) == ("POST", "https://host/stage/classify")
    assert options["body"] == b"pixels"
    assert options["headers"] == {"x-api-key": "the key", "content-type": "image/png"}


def test_without_a_key_a_request_is_signed_anew_each_time(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signature holds for minutes, and a waking model may be waited for as long."""
    pool = answering(monkeypatch, 503, {"detail": "waking"})
    pool.headers = {"Retry-After": "600"}
    monkeypatch.setattr("time.sleep", lambda _: None)
    times = itertools.count(1)

    def sign(request: AWSRequest) -> None:
        request.headers["Authorization"] = f"{next(times)}"

    signed = Api("https://host/stage/", None, sign)
    with pytest.raises(CliError, match="waking"):
        signed.classify(photo)
    assert [options["headers"]["Authorization"] for _, _, options in pool.requests] == ["1", "2"]
    assert "--aws-sigv4" in curl_command(signed, photo)
    assert "x-api-key" not in curl_command(signed, photo)


class UploadingPool(Pool):
    """The API and S3, which takes photos of up to 20 MB."""

    def request(self, method: str, url: str, **options: Any) -> SimpleNamespace:
        answers: dict[str, dict[str, Any]] = {
            "https://host/stage/uploads": {
                "url": "https://s3/", "fields": {"key": "uploads/1"}, "s3": "uploads/1", "max_bytes": 20_000_000,
            },
            "https://host/stage/classify?top_k=7": {"label": "whippet"},
        }  # fmt: skip
        super().request(method, url, **options)
        return SimpleNamespace(status=200, data=json.dumps(answers.get(url, {})).encode(), headers={})


def test_a_photo_that_is_too_large_for_a_request_is_uploaded_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = UploadingPool(200, b"")
    monkeypatch.setattr(api, "_POOL", pool)
    photo = tmp_path / "large.jpg"
    photo.write_bytes(b"x" * (MAX_IMAGE_BYTES + 1))
    assert DEPLOYED.classify(photo, top=7)["label"] == "whippet"
    assert [url for _, url, _ in pool.requests] == [
        "https://host/stage/uploads",
        "https://s3/",
        "https://host/stage/classify?top_k=7",
    ]
    form, asked = pool.requests[1][2], pool.requests[2][2]
    assert b'name="key"' in form["body"]
    assert form["body"].index(b'name="key"') < form["body"].index(b'name="file"'), "S3 ignores fields after the file"
    assert "x-api-key" not in form["headers"]
    assert json.loads(asked["body"]) == {"s3": "uploads/1"}

    photo.write_bytes(b"x" * 20_000_001)
    with pytest.raises(CliError, match=r"has 20\.0 MB, and the endpoint takes 20\.0 MB: make it smaller"):
        DEPLOYED.classify(photo, top=7)


def test_what_is_asked_about_a_photo_is_the_query_string(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = answering(monkeypatch, 200, {})
    DEPLOYED.classify(photo, top=7, coverage=0.95)
    DEPLOYED.classify(photo, coverage=0.5)
    DEPLOYED.classify(photo, explain=True)
    assert [url for _, url, _ in pool.requests] == [
        "https://host/stage/classify?top_k=7&coverage=0.95",
        "https://host/stage/classify?coverage=0.5",
        "https://host/stage/classify?explain=1",
    ]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"title": "Not an image", "detail": "send a JPEG"}, "send a JPEG"),
        ({"message": "Forbidden"}, "Forbidden"),
        ([1], "[1]"),
        (b"<html>", "<html>"),
    ],
)
def test_a_refusal_names_the_photo_the_status_and_the_apis_reason(
    photo: Path, monkeypatch: pytest.MonkeyPatch, body: object, reason: str
) -> None:
    answering(monkeypatch, 400, body)
    with pytest.raises(CliError) as refused:
        DEPLOYED.classify(photo)
    assert str(refused.value) == f"the API did not classify {photo} (HTTP 400): {reason}"


def test_a_photo_that_cannot_be_read_is_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = answering(monkeypatch, 200, [])
    with pytest.raises(CliError, match=r"cat\.jpg cannot be read \(No such file or directory\)"):
        DEPLOYED.classify(tmp_path / "cat.jpg")
    assert pool.requests == []


def test_an_api_that_is_not_reached_is_named(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise urllib3.exceptions.HTTPError("connection refused")

    monkeypatch.setattr(api, "_POOL", SimpleNamespace(request=refuse))
    with pytest.raises(CliError, match=r"https://host/stage/ did not answer \(connection refused\).*whippet status"):
        DEPLOYED.classify(photo)


@pytest.mark.parametrize("name", ["cat.png", 'my cat\'s $(touch gone) `touch gone`; "x".png'])
def test_a_shell_makes_the_same_request_whatever_the_file_is_called(tmp_path: Path, name: str) -> None:
    """A real shell reads the command; the programs it calls are stand-ins."""
    for program, script in {"curl": 'printf "%s\\n" "$@"', "whippet": 'test "$*" = key && echo "the key"'}.items():
        (tmp_path / program).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / program).chmod(0o755)

    photo = tmp_path / name
    command = curl_command(DEPLOYED, photo)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    ran = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.stdout.splitlines() == [
        *("-X", "POST", "https://host/stage/classify", "-H", "x-api-key: the key"),
        *("-H", "content-type: image/png", "--data-binary", f"@{photo}"),
    ]
    assert not (tmp_path / "gone").exists()


def test_the_key_is_neither_in_the_shell_command_nor_in_the_text_of_the_api(photo: Path) -> None:
    assert "the key" not in curl_command(DEPLOYED, photo)
    assert "the key" not in repr(DEPLOYED)
