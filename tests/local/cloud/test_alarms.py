"""Alarms of the local cloud: evaluated on its clock, on exactly their metric, with metric math. Metrics of logs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.clock import SPEED_VARIABLE
from tests.local.cloud.conftest import WAIT_SECONDS, Account, allow, running_cloud

SPEED = 60
"""A minute in a second."""


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory, programs: Path) -> Iterator[Account]:
    yield from running_cloud(tmp_path_factory.mktemp("alarms"), programs, **{SPEED_VARIABLE: str(SPEED)})


@pytest.fixture
def cloudwatch(account: Account) -> Any:
    return account.client("cloudwatch")


def eventually(condition: Callable[[], Any]) -> Any:
    """What the condition gives once it is true."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (result := condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)
    return result


def put(cloudwatch: Any, value: float, *, metric: str = "Errors", **dimensions: str) -> None:
    named = [{"Name": name, "Value": text} for name, text in dimensions.items()]
    datum = {"MetricName": metric, "Value": value, "Dimensions": named}
    cloudwatch.put_metric_data(Namespace="test", MetricData=[datum])


def alarm(cloudwatch: Any, name: str, **members: Any) -> None:
    defaults = {
        "EvaluationPeriods": 1,
        "Threshold": 5,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
    }
    cloudwatch.put_metric_alarm(AlarmName=name, **defaults | members)


