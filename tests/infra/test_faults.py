"""Refusals, lost answers and time-outs on the local cloud's interpreter: what passes is waited for, no job runs on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.infra.asl_walker import TaskError
from tests.infra.fake_run import JOBS, NEW_CONFIG, NO_DEBUGGER, OLD_CONFIG, Endpoint, Rules, tasks, verdict
from tests.infra.fake_sagemaker import Fault, SageMaker, lost_answer, no_machine, quota, server_error, timed_out
from tests.infra.interpreter import interpret

MAX_EVENTS = 25_000
"""Quota of Step Functions: the events of an execution's history."""

CALLS = ("CreateModel", "CreateEndpointConfig", "CreateEndpoint", "UpdateEndpoint", "DescribeEndpoint")


@pytest.mark.parametrize("fault", [quota, server_error, lost_answer], ids=lambda fault: fault.__name__)
@pytest.mark.parametrize(("before", "access"), [(None, False), (OLD_CONFIG, True)], ids=["first", "managed"])
def test_the_first_call_of_each_kind_may_be_refused_or_lost(
    definition: dict[str, Any], fault: Fault, before: str | None, access: bool
) -> None:
    endpoint = Endpoint(before)
    # an account without Debugger is refused for good
    states = [name for name in (*JOBS, *CALLS) if access or name != "TrainManaged"]
    account = SageMaker(tasks(endpoint, access=access), {name: [fault] for name in states})
    ended = interpret(definition, account.tasks)
    assert (ended.status, ended.error) == ("SUCCEEDED", None), ended.cause
    assert endpoint.config == NEW_CONFIG
    assert account.running == [], "a job that nobody follows costs until it ends"
    assert ("Rules" in ended.path) is not access, "a passing refusal is no reason to evaluate the rules elsewhere"


def test_a_used_up_quota_is_waited_for_ten_times_and_then_told(definition: dict[str, Any]) -> None:
    account = SageMaker(tasks(Endpoint()), {"Features": [quota] * 10})
    assert interpret(definition, account.tasks).status == "SUCCEEDED"
    account = SageMaker(tasks(Endpoint()), {"Features": [quota] * 11})
    ended = interpret(definition, account.tasks)
    assert (ended.status, ended.error) == ("FAILED", "SageMaker.ResourceLimitExceededException")
    assert "is 1 Instances" in str(ended.cause)


@pytest.mark.parametrize("name", ["Features", "Tune", "Train", "Rules"])
def test_a_job_that_found_no_machine_is_made_again_under_another_name(definition: dict[str, Any], name: str) -> None:
    account = SageMaker(tasks(Endpoint()), {name: [no_machine] * 2})
    ended = interpret(definition, account.tasks)
    assert (ended.status, ended.error) == ("SUCCEEDED", None), ended.cause
    assert ended.calls.count(name) == 3
    made = {"Features": "-features", "Tune": "", "Train": "-train", "Rules": "-rules"}[name]
    names = [f"{NEW_CONFIG}{made}", f"{NEW_CONFIG}{made}-2", f"{NEW_CONFIG}{made}-3"]
    assert [job for job in account.jobs if job in names] == names
    if name == "Features":
        (channel,) = ended.payloads["Tune"]["TrainingJobDefinition"]["InputDataConfig"]
        assert channel["DataSource"]["S3DataSource"]["S3Uri"].endswith(f"/{names[-1]}/output/model/")
    if name == "Train":
        assert ended.payloads["Verdict"]["training_job"] == names[-1]


def test_a_machine_that_never_comes_ends_the_run_with_sagemakers_reason(definition: dict[str, Any]) -> None:
    account = SageMaker(tasks(Endpoint()), {"Train": [no_machine] * 20})
    ended = interpret(definition, account.tasks)
    assert (ended.status, ended.error) == ("FAILED", "States.TaskFailed")
    assert "Unable to provision requested ML compute capacity" in str(ended.cause)
    assert ended.calls.count("Train") == 6


