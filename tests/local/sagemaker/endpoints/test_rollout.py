"""Updates that shift the requests step by step, watch alarms, and go back."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from local import clock
from local.sagemaker import SageMaker, SageMakerError
from local.sagemaker.endpoints import endpoints
from local.sagemaker.endpoints.routing import Traffic
from tests.local.sagemaker.conftest import FakeHost, eventually
from tests.local.sagemaker.endpoints.test_endpoints import Deployments

LONG = 3600
"""Seconds of a bake that no test waits for, except on a fast clock."""


@pytest.fixture
def deployments(sagemaker: SageMaker, s3: Any, bucket: str, host: FakeHost) -> Deployments:
    """An endpoint that serves `blue`, a configuration `green`, and an alarm that is well."""
    deployments = Deployments(sagemaker, s3, bucket)
    host.alarms = {"errors": "OK", "latency": "INSUFFICIENT_DATA"}
    deployments.config("blue")
    deployments.config("green")
    deployments.create("blue")
    return deployments


@pytest.fixture
def fast_clock() -> Iterator[None]:
    clock.set_speed(3600)
    yield
    clock.set_speed(1)


def guarded(
    routing: dict[str, Any], *, alarms: tuple[str, ...] = ("errors", "latency"), **policy: Any
) -> dict[str, Any]:
    config: dict[str, Any] = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, **policy}}
    if alarms:
        config["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": alarm} for alarm in alarms]}
    return config


def canary(percent: int = 10, wait: int = LONG) -> dict[str, Any]:
    return {
        "Type": "CANARY",
        "WaitIntervalInSeconds": wait,
        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": percent},
    }


def linear(percent: int, wait: int) -> dict[str, Any]:
    size = {"Type": "CAPACITY_PERCENT", "Value": percent}
    return {"Type": "LINEAR", "WaitIntervalInSeconds": wait, "LinearStepSize": size}


def update(deployments: Deployments, config: dict[str, Any] | None, **members: Any) -> None:
    given = {} if config is None else {"DeploymentConfig": config}
    deployments.sagemaker.call(
        "UpdateEndpoint", {"EndpointName": "endpoint", "EndpointConfigName": "green", **given, **members}
    )


def status_of_the_new_variant(deployments: Deployments) -> str:
    pending = deployments.describe().get("PendingDeploymentSummary", {})
    variants = pending.get("ProductionVariants", [{}])
    return str(variants[0].get("VariantStatus", [{"Status": "none"}])[0]["Status"])


def baking(deployments: Deployments) -> bool:
    return status_of_the_new_variant(deployments) == "Baking"


def test_a_canary_gets_its_share_of_the_requests(deployments: Deployments) -> None:
    update(deployments, guarded(canary(30)))
    eventually(lambda: baking(deployments))
    seen = Counter(deployments.invoke()["model"] for _ in range(400))
    assert 60 <= seen["green"] <= 180  # six standard deviations around 120
    endpoint = deployments.describe()
    assert (endpoint["EndpointStatus"], endpoint["EndpointConfigName"]) == ("Updating", "blue")


@pytest.mark.usefixtures("fast_clock")
def test_a_canary_that_is_well_takes_over(deployments: Deployments, host: FakeHost) -> None:
    began = clock.monotonic()
    update(deployments, guarded(canary(wait=600), TerminationWaitInSeconds=300))
    endpoint = deployments.settled()
    assert clock.monotonic() - began >= 600 + 600 + 300
    assert endpoint["EndpointConfigName"] == "green"
    assert "FailureReason" not in endpoint
    assert {deployments.invoke()["model"] for _ in range(20)} == {"green"}
    statuses = [detail["EndpointStatus"] for kind, detail, _ in host.events if "Endpoint State" in kind]
    assert statuses == ["Creating", "InService", "Updating", "InService"]


@pytest.mark.parametrize("state", ["OK", "INSUFFICIENT_DATA"])
@pytest.mark.usefixtures("fast_clock")
def test_only_an_alarm_rolls_back(deployments: Deployments, host: FakeHost, state: str) -> None:
    host.alarms["errors"] = state
    update(deployments, guarded(canary(wait=60)))
    assert deployments.settled()["EndpointConfigName"] == "green"


def test_an_alarm_rolls_back_to_the_old_fleet(deployments: Deployments, host: FakeHost) -> None:
    update(deployments, guarded(canary(50)))
    eventually(lambda: baking(deployments))
    host.alarms["latency"] = "ALARM"
    seen = Counter[str]()
    while deployments.describe()["EndpointStatus"] != "InService":
        seen[deployments.invoke()["model"]] += 1  # every request is answered

    endpoint = deployments.describe()
    assert endpoint["EndpointConfigName"] == "blue"
    assert "latency" in endpoint["FailureReason"]
    assert "errors" not in endpoint["FailureReason"]
    assert "PendingDeploymentSummary" not in endpoint
    assert {deployments.invoke()["model"] for _ in range(20)} == {"blue"}
    statuses = [detail["EndpointStatus"] for kind, detail, _ in host.events if "Endpoint State" in kind]
    assert statuses == ["Creating", "InService", "Updating", "RollingBack", "InService"]


def test_an_alarm_in_the_last_bake_rolls_back_too(deployments: Deployments, host: FakeHost) -> None:
    routing = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
    update(deployments, guarded(routing, TerminationWaitInSeconds=LONG))
    eventually(lambda: deployments.invoke()["model"] == "green")
    host.alarms["errors"] = "ALARM"
    assert deployments.settled()["EndpointConfigName"] == "blue"


def test_no_request_goes_to_the_new_fleet_while_an_alarm_is_on_already(
    deployments: Deployments, host: FakeHost
) -> None:
    host.alarms["errors"] = "ALARM"
    update(deployments, guarded(canary(50)))
    seen = set()
    while deployments.describe()["EndpointStatus"] != "InService":
        seen.add(deployments.invoke()["model"])
    assert seen <= {"blue"}
    assert "errors" in deployments.describe()["FailureReason"]


@pytest.mark.usefixtures("fast_clock")
def test_linear_shifts_in_equal_steps(deployments: Deployments, monkeypatch: pytest.MonkeyPatch) -> None:
    shares: list[float] = []

    def noted(*arguments: Any, **named: Any) -> Traffic:
        shares.append(named.get("share", 0.0))
        return Traffic(*arguments, **named)

    monkeypatch.setattr(endpoints, "Traffic", noted)
    update(deployments, guarded(linear(30, wait=60)))
    assert deployments.settled()["EndpointConfigName"] == "green"
    assert [share for share in shares if share] == pytest.approx([0.3, 0.6, 0.9, 1.0])


@pytest.mark.usefixtures("fast_clock")
def test_a_deployment_that_takes_too_long_goes_back(deployments: Deployments, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules let no such request through, so only what the machine adds to the waits can be too long."""
    monkeypatch.setattr("local.sagemaker.endpoints.rollout._LOOK_SECONDS", 3600.0)
    monkeypatch.setattr("local.sagemaker.endpoints.rollout._SHORTEST_LOOK", 1.0)
    update(deployments, guarded(canary(wait=400), MaximumExecutionTimeoutInSeconds=801))
    endpoint = deployments.settled()
    assert endpoint["EndpointConfigName"] == "blue"
    assert "MaximumExecutionTimeoutInSeconds, 801" in endpoint["FailureReason"]


