"""The API as two judges from outside see it: one of OpenAPI documents, one that makes requests of them.

Schemathesis makes requests that the document allows, and requests that it does not. It holds the answers to the
document, and to what every API owes: no 5xx, 405 with `Allow`, no answer without the key.
"""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import schemathesis.openapi
from openapi_spec_validator import OpenAPIV31SpecValidator

from local import control
from tests.conformance.pictures import picture

ROOT = Path(__file__).parents[2]
KEY_HEADER = "x-api-key"

OVERRIDES = {
    "tuning.trials": "1",
    "tuning.epochs": "1",
    "training.epochs": "5",
    "serving.mode": "realtime",
    "api.feedback": "true",
    # what is judged is the answers, and not the throttle
    "api.rate": "10000",
    "api.burst": "5000",
    "api.daily_quota": "1000000",
}
"""For a model that is soon there."""


@dataclass(frozen=True)
class Api:
    """An API with a model behind it."""

    url: str
    """Without a slash at its end."""
    key: str


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Deploy, train and release as a user does, on a local cloud of this file's own."""
    state = tmp_path_factory.mktemp("cloud")
    try:
        demo = _whippet(state, "demo")
        (call,) = (line for line in demo.splitlines() if line.startswith("curl -X POST "))
        yield Api(url=call.split()[3].removesuffix("/classify"), key=_whippet(state, "key").strip())
    finally:
        control.stop(state)


@pytest.fixture(scope="module")
def document(api: Api) -> Any:
    """Return the API's document, as Schemathesis reads it."""
    document = schemathesis.openapi.from_url(f"{api.url}/openapi.json", headers={KEY_HEADER: api.key})
    document.config.update(base_url=api.url)
    return document


def test_the_document_is_an_openapi_document(document: Any) -> None:
    OpenAPIV31SpecValidator(document.raw_schema).validate()


def test_answers_are_as_the_document_says(api: Api, tmp_path: Path) -> None:
    # A text in base64 and a body of bytes are allowed by the document, and most are no picture: 400 is right.
    command = [
        str(Path(sys.executable).parent / "schemathesis"),
        "run",
        f"{api.url}/openapi.json",
        *("--url", api.url),
        *("--header", f"{KEY_HEADER}: {api.key}"),
        *("--exclude-checks", "positive_data_acceptance"),
        *("--max-examples", "200"),
        *("--seed", "0"),
        "--no-color",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.conformance.pictures"}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-10_000:] + result.stderr[-2_000:]
    passed = re.search(r"(\d+) generated, (\d+) passed", result.stdout)
    assert passed, result.stdout
    assert passed[1] == passed[2]
    assert int(passed[1]) > 300
    assert "Rate limited" not in result.stdout
    assert "Authentication failed" not in result.stdout


@pytest.mark.parametrize("query", [{}, {"top_k": 1000}, {"coverage": 0.95}, {"explain": "true"}], ids=str)
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
def test_answers_to_pictures_are_as_the_document_says(
    document: Any, api: Api, form: str, query: dict[str, Any]
) -> None:
    operation = document["/classify"]["POST"]
    text = base64.b64encode(picture(form)).decode()
    bodies = {
        "image/png": picture(form),
        "application/octet-stream": picture(form),
        "multipart/form-data": {"image": [picture(form), picture("PNG")]},
        "application/json": {"inputs": [text, text[:100]]},
    }
    for media_type, body in bodies.items():
        case = operation.Case(body=body, media_type=media_type, query=query)
        answer = case.call_and_validate(headers={KEY_HEADER: api.key})
        assert answer.status_code == 200, (media_type, answer.text)


def _whippet(state: Path, command: str) -> str:
    """Run a command of the project's own environment, on the local cloud of this state, and return what it prints."""
    options = [part for name, value in OVERRIDES.items() for part in ("-c", f"{name}={value}")]
    result = subprocess.run(
        [ROOT / ".venv" / "bin" / "whippet", *options, command],
        cwd=ROOT,
        env={**os.environ, "WHIPPET_STATE": str(state), "COLUMNS": "400"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, f"{result.stdout[-4000:]}\n{result.stderr[-4000:]}"
    return result.stdout
