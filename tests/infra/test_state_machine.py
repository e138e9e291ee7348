"""The state machine: its shape, and where each failure leads."""

from __future__ import annotations

from typing import Any

import pytest

from tests.infra.asl_walker import TaskError, walk
from tests.infra.fake_run import OLD_CONFIG, Endpoint, job_failed, tasks


def test_every_task_has_a_time_limit_and_a_catch_for_everything(
    definition: dict[str, Any], asking: dict[str, Any]
) -> None:
    for name, state in (definition["States"] | asking["States"]).items():
        if state["Type"] == "Task":
            # a day beyond the longest that SageMaker takes itself, a tuning job's 30 days
            assert 0 < state["TimeoutSeconds"] <= 31 * 24 * 3600, name
            assert any(catcher["ErrorEquals"] == ["States.ALL"] for catcher in state["Catch"]), name


def test_every_choice_has_a_default_and_every_state_can_be_reached(definition: dict[str, Any]) -> None:
    states = definition["States"]
    reached, waiting = set(), [definition["StartAt"]]
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.add(name)
        state = states[name]
        if state["Type"] == "Choice":
            assert "Default" in state, name
        following = [state.get("Next"), state.get("Default")]
        following += [item["Next"] for key in ("Choices", "Catch") for item in state.get(key, [])]
        waiting += [item for item in following if item]
    assert reached == set(states)


def test_both_modes_have_the_same_states(definition: dict[str, Any], fine_tuning: dict[str, Any]) -> None:
    """Fine-tuning begins with a head on the features."""
    assert definition["States"].keys() == fine_tuning["States"].keys()


def test_api_answers_that_nobody_needs_leave_the_data_alone(definition: dict[str, Any]) -> None:
    """Without an explicit null the answer would replace the whole of the state's data."""
    for name, state in definition["States"].items():
        if state["Type"] == "Task":
            assert "ResultPath" in state, name
            assert state["ResultPath"] != "$", name
    discarded = {name for name, state in definition["States"].items() if state.get("ResultPath", "$") is None}
    assert discarded == {
        "Features",
        "ExtendFeatures",
        "CreateModel",
        "CreateEndpointConfig",
        "CreateEndpoint",
        "UpdateEndpoint",
        "DeleteBrokenEndpoint",
        "DeleteRealtimeEndpoint",
        "EndScaling",
        "RemoveEndpoint",
        "RestoreEndpoint",
        "RejectFailedModel",
        "RejectFailedRollout",
        "RejectModel",
        "Rules",
        "RulesOnTensors",
        *(name for name in definition["States"] if name.startswith("Stop")),
    }


@pytest.mark.parametrize(
    ("state", "failure", "words"),
    [
        ("CheckDataset", TaskError("BadDataset", '{"errorMessage": "there are no photos"}'), "no photos"),
        ("Features", job_failed("AlgorithmError: cannot decode"), "cannot decode"),
        ("Tune", TaskError("SageMaker.ResourceLimitExceededException", "quota ml.c5.xlarge"), "quota"),
        ("Train", job_failed("AlgorithmError: out of memory"), "out of memory"),
        ("Rules", TaskError("States.TaskFailed", '{"FailureReason": "no module smdebug"}'), "no module smdebug"),
        ("Verdict", TaskError("UnreadableOutput", '{"errorMessage": "no evaluation.json"}'), "no evaluation.json"),
        ("RegisterModel", TaskError("SageMaker.SageMakerException", "no such group"), "no such group"),
        ("CreateModel", TaskError("SageMaker.AmazonSageMakerException", "no such image"), "no such image"),
        ("CreateEndpointConfig", TaskError("SageMaker.AmazonSageMakerException", "no such type"), "no such type"),
        ("DescribeEndpoint", TaskError("SageMaker.SageMakerException", "not authorized"), "not authorized"),
        ("CreateEndpoint", TaskError("SageMaker.AmazonSageMakerException", "not authorized"), "not authorized"),
        ("DescribeRollout", TaskError("States.Timeout", ""), "no reason"),
    ],
)  # fmt: skip
def test_every_failure_is_notified_and_ends_the_execution_with_its_reason(
    definition: dict[str, Any], state: str, failure: TaskError, words: str
) -> None:
    result = walk(definition, tasks(Endpoint(), broken={state: failure}), {})
    assert (result.status, result.error) == ("FAILED", failure.error)
    assert words in result.cause
    assert result.path[-4:] == ["Report", "Notify", "Outcome?", "Failed"]


def test_a_tuning_job_without_a_finished_trial_fails_the_run(definition: dict[str, Any]) -> None:
    result = walk(definition, tasks(Endpoint()) | {"Tune": lambda _: {"BestTrainingJob": {}}}, {})
    assert result.error == "NoTrialSucceeded"
    assert not {"TrainManaged", "Train"} & set(result.path)


def test_old_models_that_cannot_be_deleted_do_not_undo_the_release(definition: dict[str, Any]) -> None:
    result = walk(definition, tasks(Endpoint(OLD_CONFIG), broken={"Retire": TaskError("ClientError", "denied")}), {})
    assert result.status == "SUCCEEDED"


def test_a_broken_notification_says_so(definition: dict[str, Any]) -> None:
    result = walk(definition, tasks(Endpoint(), broken={"Notify": TaskError("KeyError", "'plan'")}), {})
    assert (result.status, result.error, result.path[-1]) == ("FAILED", "KeyError", "NotNotified")