@pytest.mark.usefixtures("fast_clock")
def test_a_retained_configuration_guards_the_next_update(deployments: Deployments, host: FakeHost) -> None:
    update(deployments, guarded(canary(wait=60)))
    deployments.settled()
    clock.set_speed(1)
    deployments.config("red")
    update(deployments, None, EndpointConfigName="red", RetainDeploymentConfig=True)
    eventually(lambda: baking(deployments))
    host.alarms["errors"] = "ALARM"
    assert deployments.settled()["EndpointConfigName"] == "green"


def test_other_variant_names_fall_back_to_all_at_once(deployments: Deployments) -> None:
    variant = {"VariantName": "Other", "ModelName": "green", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    deployments.sagemaker.call("CreateEndpointConfig", {"EndpointConfigName": "named", "ProductionVariants": [variant]})
    update(deployments, guarded(canary(wait=LONG)), EndpointConfigName="named")
    assert deployments.settled()["EndpointConfigName"] == "named"


def test_the_service_can_end_while_a_canary_bakes(deployments: Deployments) -> None:
    update(deployments, guarded(canary()))
    eventually(lambda: baking(deployments))
    deployments.sagemaker.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "endpoint endpoint"]


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (guarded(canary(51)), "CanarySize is 51 percent"),
        (guarded({**canary(), "CanarySize": {"Type": "INSTANCE_COUNT", "Value": 1}}), "CanarySize is 100 percent"),
        (guarded(linear(9, 0)), "between 10 and 50 percent"),
        (guarded(linear(60, 0)), "between 10 and 50 percent"),
        (guarded({"Type": "CANARY", "WaitIntervalInSeconds": 0}), "CanarySize must be given"),
        (guarded({**canary(), "Type": "ALL_AT_ONCE"}), "CanarySize cannot be given with"),
        (guarded(canary(wait=300), MaximumExecutionTimeoutInSeconds=600), "must be larger than the total waiting time"),
        (guarded(canary(), alarms=("nothing",)), "Could not find the alarms of AutoRollbackConfiguration: nothing"),
        (guarded(canary(wait=3601)), "less than or equal to 3600"),
        (
            {"RollingUpdatePolicy": {"MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 1},
                                     "WaitIntervalInSeconds": 0}},
            "does not play RollingUpdatePolicy",
        ),
    ],
)  # fmt: skip
def test_what_sagemaker_refuses(deployments: Deployments, config: dict[str, Any], problem: str) -> None:
    with pytest.raises(SageMakerError, match=problem) as error:
        update(deployments, config)
    assert error.value.code == "ValidationException"
    assert deployments.describe()["EndpointStatus"] == "InService"


def test_serverless_endpoints_have_no_guardrails(deployments: Deployments) -> None:
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "green",
        "ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1},
    }
    deployments.sagemaker.call("CreateEndpointConfig", {"EndpointConfigName": "less", "ProductionVariants": [variant]})
    deployments.sagemaker.call("CreateEndpoint", {"EndpointName": "less", "EndpointConfigName": "less"})
    eventually(lambda: deployments.describe("less")["EndpointStatus"] == "InService")
    request = {"EndpointName": "less", "EndpointConfigName": "less", "DeploymentConfig": guarded(canary())}
    with pytest.raises(SageMakerError, match="not supported for serverless endpoints"):
        deployments.sagemaker.call("UpdateEndpoint", request)
