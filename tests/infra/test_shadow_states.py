"""Before the rollout: the alarms are looked at, and the new model is a shadow where the settings ask for one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import contract
from infra.settings import Settings
from tests.infra.asl_walker import TaskError, Walk, walk
from tests.infra.fake_run import NEW_CONFIG, NOT_FOUND, OLD_CONFIG, PACKAGE, Endpoint, tasks
from tests.infra.template import Template

SHADOW_CONFIG = f"{OLD_CONFIG}--shadow-run-1"
REFUSED = TaskError("SageMaker.AmazonSageMakerException", "is not authorized to perform")
SETTINGS = {"serving.mode": "realtime", "release.shadow_minutes": "30", "release.shadow_percent": "40"}


@pytest.fixture(scope="module")
def template(synthesise: Callable[..., Template]) -> Template:
    return synthesise(**SETTINGS)


@pytest.fixture
def definition(template: Template) -> dict[str, Any]:
    return template.definition()


def run(definition: dict[str, Any], endpoint: Endpoint, **answers: Any) -> Walk:
    """Walk with other answers of some tasks: a value, an error, or a task."""

    def task(value: Any) -> Any:
        def answer(_: dict[str, Any]) -> Any:
            if isinstance(value, TaskError):
                raise value
            return value

        return value if callable(value) else answer

    known = tasks(endpoint) | {name: task(value) for name, value in answers.items()}
    return walk(definition, known, {}, limit=5000)


def served() -> Endpoint:
    return Endpoint(OLD_CONFIG, serverless=False)


def judged(outcome: str) -> dict[str, str]:
    return {"outcome": outcome, "said": f"Said of {outcome}."}


def test_a_shadow_gets_copies_beside_the_model_in_service(definition: dict[str, Any]) -> None:
    endpoint = served()
    result = run(definition, endpoint)
    assert result.status == "SUCCEEDED", result.cause
    assert endpoint.calls == [f"update to {SHADOW_CONFIG}", f"update to {OLD_CONFIG}", f"update to {NEW_CONFIG}"]
    assert result.waited >= 30 * 60

    # the configuration: what serves goes on as it is, and the copies go to the machines of the new model
    payloads = dict(result.payloads)
    config = payloads["CreateShadowConfig"]
    assert config["EndpointConfigName"] == SHADOW_CONFIG
    served_variant = {"VariantName": "AllTraffic", "InitialInstanceCount": 1, "InstanceType": endpoint.machine}
    assert config["ProductionVariants"] == [served_variant]
    (shadow,) = config["ShadowProductionVariants"]
    assert shadow["ModelName"] == f"{NEW_CONFIG}-shadow" == payloads["CreateShadowModel"]["ModelName"]
    assert (shadow["VariantName"], shadow["InitialVariantWeight"]) == ("Shadow", 0.4)

    # its container is the model's own, but counts for itself, so that it sets no alarm off
    own = payloads["CreateModel"]["PrimaryContainer"]
    shadows = payloads["CreateShadowModel"]["PrimaryContainer"]
    metrics = contract.ServingVariable.METRICS_ENDPOINT
    assert shadows["Environment"] == own["Environment"] | {metrics: "whippet-dev-shadow"}
    assert {**shadows, "Environment": {}} == {**own, "Environment": {}}

    # it has gone before the rollout, which is guarded as ever
    assert payloads["JudgeShadow"] == dict.fromkeys(("begun", "until"), "2026-11-28T22:00:00.123Z")
    assert result.path.index("DeleteShadowModel") < result.path.index("UpdateEndpoint")
    assert "DeploymentConfig" in payloads["UpdateEndpoint"]
    for update in ("AddShadow", "RemoveShadow"):
        assert "DeploymentConfig" not in payloads[update]
        assert payloads[update]["RetainAllVariantProperties"] is True
    assert payloads["DeleteShadowConfig"] == {"EndpointConfigName": SHADOW_CONFIG}
    assert payloads["RecordRelease"]["replaced"] == OLD_CONFIG


@pytest.mark.parametrize(("outcome", "error"), [("failed", "ShadowFailed"), ("too few", "TooFewShadowRequests")])
def test_a_model_that_does_not_pass_answers_nobody(definition: dict[str, Any], outcome: str, error: str) -> None:
    endpoint = served()
    result = run(definition, endpoint, JudgeShadow=judged(outcome))
    assert (result.status, result.error) == ("FAILED", error)
    assert f"Said of {outcome}." in result.cause
    assert (endpoint.config, endpoint.status) == (OLD_CONFIG, "InService")
    assert endpoint.calls == [f"update to {SHADOW_CONFIG}", f"update to {OLD_CONFIG}"]
    payloads = dict(result.payloads)
    assert payloads["RejectModel"]["ModelPackageArn"] == PACKAGE
    assert {"DeleteShadowConfig", "DeleteShadowModel", "GiveLockBack", "Notify"} <= payloads.keys()


def test_one_that_cannot_be_judged_is_taken_away_and_not_released(definition: dict[str, Any]) -> None:
    endpoint = served()
    result = run(definition, endpoint, JudgeShadow=TaskError("ClientError", "Access Denied"))
    assert (result.status, result.error) == ("FAILED", "ClientError")
    assert endpoint.calls == [f"update to {SHADOW_CONFIG}", f"update to {OLD_CONFIG}"]
    assert "RejectModel" in result.path


def test_one_that_does_not_start_is_refused_with_sagemakers_words(definition: dict[str, Any]) -> None:
    endpoint = served()
    endpoint.rolls_back, endpoint.reason = True, "did not pass the ping health check"
    result = run(definition, endpoint)
    assert (result.status, result.error) == ("FAILED", "ShadowFailed")
    assert "did not pass the ping health check" in result.cause
    assert (endpoint.config, endpoint.calls) == (OLD_CONFIG, [f"update to {SHADOW_CONFIG}"])
    assert {"DeleteShadowConfig", "DeleteShadowModel", "RejectModel"} <= set(result.path)


def test_one_that_cannot_be_taken_away_is_said_to_cost(definition: dict[str, Any]) -> None:
    endpoint = served()
    result = run(definition, endpoint, RemoveShadow=REFUSED)
    assert (result.status, result.error) == ("FAILED", "ShadowNotRemoved")
    assert (
        f"aws sagemaker update-endpoint --endpoint-name whippet-dev --endpoint-config-name {OLD_CONFIG}" in result.cause
    )
    assert 1.9 * 3600 <= result.waited - 30 * 60 <= 3 * 3600, "it was tried for two hours"
    assert endpoint.config == SHADOW_CONFIG
    assert "RejectModel" in result.path


def test_an_endpoint_that_somebody_deletes_takes_its_shadow_along(definition: dict[str, Any]) -> None:
    result = run(definition, served(), DescribeShadowEnd=NOT_FOUND)
    assert "RemoveShadow" not in result.path
    assert "ShadowPassed?" in result.path


def test_a_first_release_has_nothing_to_shadow(definition: dict[str, Any]) -> None:
    result = run(definition, Endpoint(None))
    assert result.status == "SUCCEEDED", result.cause
    assert "there was no model in service" in _document(result)["shadow"]["said"]
    assert not {"AddShadow", "JudgeShadow", "LookAtAlarms"} & set(result.path)


@pytest.mark.parametrize(
    ("before", "serverless"), [(OLD_CONFIG, True), (f"{OLD_CONFIG}--shadow-earlier", False)], ids=["serverless", "left"]
)
def test_what_can_have_no_shadow_is_replaced_without(definition: dict[str, Any], before: str, serverless: bool) -> None:
    endpoint = Endpoint(before, serverless=serverless)
    result = run(definition, endpoint)
    assert (result.status, endpoint.calls) == ("SUCCEEDED", [f"update to {NEW_CONFIG}"]), result.cause
    assert "only a model that serves alone" in _document(result)["shadow"]["said"]


def _document(result: Walk) -> dict[str, Any]:
    document: dict[str, Any] = dict(result.payloads)["Notify"]["run"]
    return document


def test_the_message_says_what_the_shadow_saw(definition: dict[str, Any]) -> None:
    from notify.run_message import compose

    result = run(definition, served())
    message = compose(_document(result), execution="arn:aws:states:eu-west-1:123456789012:execution:whippet-dev:run-1")  # type: ignore[arg-type]
    assert "As a shadow it got a copy of 1,204 requests." in message.text


def test_an_alarm_that_stays_on_ends_the_run_before_the_rollout(definition: dict[str, Any]) -> None:
    endpoint = served()
    said = "whippet-dev-endpoint-errors is on."
    result = run(definition, endpoint, LookAtAlarms={"on": True, "said": said})
    assert (result.status, result.error) == ("FAILED", "AlarmIsOn")
    assert said in result.cause
    assert 9 * 60 <= result.waited <= 11 * 60
    assert (endpoint.config, endpoint.calls) == (OLD_CONFIG, [])
    assert "RejectModel" in result.path


def test_an_alarm_that_is_over_in_a_minute_costs_no_release(definition: dict[str, Any]) -> None:
    looks = iter([{"on": True, "said": "on"}, {"on": True, "said": "on"}])
    result = run(definition, served(), LookAtAlarms=lambda _: next(looks, {"on": False, "said": ""}))
    assert result.status == "SUCCEEDED", result.cause


def test_it_is_off_by_default(synthesise: Callable[..., Template]) -> None:
    template = synthesise(**{"serving.mode": "realtime"})
    states = template.definition()["States"]
    assert not {"Shadowed?", "AddShadow", "NothingToShadow"} & states.keys()
    assert "LookAtAlarms" in states
    assert all(item["Properties"].get("Handler") != "judge_shadow.handler.handler" for item in
               template.of_type("AWS::Lambda::Function").values())  # fmt: skip


def test_a_run_may_take_as_much_longer(synthesise: Callable[..., Template], template: Template) -> None:
    plain = synthesise(**{"serving.mode": "realtime"}).definition()["TimeoutSeconds"]
    assert template.definition()["TimeoutSeconds"] - plain == (2 + 2) * 3600 + 30 * 60


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"serving.mode": "serverless", "release.shadow_minutes": "30"}, "cannot be set with serving.mode=serverless"),
        (
            {
                "release.shadow_minutes": "30",
                **{f"release.{name}": "" for name in ("max_error_share", "max_latency_ms", "max_unknown_share")},
            },
            "no limit could refuse",
        ),
    ],
)
def test_a_shadow_that_could_not_be_is_refused(settings: dict[str, str], says: str) -> None:
    context = {"environments": {"dev": {"serving": {"mode": "realtime"}}}} | settings
    with pytest.raises(ValueError, match=says):
        Settings.from_context(context)
