"""A run that was ended from outside: nothing of it runs on, what served before serves, and people are told."""

from __future__ import annotations

import json

import pytest
from shared.custom_resource import OutOfTime
from tidy_up.endpoint import EndpointNotRestored

import contract
from tests.fakes.autoscaling import PLAN
from tests.fakes.ended_account import BEFORE, DOCUMENT, EXECUTION, OLD, OWN, RUN, EndedAccount
from tests.fakes.lambda_context import Context
from tests.fakes.s3 import client_error


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, context: Context, pauses: list[float]) -> EndedAccount:
    return EndedAccount(monkeypatch, context)


def test_a_run_that_is_stopped_in_a_job_leaves_no_job(environment: EndedAccount) -> None:
    tidied = environment.end("Tune", DOCUMENT, error="StoppedByCommand", cause="jo stopped it")
    assert set(environment.sagemaker.jobs) == {f"{OWN}x-train", "whippet-dev-other"}, "others' jobs go on"
    assert tidied is not None
    assert tidied["done"][:2] == [f"the job {OWN} was stopped", f"the job {OWN}-train-2 was stopped"]
    (mail,) = environment.mails
    assert mail["Subject"] == f"whippet: run {RUN} was stopped in Tune"
    assert "Reason (StoppedByCommand): jo stopped it" in mail["Message"]
    assert f"- the job {OWN} was stopped" in mail["Message"]
    assert "states/home" in mail["Message"]
    assert json.loads(environment.s3.objects[contract.tidied_key(RUN)]) == tidied


@pytest.mark.parametrize("status", ["Approved", "PendingManualApproval"])
def test_its_model_package_is_rejected(environment: EndedAccount, status: str) -> None:
    environment.sagemaker.packages["arn:1"][1] = status
    environment.end("AskApproval", DOCUMENT, status="TIMED_OUT", error="States.Timeout")
    assert environment.sagemaker.packages == {"arn:2": ["Run other", "Approved"], "arn:1": [f"Run {RUN}", "Rejected"]}
    assert environment.mails[0]["Subject"] == f"whippet: run {RUN} ran out of time in AskApproval"


@pytest.mark.parametrize("status", ["Creating", "InService", "Failed"])
def test_the_endpoint_of_a_first_rollout_is_deleted(environment: EndedAccount, status: str) -> None:
    environment.sagemaker.config, environment.sagemaker.status = OWN, status
    environment.end("DescribeRollout", DOCUMENT)
    assert environment.serves is None
    assert environment.sagemaker.calls[-3:] == [
        "delete endpoint",
        f"delete configuration {OWN}",
        f"delete model {OWN}",
    ]
    assert [(each.kind, each.run, each.replaced) for each in environment.records] == [("failed", "", RUN)]


@pytest.mark.parametrize("status", ["Updating", "InService"])
def test_an_endpoint_that_served_before_goes_back(environment: EndedAccount, status: str) -> None:
    environment.sagemaker.config, environment.sagemaker.status = OWN, status
    recorded = DOCUMENT | BEFORE | {"recorded": {"key": "releases/…"}}
    tidied = environment.end("SmokeTest", recorded)
    assert (environment.sagemaker.config, environment.sagemaker.status) == (OLD, "InService")
    assert environment.sagemaker.calls.count(f"update to {OLD}") == 1
    assert tidied is not None
    assert any(f"went back to {OLD}" in each for each in tidied["done"])
    assert [(each.kind, each.run, each.replaced) for each in environment.records] == [("failed", "old-1", RUN)]
    assert environment.holder == contract.NO_HOLDER


def test_a_real_time_endpoint_that_was_being_replaced_comes_back(environment: EndedAccount) -> None:
    """Stopped between its deletion and the creation of the serverless one, there is no endpoint at all."""
    environment.sagemaker.config, environment.sagemaker.status = OLD, "Deleting"
    served = {"served": {"ProductionVariants": [{"InitialInstanceCount": 1}]}}
    environment.end("WaitForEndpoint", DOCUMENT | BEFORE | served)
    assert (environment.sagemaker.config, environment.sagemaker.status) == (OLD, "InService")


def test_an_endpoint_that_somebody_deleted_stays_deleted(environment: EndedAccount) -> None:
    environment.end("UpdateEndpoint", DOCUMENT | BEFORE)
    assert environment.serves is None