@pytest.mark.parametrize("name", ["Features", "Tune", "TrainManaged", "Train", "Rules"])
def test_a_job_that_still_queues_at_its_states_time_out_is_stopped(definition: dict[str, Any], name: str) -> None:
    known = tasks(Endpoint(OLD_CONFIG), access=name == "TrainManaged")
    account = SageMaker(known, {name: [timed_out]})
    ended = interpret(definition, account.tasks)
    assert (ended.status, ended.error) == ("FAILED", "States.Timeout")
    assert account.running == []
    assert ended.calls.count(f"Stop{name}") == 1
    said = message(ended)
    assert said["subject"] == f"whippet: run run-1 failed in {name}"
    assert "stopped the job that it was waiting for" in said["text"]


def test_a_job_that_cannot_be_stopped_is_told_by_its_name(definition: dict[str, Any]) -> None:
    denied = TaskError("SageMaker.SageMakerException", "not authorized to perform: sagemaker:StopTrainingJob")

    def refuse(*_: Any) -> Any:
        raise denied

    account = SageMaker(tasks(Endpoint()), {"Train": [timed_out], "StopTrain": [refuse] * 9})
    ended = interpret(definition, account.tasks)
    assert (ended.status, ended.error) == ("FAILED", "JobNotStopped")
    assert account.running == [f"{NEW_CONFIG}-train"]
    assert f"The job {NEW_CONFIG}-train" in str(ended.cause)
    assert "sagemaker:StopTrainingJob" in str(ended.cause)


def message(ended: Any) -> dict[str, str]:
    """The message that Notify sends about the run."""
    from notify.run_message import compose

    sent = compose(ended.payloads["Notify"]["run"], execution=ended.payloads["Notify"]["execution"])
    return {"subject": sent.subject, "text": sent.text}


def test_an_update_whose_answer_got_lost_keeps_the_way_back(definition: dict[str, Any]) -> None:
    endpoint = Endpoint(OLD_CONFIG)
    broken = {"SmokeTest": TaskError("SmokeTestFailed", "wrong shape")}
    account = SageMaker(tasks(endpoint, broken=broken), {"UpdateEndpoint": [lost_answer]})
    ended = interpret(definition, account.tasks)
    assert (ended.status, ended.error) == ("FAILED", "SmokeTestFailed")
    assert endpoint.config == OLD_CONFIG
    assert endpoint.calls == [f"update to {NEW_CONFIG}", f"update to {OLD_CONFIG}"]


def test_a_creation_whose_answer_got_lost_is_taken_back_whole(definition: dict[str, Any]) -> None:
    endpoint = Endpoint()
    broken = {"SmokeTest": TaskError("SmokeTestFailed", "wrong shape")}
    account = SageMaker(tasks(endpoint, broken=broken), {"CreateEndpoint": [lost_answer]})
    assert interpret(definition, account.tasks).error == "SmokeTestFailed"
    assert endpoint.calls == ["create", "delete"]


def test_a_way_back_whose_answer_got_lost_is_waited_for(definition: dict[str, Any]) -> None:
    endpoint = Endpoint(OLD_CONFIG)
    broken = {"SmokeTest": TaskError("SmokeTestFailed", "wrong shape")}
    account = SageMaker(tasks(endpoint, broken=broken), {"RestoreEndpoint": [lost_answer]})
    ended = interpret(definition, account.tasks)
    assert ended.error == "SmokeTestFailed"
    assert "DescribeRollback" in ended.path
    assert "too" not in str(ended.cause), "nothing else failed"
    assert (endpoint.config, endpoint.status) == (OLD_CONFIG, "InService")


