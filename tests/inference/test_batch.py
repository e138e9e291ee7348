"""The container in a transform job: every photo gets an answer, since one that is refused would fail the job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from inference.environment import batch_parameters
from inference.messages import Job, Reply
from inference.pool import Pool
from inference.problems import problem_body
from inference.worker_process import WorkerProcess
from tests.inference.conftest import huge_png, picture
from tests.inference.test_app import Running, call, invoke, running


@pytest.fixture(scope="module")
def batch(model_folder: Path) -> Iterator[Running]:
    with running(model_folder, batch="") as found:
        yield found


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
    batch: Running, body: bytes, status: int, told: str
) -> None:
    response = invoke(batch, body, content_type="application/x-image")
    assert response.status_code == 200
    assert set(response.json()) == {"error"}
    assert response.json()["error"]["status"] == status
    assert told in response.json()["error"]["detail"]


def test_a_photo_is_answered_as_by_the_endpoint(batch: Running, model_folder: Path) -> None:
    photo = picture("blue")
    with running(model_folder) as endpoint:
        assert invoke(batch, photo).json() == invoke(endpoint, photo).json()


def test_the_batchs_parameters_hold_for_every_photo(model_folder: Path) -> None:
    with running(model_folder, batch="coverage=0.5;top_k=1") as batch:
        answer = invoke(batch, picture("red")).json()
    assert len(answer["predictions"]) == 1
    assert answer["labels"] == ["red"]


def test_parameters_that_cannot_be_met_are_said_of_every_photo(model_folder: Path) -> None:
    with running(model_folder, batch="coverage=0.99") as batch:
        response = invoke(batch, picture("red"))
    assert response.status_code == 200
    assert "more than the model in service can promise" in response.json()["error"]["detail"]


def test_a_bug_still_fails_the_request_so_that_sagemaker_tries_again(model_folder: Path) -> None:
    class Broken(Pool):
        async def ask(self, worker: WorkerProcess, job: Job) -> Reply:
            await super().ask(worker, job)
            return Reply(500, problem_body(500, "a bug"))

    with running(model_folder, batch="", kind=Broken) as batch:
        assert invoke(batch, picture()).status_code == 500
        assert call(batch, "GET", "/ping").status_code == 200


def test_sagemakers_variable_says_that_it_is_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHIPPET_BATCH_PARAMETERS", "top_k=3")
    assert batch_parameters() is None
    monkeypatch.setenv("SAGEMAKER_BATCH", "true")
    assert batch_parameters() == "top_k=3"
    monkeypatch.delenv("WHIPPET_BATCH_PARAMETERS")
    assert batch_parameters() == ""