def test_an_endpoint_that_the_run_had_not_changed_yet_is_left_alone(environment: EndedAccount) -> None:
    environment.sagemaker.config = OLD
    environment.end("CreateEndpointConfig", DOCUMENT)
    assert environment.serves == OLD
    assert f"delete model {OWN}" in environment.sagemaker.calls
    assert environment.records == []


def test_without_the_lock_nothing_of_the_release_is_touched(environment: EndedAccount) -> None:
    """Another run, which took the lock over, may have put its model into service since."""
    environment.hold("arn:another")
    environment.sagemaker.config = OWN
    environment.end("SmokeTest", DOCUMENT | BEFORE)
    assert environment.serves == OWN
    assert not [call for call in environment.sagemaker.calls if not call.startswith("stop")]
    assert environment.holder == "arn:another"


def test_a_model_that_passed_its_smoke_test_stays(environment: EndedAccount) -> None:
    environment.sagemaker.config = OWN
    tidied = environment.end("Retire", DOCUMENT | BEFORE | {"smoke_test": {"photo": "1.jpg"}})
    assert environment.serves == OWN
    assert environment.sagemaker.packages["arn:1"][1] == "Approved"
    assert tidied is not None
    assert "stays in service" in tidied["done"][-1]
    assert environment.holder == contract.NO_HOLDER


def test_a_run_that_was_stopped_during_its_rollback_is_rolled_back(environment: EndedAccount) -> None:
    environment.sagemaker.config = OWN
    failed = {"failure": {"SmokeTest": {"Error": "SmokeTestFailed", "Cause": "no"}}}
    environment.end("DescribeBeforeRollback", DOCUMENT | BEFORE | failed)
    assert environment.serves == OLD


def test_a_run_that_told_of_its_failure_is_not_told_of_again(environment: EndedAccount) -> None:
    """It may still hold the lock, where giving it back failed."""
    outcome = {"outcome": {"status": "failed"}, "failure": {"Train": {"Error": "States.TaskFailed", "Cause": "no"}}}
    assert environment.end("Failed", DOCUMENT | outcome, status="FAILED", error="States.TaskFailed") is None
    assert environment.mails == []
    assert environment.sagemaker.calls == []
    assert environment.holder == contract.NO_HOLDER


def test_a_failure_that_no_catch_takes_is_told(environment: EndedAccount) -> None:
    environment.end("RememberEndpoint", DOCUMENT, status="FAILED", error="States.Runtime", cause="no such path")
    (mail,) = environment.mails
    assert mail["Subject"] == f"whippet: run {RUN} failed in RememberEndpoint"
    assert "Reason (States.Runtime): no such path" in mail["Message"]
    assert "Look at the execution in the console" in mail["Message"]


def test_a_run_that_had_hardly_begun_is_told(environment: EndedAccount) -> None:
    environment.history = []
    tidied = environment.end("Start", {"epochs": 3})
    assert tidied is not None
    assert (tidied["state"], tidied["run"]) == ("Start", RUN)


def test_a_destroyed_stack_is_left_to_its_clean_up(environment: EndedAccount) -> None:
    environment.sagemaker.config = OWN
    assert environment.end("SmokeTest", DOCUMENT, error=contract.STACK_DESTROYED) is None
    assert (environment.sagemaker.calls, environment.mails, environment.holder) == ([], [], EXECUTION)


def test_an_event_that_comes_twice_is_told_once(environment: EndedAccount) -> None:
    first = environment.end("Tune", DOCUMENT)
    assert environment.end("Tune", DOCUMENT) == first
    assert len(environment.mails) == 1


def test_a_second_attempt_goes_on_where_the_first_ran_out_of_time(environment: EndedAccount) -> None:
    environment.sagemaker.config = OWN
    environment.context.remaining = 105_000
    with pytest.raises(OutOfTime, match="Lambda invokes the function again"):
        environment.end("SmokeTest", DOCUMENT | BEFORE)
    assert environment.mails == []
    assert environment.holder == EXECUTION, "nobody else releases meanwhile"
    environment.context.remaining = 900_000
    environment.end("SmokeTest", DOCUMENT | BEFORE)
    assert environment.serves == OLD
    assert len(environment.mails) == 1


def test_an_earlier_model_that_sagemaker_does_not_bring_back_is_an_error(environment: EndedAccount) -> None:
    """After Lambda's last attempt the error goes to the topic."""
    environment.sagemaker.config, environment.sagemaker.stays = OWN, True
    with pytest.raises(EndpointNotRestored, match=f"update it to {OLD}"):
        environment.end("SmokeTest", DOCUMENT | BEFORE)
    assert environment.sagemaker.calls.count(f"update to {OLD}") == 1


