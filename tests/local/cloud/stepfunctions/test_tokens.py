"""Tasks that wait for their token: sent back, refused, too late, and by whom."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.local.cloud.conftest import allow

if TYPE_CHECKING:
    from tests.local.cloud.conftest import Account

WAIT = "arn:aws:states:::lambda:invoke.waitForTaskToken"


@pytest.fixture
def key(name: str) -> str:
    """Where the function leaves the token it was given."""
    return f"tokens/{name}"


@pytest.fixture
def role(account: Account, front_door: dict[str, str], name: str) -> str:
    return account.role(f"{name}-states", "states.amazonaws.com", allow("lambda:InvokeFunction", front_door["Keeper"]))


def waiting(front_door: dict[str, str], key: str, **state: Any) -> dict[str, Any]:
    payload = {"bucket": front_door["Bucket"], "key": key, "token.$": "$$.Task.Token"}
    parameters = {"FunctionName": front_door["Keeper"], "Payload": payload}
    return {"Ask": {"Type": "Task", "Resource": WAIT, "Parameters": parameters, "End": True, **state}}


def token(account: Account, front_door: dict[str, str], key: str) -> str:
    s3 = account.client("s3")
    deadline = time.monotonic() + 30
    while True:
        try:
            found: str = s3.get_object(Bucket=front_door["Bucket"], Key=key)["Body"].read().decode()
            return found
        except s3.exceptions.NoSuchKey:
            assert time.monotonic() < deadline, "the function was not called"
            time.sleep(0.05)


def test_a_success_goes_on_with_its_output(
    account: Account, front_door: dict[str, str], role: str, key: str, name: str
) -> None:
    execution = account.start(account.state_machine(name, role, waiting(front_door, key)))
    states = account.client("stepfunctions")
    sent = token(account, front_door, key)
    assert states.describe_execution(executionArn=execution)["status"] == "RUNNING"
    with pytest.raises(states.exceptions.InvalidOutput):
        states.send_task_success(taskToken=sent, output="approved")
    states.send_task_success(taskToken=sent, output=json.dumps({"approved": True}))
    ended = account.finished(execution)
    assert ended["status"] == "SUCCEEDED", ended
    assert json.loads(ended["output"]) == {"approved": True}
    with pytest.raises(states.exceptions.TaskTimedOut):
        states.send_task_success(taskToken=sent, output="{}")


def test_a_failure_can_be_caught_by_its_name(
    account: Account, front_door: dict[str, str], role: str, key: str, name: str
) -> None:
    caught = [{"ErrorEquals": ["NotApproved"], "Next": "Refused", "ResultPath": "$.error"}]
    machine = waiting(front_door, key, Catch=caught) | {"Refused": {"Type": "Succeed"}}
    execution = account.start(account.state_machine(name, role, machine))
    sent = token(account, front_door, key)
    account.client("stepfunctions").send_task_failure(taskToken=sent, error="NotApproved", cause="too dark")
    assert json.loads(account.finished(execution)["output"])["error"] == {"Error": "NotApproved", "Cause": "too dark"}


def test_a_token_that_does_not_come_in_time_times_out(
    account: Account, front_door: dict[str, str], role: str, key: str, name: str
) -> None:
    ended = account.run(name, role, waiting(front_door, key, TimeoutSeconds=1))
    assert (ended["status"], ended["error"]) == ("FAILED", "States.Timeout")
    states = account.client("stepfunctions")
    with pytest.raises(states.exceptions.TaskTimedOut):
        states.send_task_failure(taskToken=token(account, front_door, key), error="x")
    with pytest.raises(states.exceptions.TaskDoesNotExist):
        states.send_task_success(taskToken="never given", output="{}")


def test_an_execution_can_be_stopped_while_it_waits(
    account: Account, front_door: dict[str, str], role: str, key: str, name: str
) -> None:
    execution = account.start(account.state_machine(name, role, waiting(front_door, key)))
    sent = token(account, front_door, key)
    states = account.client("stepfunctions")
    states.stop_execution(executionArn=execution, cause="enough")
    assert account.finished(execution)["status"] == "ABORTED"
    deadline = time.monotonic() + 10
    while True:  # the task notices a moment later
        try:
            states.send_task_heartbeat(taskToken=sent)
        except states.exceptions.TaskTimedOut:
            break
        assert time.monotonic() < deadline, "the task still waits"
        time.sleep(0.05)


def test_what_the_function_raises_fails_the_task(account: Account, front_door: dict[str, str], name: str) -> None:
    role = account.role(name, "states.amazonaws.com", allow("lambda:InvokeFunction", front_door["Function"]))
    parameters = {"FunctionName": front_door["Function"], "Payload": {"do": "raise", "token.$": "$$.Task.Token"}}
    state = {"Type": "Task", "Resource": WAIT, "Parameters": parameters, "End": True}
    ended = account.run(name, role, {"Ask": state})
    assert (ended["status"], ended["error"]) == ("FAILED", "NotAPhoto")


def test_the_state_machines_role_needs_to_invoke_the_function(
    account: Account, front_door: dict[str, str], key: str, name: str
) -> None:
    ended = account.run(name, account.role(name, "states.amazonaws.com"), waiting(front_door, key))
    assert (ended["status"], ended["error"]) == ("FAILED", "Lambda.AWSLambdaException")


def test_a_token_is_sent_with_a_permission_on_the_state_machine_that_gave_it(
    account: Account, front_door: dict[str, str], role: str, key: str, name: str
) -> None:
    machine = account.state_machine(name, role, waiting(front_door, key))
    execution = account.start(machine)
    sent = token(account, front_door, key)
    other = account.role(f"{name}-other", "lambda.amazonaws.com", allow("states:SendTaskSuccess", f"{machine}-other"))
    refused = account.client("stepfunctions", **account.assume(other))
    with pytest.raises(refused.exceptions.ClientError, match="AccessDenied"):
        refused.send_task_success(taskToken=sent, output="{}")
    allowed = account.role(f"{name}-may", "lambda.amazonaws.com", allow("states:SendTaskSuccess", machine))
    account.client("stepfunctions", **account.assume(allowed)).send_task_success(taskToken=sent, output="{}")
    assert account.finished(execution)["status"] == "SUCCEEDED"
