"""Functions: their errors, their logs, what they may import and whose permissions they have."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.local.cloud.conftest import Account


class Function:
    def __init__(self, account: Account, arn: str) -> None:
        self._client = account.client("lambda")
        self._arn = arn

    def __call__(self, do: str) -> tuple[Any, str | None, str]:
        """What it answered, what kind of failure it was, and the tail of its log."""
        answer = self._client.invoke(FunctionName=self._arn, Payload=json.dumps({"do": do}), LogType="Tail")
        log = base64.b64decode(answer.get("LogResult", "")).decode()
        return json.load(answer["Payload"]), answer.get("FunctionError"), log


@pytest.fixture
def function(account: Account, front_door: dict[str, str]) -> Function:
    return Function(account, front_door["Function"])


def test_an_exception_keeps_its_class_its_message_and_its_trace(function: Function) -> None:
    answer, failure, log = function("raise")
    assert failure is not None
    assert (answer["errorType"], answer["errorMessage"]) == ("NotAPhoto", "no photo in here")
    assert any("index.py" in line for line in answer["stackTrace"])
    assert "NotAPhoto: no photo in here" in log


def test_it_answers_after_an_exception(function: Function) -> None:
    function("raise")
    assert function("log")[0] == "logged"


def test_a_line_it_prints_is_in_its_log_and_only_in_that_invocations(function: Function) -> None:
    assert "a line" in function("log")[2]
    assert "a line" not in function("echo")[2]


def test_an_answer_that_is_not_json_is_an_error_of_the_function(function: Function) -> None:
    answer, failure, _ = function("bytes")
    assert failure is not None
    assert answer["errorType"] == "Runtime.MarshalError"


def test_it_sees_no_package_that_awss_runtime_lacks(function: Function) -> None:
    """The local cloud's own environment holds optuna: it must not hide a hole in a function's zip."""
    answer, failure, _ = function("import")
    assert failure is not None
    assert (answer["errorType"], answer["errorMessage"]) == ("ModuleNotFoundError", "No module named 'optuna'")


def test_it_acts_as_its_role(function: Function) -> None:
    assert ":assumed-role/front-door-" in function("identity")[0]


def test_what_its_role_does_not_allow_is_refused(function: Function) -> None:
    answer, failure, _ = function("list")
    assert failure is not None
    assert "s3:ListAllMyBuckets" in answer["errorMessage"]
