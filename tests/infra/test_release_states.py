"""The release: the endpoint is created, updated, waited for, and given back to its model before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cli.definition import Definition
from cli.release_check import FIRST_OF_END, FIRST_OF_RELEASE
from tests.infra.asl_walker import TaskError, Walk, walk
from tests.infra.fake_run import NEW_CONFIG, OLD_CONFIG, PACKAGE, Endpoint, tasks
from tests.infra.template import Template


def test_the_first_run_creates_the_endpoint(definition: dict[str, Any]) -> None:
    endpoint = Endpoint()
    result = walk(definition, tasks(endpoint), {})
    assert result.status == "SUCCEEDED"
    assert endpoint.calls == ["create"]
    assert endpoint.config == NEW_CONFIG
    assert "Features" in result.path


def test_a_later_run_updates_the_endpoint(definition: dict[str, Any]) -> None:
    endpoint = Endpoint(OLD_CONFIG)
    result = walk(definition, tasks(endpoint), {"epochs": 3})
    assert result.status == "SUCCEEDED"
    assert endpoint.calls == [f"update to {NEW_CONFIG}"]
    payloads = dict(result.payloads)
    assert payloads["CheckDataset"]["overrides"] == {"epochs": 3}
    assert payloads["Retire"] == {"current": NEW_CONFIG, "previous": OLD_CONFIG}


def test_a_real_time_endpoint_is_replaced_since_it_cannot_turn_serverless(definition: dict[str, Any]) -> None:
    endpoint = Endpoint(OLD_CONFIG, serverless=False)
    result = walk(definition, tasks(endpoint), {})
    assert result.status == "SUCCEEDED"
    assert endpoint.calls == ["delete", "create"]
    assert dict(result.payloads)["Retire"] == {"current": NEW_CONFIG, "previous": OLD_CONFIG}


def test_a_replaced_real_time_endpoint_comes_back_after_a_failed_smoke_test(definition: dict[str, Any]) -> None:
    endpoint = Endpoint(OLD_CONFIG, serverless=False)
    result = walk(definition, tasks(endpoint, broken={"SmokeTest": TaskError("SmokeTestFailed", "wrong shape")}), {})
    assert result.error == "SmokeTestFailed"
    assert endpoint.calls == ["delete", "create", f"update to {OLD_CONFIG}"]


def test_a_served_configuration_that_somebody_deleted_stops_no_update(definition: dict[str, Any]) -> None:
    endpoint = Endpoint(OLD_CONFIG)
    gone = TaskError("SageMaker.SageMakerException", 'Could not find endpoint configuration "arn:…".')
    assert walk(definition, tasks(endpoint, broken={"DescribeServedConfig": gone}), {}).status == "SUCCEEDED"
    assert endpoint.calls == [f"update to {NEW_CONFIG}"]


@pytest.mark.parametrize("serverless", [True, False])
def test_any_endpoint_becomes_a_real_time_one(realtime: dict[str, Any], serverless: bool) -> None:
    endpoint = Endpoint(OLD_CONFIG, serverless=serverless)
    assert walk(realtime, tasks(endpoint), {}).status == "SUCCEEDED"
    assert endpoint.calls == [f"update to {NEW_CONFIG}"]


def test_the_configuration_says_what_serves(definition: dict[str, Any], realtime: dict[str, Any]) -> None:
    payloads = [dict(walk(each, tasks(Endpoint()), {}).payloads) for each in (definition, realtime)]
    (free,), (paid,) = (payload["CreateEndpointConfig"]["ProductionVariants"] for payload in payloads)
    assert free["ServerlessConfig"] == {"MemorySizeInMB": 3072, "MaxConcurrency": 5}
    assert not {"InstanceType", "InitialInstanceCount"} & free.keys()
    assert (paid["InstanceType"], paid["InitialInstanceCount"]) == ("ml.m5.large", 1)
    assert "ServerlessConfig" not in paid


@pytest.mark.parametrize("status", ["Failed", "OutOfService", "UpdateRollbackFailed"])
def test_a_broken_endpoint_is_deleted_and_created_anew(definition: dict[str, Any], status: str) -> None:
    endpoint = Endpoint(OLD_CONFIG, status)
    assert walk(definition, tasks(endpoint), {}).status == "SUCCEEDED"
    assert endpoint.calls == ["delete", "create"]


@pytest.mark.parametrize("status", ["Creating", "Updating"])
def test_a_busy_endpoint_is_waited_for(definition: dict[str, Any], status: str) -> None:
    endpoint = Endpoint(OLD_CONFIG, status)
    result = walk(definition, tasks(endpoint), {})
    assert result.status == "SUCCEEDED"
    assert result.path.index("WaitForEndpoint") < result.path.index("UpdateEndpoint")


def test_a_run_that_finds_the_endpoint_taken_waits_for_its_turn(definition: dict[str, Any]) -> None:
    endpoint = Endpoint(OLD_CONFIG)
    attempts = []

    def update(payload: dict[str, Any]) -> Any:
        attempts.append(payload)
        if len(attempts) == 1:
            raise TaskError("SageMaker.AmazonSageMakerException", 'Cannot update in-progress endpoint "arn".')
        return endpoint.update(payload)

    result = walk(definition, tasks(endpoint) | {"UpdateEndpoint": update}, {})
    assert result.status == "SUCCEEDED"
    assert len(attempts) == 2


def test_an_update_that_sagemaker_rolled_back_fails_the_run(definition: dict[str, Any]) -> None:
    endpoint = Endpoint(OLD_CONFIG)
    endpoint.rolls_back = True
    result = walk(definition, tasks(endpoint), {})
    assert (result.status, result.error) == ("FAILED", "RolloutFailed")
    assert OLD_CONFIG in result.cause
    assert endpoint.config == OLD_CONFIG
    endpoint = Endpoint(OLD_CONFIG)
    endpoint.rolls_back, endpoint.reason = True, "The container did not pass the ping health check."
    result = walk(definition, tasks(endpoint), {})
    assert "ping health check" in result.cause
    package = dict(result.payloads)["RejectFailedRollout"]
    assert (package["ModelPackageArn"], package["ModelApprovalStatus"]) == (PACKAGE, "Rejected")
    assert package["ApprovalDescription"].startswith("Its rollout failed")


@pytest.mark.parametrize("settings", [{}, {"serving.mode": "realtime", "release.approval": "manual"}], ids=str)
@pytest.mark.parametrize("smoke_test", [None, "wrong shape"])
def test_no_failed_run_leaves_its_package_approved(
    synthesise: Callable[..., Template], settings: dict[str, str], smoke_test: str | None
) -> None:
    """Whichever call fails once the model is registered, the registry shows it as rejected, and says why."""
    definition = synthesise(**settings).definition()
    failing = {"SmokeTest": TaskError("SmokeTestFailed", smoke_test)} if smoke_test else {}
    tried = 0
    for before in (None, OLD_CONFIG):

        def run(broken: dict[str, TaskError], before: str | None = before) -> Walk:
            endpoint = Endpoint(before, serverless=settings == {})
            return walk(definition, tasks(endpoint, broken=failing | broken), {})

        path = run({}).path
        later = path[path.index("RegisterModel") + 1 : path.index("Report")]
        calls = [name for name in later if definition["States"][name]["Type"] == "Task"]
        for name in calls:
            if name.startswith("Reject"):
                continue
            result = run({name: TaskError("SageMaker.SageMakerException", "not authorized")})
            if result.status == "SUCCEEDED":
                continue
            tried += 1
            (package,) = [payload for state, payload in result.payloads if state.startswith("Reject")]
            assert package["ModelApprovalStatus"] == "Rejected", name
            assert 0 < len(package["ApprovalDescription"]) <= 1024, name
    assert tried > 10


def test_a_failed_smoke_test_brings_the_previous_model_back(definition: dict[str, Any]) -> None:
    endpoint = Endpoint(OLD_CONFIG)
    result = walk(definition, tasks(endpoint, broken={"SmokeTest": TaskError("SmokeTestFailed", "wrong shape")}), {})
    assert (result.status, result.error) == ("FAILED", "SmokeTestFailed")
    assert "wrong shape" in result.cause
    assert endpoint.config == OLD_CONFIG
    assert endpoint.calls == [f"update to {NEW_CONFIG}", f"update to {OLD_CONFIG}"]


def test_a_failed_smoke_test_of_the_first_model_removes_the_endpoint(definition: dict[str, Any]) -> None:
    endpoint = Endpoint()
    result = walk(definition, tasks(endpoint, broken={"SmokeTest": TaskError("SmokeTestFailed", "wrong shape")}), {})
    assert result.error == "SmokeTestFailed"
    assert endpoint.calls == ["create", "delete"]


def recorded(result: Walk) -> list[tuple[str, str, str, str]]:
    """What the run wrote down: kind, configuration from then on, the one before, and why."""
    records = [payload for name, payload in result.payloads if name.startswith("Record")]
    return [(each["kind"], each["config"], each["replaced"], each["why"]) for each in records]


@pytest.mark.parametrize("before", [None, OLD_CONFIG])
def test_a_release_is_recorded_before_anything_can_go_wrong(definition: dict[str, Any], before: str | None) -> None:
    result = walk(definition, tasks(Endpoint(before)), {})
    assert recorded(result) == [("released", NEW_CONFIG, before or "", "Good.")]
    assert result.path.index("RecordRelease") < result.path.index("SmokeTest")


@pytest.mark.parametrize("before", [None, OLD_CONFIG])
def test_a_model_that_is_taken_back_is_recorded_too(definition: dict[str, Any], before: str | None) -> None:
    broken = {"SmokeTest": TaskError("SmokeTestFailed", "wrong shape")}
    result = walk(definition, tasks(Endpoint(before), broken=broken), {})
    assert recorded(result)[1:] == [("failed", before or "", NEW_CONFIG, "wrong shape")]


def test_a_model_that_is_taken_back_is_no_longer_approved(definition: dict[str, Any]) -> None:
    broken = {"SmokeTest": TaskError("SmokeTestFailed", "wrong shape")}
    result = walk(definition, tasks(Endpoint(OLD_CONFIG), broken=broken), {})
    package = dict(result.payloads)["RejectFailedModel"]
    assert (package["ModelPackageArn"], package["ModelApprovalStatus"]) == (PACKAGE, "Rejected")
    assert result.path.index("RestoreEndpoint") < result.path.index("RejectFailedModel"), "the endpoint comes first"


def test_what_another_run_took_out_of_service_is_not_recorded_as_a_rollback(definition: dict[str, Any]) -> None:
    endpoint = Endpoint(OLD_CONFIG)

    def smoke_test(_: dict[str, Any]) -> Any:
        endpoint.config = "whippet-dev-other"
        raise TaskError("SmokeTestFailed", "labels of another model")

    assert len(recorded(walk(definition, tasks(endpoint) | {"SmokeTest": smoke_test}, {}))) == 1


@pytest.mark.parametrize(
    ("smoke_test", "error"), [({}, ""), ({"SmokeTest": TaskError("SmokeTestFailed", "no")}, "Smoke")]
)
def test_a_record_that_cannot_be_written_changes_nothing(
    definition: dict[str, Any], smoke_test: dict[str, TaskError], error: str
) -> None:
    denied = TaskError("ClientError", "Access Denied")
    endpoint = Endpoint(OLD_CONFIG)
    broken = {"RecordRelease": denied, "RecordRollback": denied, **smoke_test}
    result = walk(definition, tasks(endpoint, broken=broken), {})
    assert result.error.startswith(error)
    assert endpoint.config == (OLD_CONFIG if smoke_test else NEW_CONFIG)


def test_a_release_is_told_from_what_comes_before_and_after(definition: dict[str, Any]) -> None:
    """`whippet rollback` leaves the endpoint alone while a run is in one of these states."""
    known = Definition(definition["States"])
    releasing = {
        state for state in definition["States"] if known.is_between(state, first=FIRST_OF_RELEASE, end=FIRST_OF_END)
    }
    assert releasing >= {"CreateModel", "UpdateEndpoint", "WaitForRollout", "SmokeTest", "RestoreEndpoint", "Retire"}
    assert not releasing & {"CheckDataset", "Train", "Verdict", "RegisterModel", "Report", "Notify", "Failed"}


def test_a_rollback_leaves_another_runs_model_alone(definition: dict[str, Any]) -> None:
    endpoint = Endpoint(OLD_CONFIG)

    def smoke_test(_: dict[str, Any]) -> Any:
        endpoint.config = "whippet-dev-other"
        raise TaskError("SmokeTestFailed", "labels of another model")

    result = walk(definition, tasks(endpoint) | {"SmokeTest": smoke_test}, {})
    assert result.error == "SmokeTestFailed"
    assert endpoint.config == "whippet-dev-other"


class Slow(Endpoint):
    """An endpoint whose change by a run ends only after so many looks; `ends_with` is what it then serves."""

    def __init__(self, config: str | None, *, looks: int, ends_with: str = NEW_CONFIG) -> None:
        super().__init__(config)
        self.looks, self.ends_with = looks, ends_with

    def describe(self, payload: dict[str, Any]) -> dict[str, Any]:
        changing = self.calls and self.status in ("Creating", "Updating")
        if not changing or len(self.calls) > 1:
            return super().describe(payload)
        self.looks -= 1
        if self.looks <= 0:
            self.status, self.config = "InService", self.ends_with
        return self.look(payload)


@pytest.mark.parametrize(("before", "change"), [(None, "delete"), (OLD_CONFIG, f"update to {OLD_CONFIG}")])
def test_a_model_whose_rollout_ends_after_the_run_gave_up_is_taken_back(
    definition: dict[str, Any], before: str | None, change: str
) -> None:
    endpoint = Slow(before, looks=320)
    result = walk(definition, tasks(endpoint), {}, limit=4000)
    assert (result.status, result.error) == ("FAILED", "RolloutNotFinished")
    assert endpoint.calls[1:] == [change]
    assert "SmokeTest" not in result.path
    assert recorded(result) == [], "it was never recorded as released"
    assert dict(result.payloads)["RejectFailedModel"]["ModelApprovalStatus"] == "Rejected"


def test_a_rollout_that_sagemaker_takes_back_after_the_run_gave_up_is_left_alone(definition: dict[str, Any]) -> None:
    endpoint = Slow(OLD_CONFIG, looks=320, ends_with=OLD_CONFIG)
    result = walk(definition, tasks(endpoint), {}, limit=4000)
    assert result.error == "RolloutNotFinished"
    assert (endpoint.config, len(endpoint.calls)) == (OLD_CONFIG, 1)
    assert dict(result.payloads)["RejectFailedModel"]["ModelApprovalStatus"] == "Rejected"


def test_a_rollout_that_does_not_end_in_two_further_hours_is_told(definition: dict[str, Any]) -> None:
    result = walk(definition, tasks(Slow(OLD_CONFIG, looks=10_000)), {}, limit=8000)
    assert result.error == "RolloutNotFinished"
    assert "Then RollbackNotBegun failed, too" in result.cause
    assert f"to go back to is {OLD_CONFIG}, with UpdateEndpoint" in result.cause


@pytest.mark.parametrize(("before", "change"), [(None, "delete"), (OLD_CONFIG, f"update to {OLD_CONFIG}")])
def test_a_model_whose_rollout_may_not_be_looked_at_does_not_come_into_service(
    definition: dict[str, Any], before: str | None, change: str
) -> None:
    endpoint = Endpoint(before)
    refusal = TaskError("SageMaker.AmazonSageMakerException", "is not authorized to perform")
    result = walk(definition, tasks(endpoint, broken={"DescribeRollout": refusal}), {})
    assert "is not authorized" in result.cause
    assert endpoint.calls[1:] == [change]


def test_a_release_that_fails_while_a_model_sleeps_leaves_its_name_free(pausing: dict[str, Any]) -> None:
    """The next request then wakes the model that slept."""
    endpoint = Endpoint()
    endpoint.after_creation, endpoint.reason = "Failed", "The container did not pass the ping health check."
    result = walk(pausing, tasks(endpoint), {})
    assert (result.status, result.error) == ("FAILED", "RolloutFailed")
    assert "ping health check" in result.cause
    assert endpoint.calls == ["create", "delete"]


def test_a_failed_endpoint_that_cannot_be_deleted_is_told_with_the_first_reason(pausing: dict[str, Any]) -> None:
    endpoint = Endpoint()
    endpoint.after_creation, endpoint.reason = "Failed", "The container did not pass the ping health check."
    refusal = TaskError("SageMaker.AmazonSageMakerException", "Rate exceeded")
    result = walk(pausing, tasks(endpoint, broken={"DeleteFailedEndpoint": refusal}), {})
    assert result.error == "RolloutFailed"
    assert "ping health check" in result.cause


def test_an_update_that_was_rolled_back_deletes_no_endpoint(pausing: dict[str, Any]) -> None:
    endpoint = Endpoint(OLD_CONFIG)
    endpoint.rolls_back = True
    assert walk(pausing, tasks(endpoint), {}).error == "RolloutRolledBack"
    assert endpoint.calls == [f"update to {NEW_CONFIG}"]


def test_a_request_that_wakes_the_model_during_a_release_is_overtaken(pausing: dict[str, Any]) -> None:
    endpoint = Endpoint()

    def create(payload: dict[str, Any]) -> Any:
        if endpoint.config is None:
            endpoint.config, endpoint.status = OLD_CONFIG, "Creating"
        return endpoint.create(payload)

    result = walk(pausing, tasks(endpoint) | {"CreateEndpoint": create}, {})
    assert result.status == "SUCCEEDED"
    assert endpoint.calls == [f"update to {NEW_CONFIG}"]
    assert dict(result.payloads)["Retire"] == {"current": NEW_CONFIG, "previous": OLD_CONFIG}