def state(cloudwatch: Any, name: str) -> str:
    return str(cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateValue"])


def comes_to(cloudwatch: Any, name: str, wanted: str) -> None:
    eventually(lambda: state(cloudwatch, name) == wanted)


def metric(**dimensions: str) -> dict[str, Any]:
    named = [{"Name": name, "Value": text} for name, text in dimensions.items()]
    return {"Namespace": "test", "MetricName": "Errors", "Dimensions": named, "Statistic": "Sum", "Period": 60}


def test_an_alarm_goes_on_and_off_by_itself(cloudwatch: Any) -> None:
    alarm(cloudwatch, "simple", **metric(Of="simple"))
    comes_to(cloudwatch, "simple", "OK")
    put(cloudwatch, 6, Of="simple")
    comes_to(cloudwatch, "simple", "ALARM")
    comes_to(cloudwatch, "simple", "OK")  # nobody calls PutMetricData in between
    history = cloudwatch.describe_alarm_history(AlarmName="simple", HistoryItemType="StateUpdate")
    assert "Alarm updated from OK to ALARM" in [item["HistorySummary"] for item in history["AlarmHistoryItems"]]


def test_only_the_alarms_own_dimensions_count(cloudwatch: Any) -> None:
    alarm(cloudwatch, "quiet", **metric(Of="quiet"))
    alarm(cloudwatch, "loud", **metric(Of="loud"))
    put(cloudwatch, 100, Of="loud")
    put(cloudwatch, 100)
    comes_to(cloudwatch, "loud", "ALARM")
    assert state(cloudwatch, "quiet") == "OK"


def test_an_alarm_without_data_says_so(cloudwatch: Any) -> None:
    alarm(cloudwatch, "missing", **metric(Of="nothing"), TreatMissingData="missing")
    time.sleep(1)
    assert state(cloudwatch, "missing") == "INSUFFICIENT_DATA"
    put(cloudwatch, 1, Of="nothing")
    comes_to(cloudwatch, "missing", "OK")


def test_a_percentile(cloudwatch: Any) -> None:
    wanted = {name: value for name, value in metric(Of="tail").items() if name != "Statistic"}
    alarm(cloudwatch, "tail", **wanted, ExtendedStatistic="p99")
    alarm(cloudwatch, "middle", **wanted, ExtendedStatistic="p50")
    for value in [1.0] * 9 + [1000.0]:
        put(cloudwatch, value, Of="tail")
    comes_to(cloudwatch, "tail", "ALARM")
    assert state(cloudwatch, "middle") == "OK"


def rate(of: str, expression: str = "IF(requests >= 10, 100 * errors / requests, 0)") -> list[dict[str, Any]]:
    def query(name: str) -> dict[str, Any]:
        dimensions = [{"Name": "Of", "Value": of}]
        stat = {"Metric": {"Namespace": "test", "MetricName": name, "Dimensions": dimensions}, "Period": 60}
        return {"Id": name, "MetricStat": {**stat, "Stat": "Sum"}, "ReturnData": False}

    return [{"Id": "rate", "Expression": expression, "ReturnData": True}, query("errors"), query("requests")]


def test_metric_math(cloudwatch: Any) -> None:
    for name, requests in (("many", 20), ("few", 5)):
        alarm(cloudwatch, name, Metrics=rate(name))
        put(cloudwatch, 2, metric="errors", Of=name)
        put(cloudwatch, requests, metric="requests", Of=name)
    comes_to(cloudwatch, "many", "ALARM")
    assert state(cloudwatch, "few") == "OK"


@pytest.mark.parametrize(
    ("expression", "problem"),
    [("ANOMALY_DETECTION_BAND(errors)", "cannot evaluate"), ("errors / nothing", "stands on nothing")],
)
def test_metric_math_that_is_not_played_is_refused(cloudwatch: Any, expression: str, problem: str) -> None:
    with pytest.raises(ClientError, match=problem):
        alarm(cloudwatch, "refused", Metrics=rate("refused", expression))
    assert cloudwatch.describe_alarms(AlarmNames=["refused"])["MetricAlarms"] == []


def test_an_alarm_tells_its_topic(account: Account, cloudwatch: Any) -> None:
    topic = account.client("sns").create_topic(Name="alarms")["TopicArn"]
    sqs = account.client("sqs")
    queue = sqs.create_queue(QueueName="alarms")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allowed = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{**allowed, "Resource": arn}]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    account.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    alarm(cloudwatch, "told", **metric(Of="told"), AlarmActions=[topic])
    put(cloudwatch, 6, Of="told")
    messages = eventually(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"))
    assert json.loads(json.loads(messages[0]["Body"])["Message"])["AlarmName"] == "told"


def test_log_lines_in_the_embedded_metric_format_are_metrics(account: Account, cloudwatch: Any) -> None:
    alarm(cloudwatch, "embedded", **metric(Of="log"))
    logs = account.client("logs")
    logs.create_log_group(logGroupName="embedded")
    logs.create_log_stream(logGroupName="embedded", logStreamName="one")
    directive = {"Namespace": "test", "Dimensions": [["Of"]], "Metrics": [{"Name": "Errors", "Unit": "Count"}]}
    # the time of the line counts: its own Timestamp is the machine's
    line = {"_aws": {"Timestamp": 0, "CloudWatchMetrics": [directive]}, "Of": "log", "Errors": [2, 7]}
    now = cloudwatch.describe_alarms(AlarmNames=["embedded"])["MetricAlarms"][0]["StateUpdatedTimestamp"]
    events = [
        {"timestamp": int(now.timestamp() * 1000) + 60_000, "message": json.dumps(line)},
        {"timestamp": int(now.timestamp() * 1000) + 60_000, "message": 'not one: "_aws"'},
    ]
    logs.put_log_events(logGroupName="embedded", logStreamName="one", logEvents=events)
    comes_to(cloudwatch, "embedded", "ALARM")


def test_an_update_guarded_by_an_alarm_needs_to_see_it(account: Account, cloudwatch: Any) -> None:
    alarm(cloudwatch, "guard", **metric(Of="guard"))
    role = account.role("serves", "sagemaker.amazonaws.com", allow("s3:*", "*"), allow("logs:*", "*"))
    account.endpoint("guarded", role)
    caller = account.role("updates", "ec2.amazonaws.com", allow("sagemaker:*", "*"))
    sagemaker = account.client("sagemaker", **account.assume(caller))
    config = {
        "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 60}},
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "guard"}]},
    }
    request = {"EndpointName": "guarded", "EndpointConfigName": "guarded", "DeploymentConfig": config}
    with pytest.raises(ClientError, match="not authorized to perform: cloudwatch:DescribeAlarms"):
        sagemaker.update_endpoint(**request)
    account.client("sagemaker").update_endpoint(**request)


def test_alarms_of_a_template_may_have_metric_math(account: Account, cloudwatch: Any) -> None:
    properties = {
        "AlarmName": "templated",
        "Metrics": rate("template"),
        "Threshold": 5,
        "EvaluationPeriods": 1,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
    }
    template = {"Resources": {"Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}}}
    account.deploy("alarms", json.dumps(template))
    put(cloudwatch, 2, metric="errors", Of="template")
    put(cloudwatch, 20, metric="requests", Of="template")
    comes_to(cloudwatch, "templated", "ALARM")
    account.client("cloudformation").delete_stack(StackName="alarms")
    eventually(lambda: cloudwatch.describe_alarms(AlarmNames=["templated"])["MetricAlarms"] == [])