def test_a_description_that_is_refused_for_a_while_is_asked_for_again(definition: dict[str, Any]) -> None:
    endpoint = Endpoint(OLD_CONFIG)
    account = SageMaker(tasks(endpoint), {"DescribeEndpoint": [server_error] * 14})
    assert interpret(definition, account.tasks).status == "SUCCEEDED"
    account = SageMaker(tasks(endpoint), {"DescribeEndpoint": [server_error] * 20})
    ended = interpret(definition, account.tasks)
    assert (ended.status, ended.error) == ("FAILED", "SageMaker.AmazonSageMakerException")


class Stuck(Endpoint):
    """An endpoint whose changes never end, from one of its calls on."""

    def __init__(self, config: str | None, *, status: str = "InService", calls: int = 0) -> None:
        super().__init__(config, status)
        self.moves = calls

    def describe(self, payload: dict[str, Any]) -> dict[str, Any]:
        status = self.status
        seen = super().describe(payload)
        if len(self.calls) >= self.moves:
            self.status = status
        return seen


@pytest.mark.parametrize(
    ("endpoint", "error", "words"),
    [
        (Stuck(OLD_CONFIG, status="Updating"), "EndpointBusy", "start the execution again once it is InService"),
        (Stuck(OLD_CONFIG, calls=1), "RolloutNotFinished", "once it is InService, start the execution again"),
        (Stuck(OLD_CONFIG, calls=2), "SmokeTestFailed", f"to go back to is {OLD_CONFIG}, with UpdateEndpoint"),
    ],
    ids=["before", "rollout", "rollback"],
)
def test_every_wait_for_the_endpoint_ends(definition: dict[str, Any], endpoint: Stuck, error: str, words: str) -> None:
    known = tasks(endpoint, broken={"SmokeTest": TaskError("SmokeTestFailed", "wrong shape")})
    ended = interpret(definition, known)
    assert (ended.status, ended.error) == ("FAILED", error)
    assert words in str(ended.cause)
    assert ended.events < MAX_EVENTS / 3


# --- SageMaker Debugger in accounts of every form ---------------------------------------------------------------------


class NoStatuses(Rules):
    """An account that takes the request and evaluates nothing; `ignored` are the members that it drops silently."""

    def __init__(self, *ignored: str) -> None:
        super().__init__()
        self.ignored = ignored

    def describe(self, payload: dict[str, Any]) -> dict[str, Any]:
        described = super().describe(payload)
        kept = {"DebugHookConfig": described["DebugHookConfig"]}
        return {name: value for name, value in kept.items() if name not in self.ignored}


@pytest.mark.parametrize(
    ("rules", "job"),
    [
        (NoStatuses(), "RulesOnTensors"),
        (NoStatuses("DebugHookConfig"), "Rules"),
        (Rules("Error", all_of_them=True), "RulesOnTensors"),
        (Rules("Stopped", all_of_them=True), "RulesOnTensors"),
    ],
    ids=["no statuses", "ignored", "all in error", "all stopped"],
)
def test_an_account_that_takes_debuggers_rules_and_evaluates_none_gets_the_own_job(
    definition: dict[str, Any], rules: Rules, job: str
) -> None:
    ended = interpret(definition, tasks(Endpoint(), access=True, rules=rules))
    assert (ended.status, ended.error) == ("SUCCEEDED", None), ended.cause
    assert ended.payloads["Verdict"]["debugger"] == "own"
    assert job in ended.path
    tensors = ended.payloads[job]["ProcessingInputs"][1]["S3Input"]["S3Uri"]
    expected = {
        "Rules": "runs/run-1/training/whippet-dev-run-1-train/output/output.tar.gz",
        "RulesOnTensors": "debug/run-1/whippet-dev-run-1-train/debug-output/",
    }
    assert tensors == f"s3://data-bucket/{expected[job]}"


def test_a_rule_that_was_evaluated_keeps_sagemakers_word_for_the_others(definition: dict[str, Any]) -> None:
    ended = interpret(definition, tasks(Endpoint(), access=True, rules=Rules("Error")))
    assert ended.payloads["Verdict"]["debugger"] == "managed"
    assert not {"Rules", "RulesOnTensors"} & set(ended.path)