def scaled(environment: EndedAccount, monkeypatch: pytest.MonkeyPatch) -> EndedAccount:
    monkeypatch.setenv("SCALING", json.dumps(PLAN))
    return environment


def test_a_model_that_goes_back_scales_again(environment: EndedAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run may have ended the scaling for an update to another instance type."""
    scaled(environment, monkeypatch).sagemaker.config = OWN
    tidied = environment.end("SmokeTest", DOCUMENT | BEFORE | {"instances": {"keep": True}})
    assert tidied is not None
    assert environment.served() == OLD
    assert environment.sagemaker.kept == contract.retained_properties()
    assert environment.autoscaling.policy == contract.scaling_policy(PLAN)
    assert "the endpoint scales between 1 and 4 instances" in tidied["done"]


def test_a_model_that_passed_its_smoke_test_scales(environment: EndedAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    scaled(environment, monkeypatch).sagemaker.config = OWN
    smoke = {"smoke_test": {"photo": "cat/1.jpg"}}
    assert environment.end("Retire", DOCUMENT | BEFORE | smoke) is not None
    assert environment.autoscaling.registered == contract.scalable_range(PLAN)


def test_what_a_stopped_run_did_not_touch_does_not_begin_to_scale(
    environment: EndedAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    scaled(environment, monkeypatch).hold("another run")
    environment.sagemaker.config = OLD
    environment.end("Train", DOCUMENT | BEFORE)
    assert environment.autoscaling.registered is None


def test_scaling_that_cannot_begin_is_told(environment: EndedAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    scaled(environment, monkeypatch).sagemaker.config = OWN
    environment.autoscaling.refusal = client_error("AccessDeniedException", "is not authorized")
    environment.end("SmokeTest", DOCUMENT | BEFORE)
    (mail,) = environment.mails
    assert "the endpoint whippet-dev does not scale until the next release: is not authorized" in mail["Message"]


SHADOW_CONFIG, SHADOW_MODEL = contract.shadow_config(OLD, RUN), contract.shadow_model(OWN)
SHADOWED = DOCUMENT | BEFORE | {"shadow": {"config": SHADOW_CONFIG, "model": SHADOW_MODEL, "said": ""}}


@pytest.mark.parametrize("status", ["Updating", "InService"])
def test_a_shadow_is_taken_away(environment: EndedAccount, status: str) -> None:
    environment.sagemaker.config, environment.sagemaker.status = SHADOW_CONFIG, status
    tidied = environment.end("ShadowTime", SHADOWED)
    assert (environment.sagemaker.config, environment.sagemaker.status) == (OLD, "InService")
    assert environment.sagemaker.calls[-4:] == [
        f"delete configuration {SHADOW_CONFIG}",
        f"delete model {SHADOW_MODEL}",
        f"delete configuration {OWN}",
        f"delete model {OWN}",
    ]
    assert tidied is not None
    assert "the endpoint whippet-dev has no shadow of the run's model any more" in tidied["done"]
    assert environment.sagemaker.packages["arn:1"][1] == "Rejected"
    assert not environment.records, "its model answered nobody"


def test_a_shadow_that_had_gone_leaves_the_model_in_service_alone(environment: EndedAccount) -> None:
    environment.sagemaker.config = OLD
    environment.end("UpdateEndpoint", SHADOWED)
    assert environment.serves == OLD
    assert not [call for call in environment.sagemaker.calls if call.startswith("update")]


def test_a_shadow_that_the_run_could_not_take_away_is_tried_again(environment: EndedAccount) -> None:
    """The run told of it itself and gave the lock back."""
    environment.sagemaker.config = SHADOW_CONFIG
    environment.hold("")
    failure = {"ShadowNotRemoved": {"Error": "ShadowNotRemoved", "Cause": "…"}}
    told = SHADOWED | {"failure": failure, "outcome": {"status": "failed"}}
    assert environment.end("Failed", told, status="FAILED") is None
    assert environment.sagemaker.config == OLD

    # and nothing of a run that told of another failure
    environment.sagemaker.config = SHADOW_CONFIG
    environment.end("Failed", told | {"failure": {"Verdict": {"Error": "…", "Cause": "…"}}}, status="FAILED")
    assert environment.sagemaker.config == SHADOW_CONFIG
