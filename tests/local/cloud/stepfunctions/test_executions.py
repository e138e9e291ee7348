"""StartExecution, by the rules of its API reference."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.local.cloud.conftest import Account

WAIT = {"Wait": {"Type": "Wait", "Seconds": 30, "End": True}}


@pytest.fixture
def machine(account: Account, name: str) -> str:
    """The ARN of a state machine whose executions take longer than the test."""
    return account.state_machine(name, account.role(name, "states.amazonaws.com"), WAIT)


@pytest.mark.parametrize("given", ["{bad", "", "{'a': 1}", '{"a": NaN}'])
def test_an_input_that_is_not_json_is_refused_and_nothing_starts(account: Account, machine: str, given: str) -> None:
    states = account.client("stepfunctions")
    with pytest.raises(states.exceptions.InvalidExecutionInput):
        states.start_execution(stateMachineArn=machine, input=given)
    assert states.list_executions(stateMachineArn=machine)["executions"] == []


def test_an_input_over_the_quota_is_refused(account: Account, machine: str) -> None:
    """The quota counts bytes in UTF-8, here two for each letter."""
    states = account.client("stepfunctions")
    with pytest.raises(states.exceptions.ValidationException, match="262144"):
        states.start_execution(stateMachineArn=machine, input=json.dumps("é" * 131_072, ensure_ascii=False))
    states.start_execution(stateMachineArn=machine, input=json.dumps("é" * 131_071, ensure_ascii=False))


@pytest.mark.parametrize("given", [*(f"a{mark}b" for mark in ' \t\u2003<>{}[]?*"#%\\^|~`$&,;:/\x01\x85'), "a" * 81])
def test_a_name_that_aws_forbids_is_refused(account: Account, machine: str, given: str) -> None:
    states = account.client("stepfunctions")
    with pytest.raises(states.exceptions.InvalidName):
        states.start_execution(stateMachineArn=machine, name=given)


@pytest.mark.parametrize("given", ["a" * 80, "A-b_c.9(d)+e=f@g!", "Grüße"])
def test_any_other_name_is_taken(account: Account, machine: str, given: str) -> None:
    states = account.client("stepfunctions")
    arn = states.start_execution(stateMachineArn=machine, name=given)["executionArn"]
    assert arn.endswith(f":{given}")


def test_the_same_name_and_input_again_answer_for_the_running_execution(account: Account, machine: str) -> None:
    states = account.client("stepfunctions")
    request: dict[str, Any] = {"stateMachineArn": machine, "name": "run-1", "input": '{"epochs": 5}'}
    first, again = states.start_execution(**request), states.start_execution(**request)
    assert (again["executionArn"], again["startDate"]) == (first["executionArn"], first["startDate"])
    assert len(states.list_executions(stateMachineArn=machine)["executions"]) == 1

    with pytest.raises(states.exceptions.ExecutionAlreadyExists):
        states.start_execution(**request | {"input": '{"epochs": 6}'})
    states.stop_execution(executionArn=first["executionArn"])
    with pytest.raises(states.exceptions.ExecutionAlreadyExists):
        states.start_execution(**request)