@pytest.mark.parametrize("rules", [NoStatuses(), Rules("Error", all_of_them=True)], ids=["no statuses", "all in error"])
def test_with_managed_the_verdict_says_what_was_not_evaluated(synthesise: Any, rules: Rules) -> None:
    managed = synthesise(**{"debugger.mode": "managed"}).definition()
    ended = interpret(managed, tasks(Endpoint(), access=True, rules=rules))
    assert (ended.status, ended.payloads["Verdict"]["debugger"]) == ("SUCCEEDED", "managed")


def test_a_closed_account_goes_on_at_once_and_a_busy_one_is_asked_again(definition: dict[str, Any]) -> None:
    def refuse(*_: Any) -> Any:
        raise NO_DEBUGGER

    account = SageMaker(tasks(Endpoint(), access=True), {"TrainManaged": [refuse]})
    ended = interpret(definition, account.tasks)
    assert ended.calls.count("TrainManaged") == 1
    assert "Rules" in ended.path


# --- a person's approval ----------------------------------------------------------------------------------------------

WAITING = verdict(approval="PendingManualApproval", in_service=OLD_CONFIG)


@pytest.mark.parametrize("accepted", [True, False])
def test_a_model_that_was_overtaken_while_it_waited_is_judged_again(asking: dict[str, Any], accepted: bool) -> None:
    endpoint = Endpoint(OLD_CONFIG)
    better = "whippet-dev-better"

    def released_meanwhile(_: dict[str, Any]) -> Any:
        endpoint.config = better
        return {"approved": True}

    again = WAITING | {"accepted": accepted, "cause": "It is worse than the one in service.", "in_service": better}
    known = tasks(endpoint) | {
        "Verdict": lambda _: WAITING,
        "AskApproval": released_meanwhile,
        "VerdictAgain": lambda _: again,
    }
    ended = interpret(asking, known)
    assert "VerdictAgain" in ended.path
    if accepted:
        assert (ended.status, endpoint.config) == ("SUCCEEDED", NEW_CONFIG)
        assert ended.payloads["ApproveModel"]["ModelApprovalStatus"] == "Approved"
        return
    assert (ended.status, ended.error, endpoint.config) == ("FAILED", "ModelRejected", better)
    assert "another model had come into service" in str(ended.cause)
    assert "It is worse than the one in service." in str(ended.cause)
    assert ended.payloads["RejectModel"]["ModelApprovalStatus"] == "Rejected"


@pytest.mark.parametrize("before", [None, OLD_CONFIG])
def test_a_model_that_nothing_overtook_is_judged_once(asking: dict[str, Any], before: str | None) -> None:
    known = tasks(Endpoint(before)) | {"Verdict": lambda _: WAITING | {"in_service": before or ""}}
    ended = interpret(asking, known)
    assert (ended.status, ended.error) == ("SUCCEEDED", None), ended.cause
    assert "VerdictAgain" not in ended.path


def test_a_search_among_backbones_runs_to_its_end(synthesise: Any) -> None:
    definition = synthesise(**{"tuning.backbones": "resnet18,resnet50"}).definition()
    best = {"learning_rate": "0.01", "batch_size": "32", "backbone": "resnet18"}
    found = {"BestTrainingJob": {"TrainingJobName": "t-1", "TunedHyperParameters": best}}
    ended = interpret(definition, tasks(Endpoint()) | {"Tune": lambda _: found})
    assert (ended.status, ended.error) == ("SUCCEEDED", None), ended.cause
    assert ended.payloads["Features"]["Environment"]["WHIPPET_BACKBONES"] == "resnet18,resnet50"
    assert ended.payloads["Train"]["HyperParameters"]["backbone"] == "resnet18"
