"""The container in a transform job: every photo gets an answer, since one that is refused would fail the job."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.applications import Starlette

import contract
from inference.app import create_app
from inference.classifier import Classifier
from inference.environment import batch_parameters
from inference.invocation import ClassifyRequest
from tests.inference.conftest import huge_png, picture
from tests.inference.test_app import call, invoke


def batch(model_folder: Path, parameters: str = "") -> Starlette:
    return create_app(Classifier(model_folder, threads=1), concurrency=2, batch=parameters)


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b"no image", 400, "not an image of a known format"),
        (b"", 400, "the body is empty"),
        (huge_png(), 400, "pixels"),
        (picture(size=(600, 400))[:-200], 400, "damaged or incomplete"),
    ],
)
def test_a_photo_that_is_refused_is_answered_with_its_problem(
    model_folder: Path, body: bytes, status: int, told: str
) -> None:
    response = invoke(batch(model_folder), body, content_type="application/x-image")
    assert response.status_code == 200
    assert set(response.json()) == {"error"}
    assert response.json()["error"]["status"] == status
    assert told in response.json()["error"]["detail"]


def test_a_photo_is_answered_as_by_the_endpoint(model_folder: Path) -> None:
    endpoint = create_app(Classifier(model_folder, threads=1), concurrency=2)
    photo = picture("blue")
    assert invoke(batch(model_folder), photo).json() == invoke(endpoint, photo).json()


def test_the_batchs_parameters_hold_for_every_photo(model_folder: Path) -> None:
    answer = invoke(batch(model_folder, "coverage=0.5;top_k=1"), picture("red")).json()
    assert len(answer["predictions"]) == 1
    assert answer["labels"] == ["red"]


def test_parameters_that_cannot_be_met_are_said_of_every_photo(model_folder: Path) -> None:
    response = invoke(batch(model_folder, "coverage=0.99"), picture("red"))
    assert response.status_code == 200
    assert "more than the model in service can promise" in response.json()["error"]["detail"]


def test_a_bug_still_fails_the_request_so_that_sagemaker_tries_again(model_folder: Path) -> None:
    class Broken(Classifier):
        def classify(self, asked: ClassifyRequest) -> contract.Answer:
            raise RuntimeError("a bug")

    app = create_app(Broken(model_folder, threads=1), concurrency=2, batch="")
    assert invoke(app, picture()).status_code == 500
    assert call(app, "GET", "/ping").status_code == 200


def test_sagemakers_variable_says_that_it_is_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHIPPET_BATCH_PARAMETERS", "top_k=3")
    assert batch_parameters() is None
    monkeypatch.setenv("SAGEMAKER_BATCH", "true")
    assert batch_parameters() == "top_k=3"
    monkeypatch.delenv("WHIPPET_BATCH_PARAMETERS")
    assert batch_parameters() == ""
