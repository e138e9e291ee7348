"""A guarded update of an endpoint with everything but the run: requests, their metrics, alarms, and the way back."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.clock import SPEED_VARIABLE
from tests.local.cloud.conftest import SERVING_IMAGE, WAIT_SECONDS, Account, allow, running_cloud

SPEED = 30
"""A minute in two seconds."""
SHARE = 30


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory, programs: Path) -> Iterator[Account]:
    yield from running_cloud(tmp_path_factory.mktemp("guarded"), programs, **{SPEED_VARIABLE: str(SPEED)})


@pytest.fixture(scope="module")
def endpoint(account: Account) -> str:
    """An endpoint, a configuration `sick` of a model of this name, and alarms as the stack has them."""
    role = account.role("serves", "sagemaker.amazonaws.com", allow("s3:*", "*"), allow("logs:*", "*"))
    account.endpoint("guarded", role)
    sagemaker = account.client("sagemaker")
    sagemaker.create_model(ModelName="sick", ExecutionRoleArn=role, PrimaryContainer={"Image": SERVING_IMAGE})
    variant = {"VariantName": "AllTraffic", "ModelName": "sick", "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(
        EndpointConfigName="sick", ProductionVariants=[variant | {"InitialInstanceCount": 1}]
    )

    dimensions = [{"Name": "EndpointName", "Value": "guarded"}, {"Name": "VariantName", "Value": "AllTraffic"}]

    def query(name: str, metric: str) -> dict[str, Any]:
        of = {"Namespace": "AWS/SageMaker", "MetricName": metric, "Dimensions": dimensions}
        return {"Id": name, "MetricStat": {"Metric": of, "Period": 60, "Stat": "Sum"}, "ReturnData": False}

    common = {"ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching"}
    rate = {"Id": "rate", "Expression": "IF(errors >= 3, 100 * errors / requests, 0)", "ReturnData": True}
    cloudwatch = account.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName="errors",
        Metrics=[rate, query("errors", "Invocation5XXErrors"), query("requests", "Invocations")],
        EvaluationPeriods=1,
        Threshold=5,
        **common,
    )
    cloudwatch.put_metric_alarm(
        AlarmName="latency",
        Namespace="AWS/SageMaker",
        MetricName="ModelLatency",
        Dimensions=dimensions,
        ExtendedStatistic="p99",
        Period=60,
        EvaluationPeriods=3,
        DatapointsToAlarm=2,
        Threshold=3_000_000,
        **common,
    )
    return "guarded"


@contextmanager
def load(account: Account, endpoint: str) -> Iterator[Counter[bool]]:
    """Ask the endpoint again and again, and count the answers and the failures."""
    seen, done = Counter[bool](), threading.Event()

    def ask() -> None:
        runtime = account.client("sagemaker-runtime")
        while not done.wait(0.1):
            try:
                runtime.invoke_endpoint(EndpointName=endpoint, Body=b"abc")
                seen[True] += 1
            except ClientError:
                seen[False] += 1

    clients = [threading.Thread(target=ask) for _ in range(6)]
    for client in clients:
        client.start()
    try:
        yield seen
    finally:
        done.set()
        for client in clients:
            client.join()


@contextmanager
def ailing(account: Account, **how: Any) -> Iterator[None]:
    file = account.cloud.state / "account.json"
    file.with_suffix(".new").write_text(json.dumps({"answering": [{"name": "sick", **how}]}))
    file.with_suffix(".new").rename(file)
    yield
    file.unlink()


def update(account: Account, endpoint: str) -> None:
    size = {"Type": "CAPACITY_PERCENT", "Value": SHARE}
    routing = {"Type": "CANARY", "WaitIntervalInSeconds": 1200, "CanarySize": size}
    account.client("sagemaker").update_endpoint(
        EndpointName=endpoint,
        EndpointConfigName="sick",
        DeploymentConfig={
            "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing},
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}, {"AlarmName": "latency"}]},
        },
    )


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 4 * WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.1)


@pytest.mark.parametrize(("alarm", "how"), [("errors", {"status": 500}), ("latency", {"delay_seconds": 4})])
def test_an_alarm_on_real_requests_takes_the_new_model_back(
    account: Account, endpoint: str, alarm: str, how: dict[str, Any]
) -> None:
    sagemaker, cloudwatch = account.client("sagemaker"), account.client("cloudwatch")
    described: list[dict[str, Any]] = []

    def look() -> bool:
        described.append(sagemaker.describe_endpoint(EndpointName=endpoint))
        return bool(described[-1]["EndpointStatus"] == "InService")

    with load(account, endpoint) as seen, ailing(account, **how):
        update(account, endpoint)
        wait(look)
        asked, failed = sum(seen.values()), seen[False]
        wait(lambda: sum(seen.values()) >= asked + 20)

    # back to the model before, long before the bake was over
    assert described[-1]["EndpointConfigName"] == endpoint
    assert alarm in described[-1]["FailureReason"]
    assert {entry["EndpointStatus"] for entry in described} <= {"Updating", "RollingBack", "InService"}

    # only requests of the canary failed; six were on their way when the endpoint was looked at
    assert seen[False] <= failed + 6
    assert failed <= 2 * SHARE / 100 * asked
    assert bool(failed) == ("status" in how)

    # the history says so, to whoever may read this alarm's
    arn = f"arn:aws:cloudwatch:us-east-1:000000000000:alarm:{alarm}"
    reader = account.role(f"reads-{alarm}", "ec2.amazonaws.com", allow("cloudwatch:DescribeAlarmHistory", arn))
    reading = account.client("cloudwatch", **account.assume(reader))
    history = reading.describe_alarm_history(AlarmName=alarm, HistoryItemType="StateUpdate")["AlarmHistoryItems"]
    states = [json.loads(item["HistoryData"])["newState"]["stateValue"] for item in history]
    assert "ALARM" in states
    other = {"errors": "latency", "latency": "errors"}[alarm]
    with pytest.raises(ClientError, match="not authorized to perform: cloudwatch:DescribeAlarmHistory"):
        reading.describe_alarm_history(AlarmName=other)
    wait(lambda: not cloudwatch.describe_alarms(StateValue="ALARM")["MetricAlarms"])


def test_a_model_that_is_well_takes_over(account: Account, endpoint: str) -> None:
    sagemaker = account.client("sagemaker")
    with load(account, endpoint) as seen:
        update(account, endpoint)
        wait(lambda: sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointStatus"] == "InService")
        assert sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"] == "sick"
        asked = sum(seen.values())
        wait(lambda: sum(seen.values()) >= asked + 20)
    assert seen[False] == 0
