"""One release after another: a run waits for the lock, judges its model again, and gives the lock back."""

from __future__ import annotations

from typing import Any

import pytest

from tests.infra.asl_walker import EXECUTION, Task, TaskError, walk
from tests.infra.fake_run import NEW_CONFIG, OLD_CONFIG, Endpoint, tasks, verdict
from tests.infra.interpreter import interpret

HELD_BY_ANOTHER = {"held": False, "holder": "run other-1 (arn:other)"}
BETTER = "whippet-dev-better"


def after(times: int) -> Task:
    """A lock that another run gives back after it was asked for so many times."""
    asked: list[Any] = []

    def take(payload: dict[str, Any]) -> Any:
        asked.append(payload)
        return HELD_BY_ANOTHER if len(asked) <= times else {"held": True, "holder": "ours"}

    return take


def test_a_run_waits_until_the_other_one_has_released(definition: dict[str, Any]) -> None:
    result = walk(definition, tasks(Endpoint(OLD_CONFIG)) | {"TakeReleaseLock": after(8)}, {})
    assert result.status == "SUCCEEDED"
    assert result.path.count("WaitForReleaseLock") == 6
    assert result.path.count("WaitLongerForReleaseLock") == 2
    assert result.path.index("ReleaseLockHeld?") < result.path.index("DescribeInService")
    taken, given = (dict(result.payloads)[name] for name in ("TakeReleaseLock", "GiveLockBack"))
    assert (taken["action"], given["action"]) == ("take", "give-back")
    assert taken["execution"] == given["execution"] == EXECUTION


def test_a_run_whose_turn_never_comes_is_rejected_and_says_who_releases(definition: dict[str, Any]) -> None:
    endpoint = Endpoint(OLD_CONFIG)
    ended = interpret(definition, tasks(endpoint) | {"TakeReleaseLock": lambda _: HELD_BY_ANOTHER})
    assert (ended.status, ended.error) == ("FAILED", "ReleaseLockTaken")
    assert "at last run other-1 (arn:other)" in str(ended.cause)
    assert ended.payloads["RejectModel"]["ModelApprovalStatus"] == "Rejected"
    assert endpoint.calls == []
    assert "GiveLockBack" not in ended.calls, "it is another's"
    assert ended.calls.count("TakeReleaseLock") > 70


def test_a_lock_that_cannot_be_asked_for_ends_the_run(definition: dict[str, Any]) -> None:
    endpoint = Endpoint(OLD_CONFIG)
    broken = {"TakeReleaseLock": TaskError("ClientError", "Access Denied")}
    result = walk(definition, tasks(endpoint, broken=broken), {})
    assert (result.status, result.error) == ("FAILED", "ClientError")
    assert dict(result.payloads)["RejectModel"]["ModelApprovalStatus"] == "Rejected"
    assert endpoint.calls == []


def test_a_lock_that_cannot_be_given_back_changes_nothing(definition: dict[str, Any]) -> None:
    broken = {"GiveLockBack": TaskError("ClientError", "Access Denied")}
    assert walk(definition, tasks(Endpoint(OLD_CONFIG), broken=broken), {}).status == "SUCCEEDED"


def test_a_run_that_never_held_it_gives_nothing_back(definition: dict[str, Any]) -> None:
    result = walk(definition, tasks(Endpoint(), broken={"Verdict": TaskError("KeyError", "no")}), {})
    assert result.status == "FAILED"
    assert "GiveLockBack" not in result.path


@pytest.mark.parametrize(
    "state", ["CreateModel", "DescribeRollout", "SmokeTest", "VerdictAgain", "UpdateEndpoint", "RestoreEndpoint"]
)
def test_the_lock_is_given_back_at_every_end(definition: dict[str, Any], state: str) -> None:
    broken = {state: TaskError("SageMaker.AmazonSageMakerException", "no (Status Code: 400)")}
    if state == "RestoreEndpoint":
        broken["SmokeTest"] = TaskError("SmokeTestFailed", "no")
    overtaken = {"Verdict": lambda _: verdict(in_service="" if state == "VerdictAgain" else OLD_CONFIG)}
    result = walk(definition, tasks(Endpoint(OLD_CONFIG), broken=broken) | overtaken, {})
    assert result.status == "FAILED"
    assert result.path.index("GiveLockBack") < result.path.index("Report")


@pytest.mark.parametrize("accepted", [True, False])
def test_without_a_person_too_a_model_that_was_overtaken_is_judged_again(
    definition: dict[str, Any], accepted: bool
) -> None:
    """Another run released while this one waited for the lock."""
    endpoint = Endpoint(OLD_CONFIG)

    def released_meanwhile(_: dict[str, Any]) -> Any:
        endpoint.config = BETTER
        return {"held": True, "holder": "ours"}

    known = tasks(endpoint) | {
        "Verdict": lambda _: verdict(in_service=OLD_CONFIG),
        "TakeReleaseLock": released_meanwhile,
        "VerdictAgain": lambda _: verdict(accepted=accepted, in_service=BETTER, cause="It is worse."),
    }
    result = walk(definition, known, {})
    if accepted:
        assert (result.status, endpoint.config) == ("SUCCEEDED", NEW_CONFIG)
        assert "RejectModel" not in result.path
        return
    assert (result.status, result.error, endpoint.config) == ("FAILED", "ModelRejected", BETTER)
    assert result.cause.endswith("beside that one it did not pass: It is worse.")
    assert dict(result.payloads)["RejectModel"]["ModelApprovalStatus"] == "Rejected"


def test_a_model_beside_which_it_was_judged_is_not_judged_beside_again(definition: dict[str, Any]) -> None:
    known = tasks(Endpoint(OLD_CONFIG)) | {"Verdict": lambda _: verdict(in_service=OLD_CONFIG)}
    result = walk(definition, known, {})
    assert (result.status, "VerdictAgain" in result.path) == ("SUCCEEDED", False)
