"""The local cloud's clock runs as fast as it is told, and what waits in the cloud follows it: hours pass in seconds."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from local import clock, control
from local.sagemaker.start_times import START_TIMES, START_TIMES_VARIABLE
from tests.local.cloud.conftest import Account, allow, running_cloud, training_job, until

SPEED = 720
"""Half a day in a minute."""
HOUR = 3600


@pytest.fixture(autouse=True)
def _usual_speed() -> Iterator[None]:
    yield
    clock.set_speed(1)


def test_it_is_the_machines_clock_at_first() -> None:
    assert clock.real(60) == 60
    before = clock.monotonic(), time.monotonic()
    time.sleep(0.02)
    assert clock.monotonic() - before[0] == pytest.approx(time.monotonic() - before[1], abs=0.005)


def test_an_hour_passes_in_a_moment() -> None:
    clock.set_speed(10_000)
    began, real = clock.time(), time.monotonic()
    clock.sleep(3600)
    assert clock.time() - began >= 3600
    assert time.monotonic() - real >= 0.36


def test_a_new_speed_makes_no_jump() -> None:
    clock.set_speed(1000)
    time.sleep(0.01)
    before = clock.time()
    clock.set_speed(1)
    assert 0 <= clock.time() - before < 5, "five seconds are five milliseconds of the machine's"
    assert clock.time() > time.time(), "what has passed stays passed"


def test_an_event_ends_a_wait() -> None:
    clock.set_speed(100)
    event = threading.Event()
    assert not clock.wait(event, 1)
    event.set()
    assert clock.wait(event, 1e9)


@pytest.mark.parametrize("speed", ["0", "0.5", "-1", "nan", "inf", "10001", "fast", ""])
def test_a_speed_that_makes_no_sense_is_refused(speed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(clock.SPEED_VARIABLE, speed)
    with pytest.raises(ValueError, match=f"{clock.SPEED_VARIABLE}={speed} is not a number from 1 to 10,000"):
        clock.chosen_speed()


def test_the_variable_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(clock.SPEED_VARIABLE, raising=False)
    assert clock.chosen_speed() == 1
    monkeypatch.setenv(clock.SPEED_VARIABLE, "720")
    assert clock.chosen_speed() == 720


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory, programs: Path) -> Iterator[Account]:
    """A local cloud in which an hour passes in 5 seconds, and a job starts as late as on AWS."""
    speed = {clock.SPEED_VARIABLE: str(SPEED), START_TIMES_VARIABLE: "aws"}
    yield from running_cloud(tmp_path_factory.mktemp("fast"), programs, **speed)


def test_a_wait_of_an_hour_takes_seconds(fast: Account) -> None:
    role = fast.role("waiting", "states.amazonaws.com")
    found = fast.run("waiting", role, {"Wait": {"Type": "Wait", "Seconds": HOUR, "End": True}})
    assert found["status"] == "SUCCEEDED"
    took = found["stopDate"] - found["startDate"]
    assert timedelta(hours=1) <= took < timedelta(hours=6), took


def test_an_execution_ends_at_its_state_machines_time_out(fast: Account) -> None:
    wait = {"Wait": {"Type": "Wait", "Seconds": 12 * HOUR, "End": True}}
    found = fast.run("late", fast.role("late", "states.amazonaws.com"), wait, TimeoutSeconds=HOUR)
    assert found["status"] == "TIMED_OUT"
    assert timedelta(hours=1) <= found["stopDate"] - found["startDate"] < timedelta(hours=6)


def test_a_rule_that_is_due_every_hour_is_due_within_seconds(fast: Account) -> None:
    queue = fast.client("sqs").create_queue(QueueName="hourly")["QueueUrl"]
    events = fast.client("events")
    events.put_rule(Name="hourly", ScheduleExpression="rate(1 hour)")
    arn = fast.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_targets(Rule="hourly", Targets=[{"Id": "queue", "Arn": arn}])

    received = until(
        lambda: fast.client("sqs").receive_message(QueueUrl=queue), lambda answer: bool(answer.get("Messages"))
    )
    assert json.loads(received["Messages"][0]["Body"])["detail-type"] == "Scheduled Event"


def test_a_job_starts_as_late_as_on_aws_and_ends_at_its_time_limit(fast: Account) -> None:
    role = fast.role("job", "sagemaker.amazonaws.com", allow("s3:*", "*"), allow("logs:*", "*"))
    fast.client("s3").create_bucket(Bucket="clock")
    sagemaker = fast.client("sagemaker")
    job = training_job("slow", role=role, bucket="clock") | {"StoppingCondition": {"MaxRuntimeInSeconds": HOUR}}
    sagemaker.create_training_job(**job)

    found = until(
        lambda: sagemaker.describe_training_job(TrainingJobName="slow"),
        lambda seen: seen["TrainingJobStatus"] not in ("InProgress", "Stopping"),
    )
    assert found["SecondaryStatus"] == "MaxRuntimeExceeded"
    started = (found["TrainingStartTime"] - found["CreationTime"]).total_seconds()
    assert START_TIMES["training_job"].seconds <= started < HOUR, started
    assert timedelta(hours=1) <= found["TrainingEndTime"] - found["TrainingStartTime"] < timedelta(hours=6)


def test_the_requests_of_the_last_hours_are_those_of_this_clock(fast: Account) -> None:
    """So that what asks CloudWatch by an event's time finds them (infra/pause.py)."""
    fast.endpoint("counted", fast.role("counted", "sagemaker.amazonaws.com", allow("logs:*", "*")))
    runtime, sagemaker = fast.client("sagemaker-runtime"), fast.client("sagemaker")
    served = sagemaker.describe_endpoint(EndpointName="counted")["LastModifiedTime"]
    for _ in range(3):
        runtime.invoke_endpoint(EndpointName="counted", Body=b"photo")

    def asked(variant: str, **window: timedelta) -> float:
        names = {"EndpointName": "counted", "VariantName": variant}
        points = fast.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName="Invocations",
            Dimensions=[{"Name": name, "Value": value} for name, value in names.items()],
            StartTime=served + window.get("since", timedelta()),
            EndTime=served + timedelta(days=2),
            Period=300,
            Statistics=["Sum"],
        )["Datapoints"]
        return float(sum(point["Sum"] for point in points))

    assert asked("AllTraffic") == 3
    assert asked("AllTraffic", since=timedelta(days=1)) == 0
    assert asked("Other") == 0
    sagemaker.delete_endpoint(EndpointName="counted")


def test_a_parameters_time_is_this_clocks(fast: Account) -> None:
    ssm = fast.client("ssm")
    ssm.put_parameter(Name="/when", Value="1", Type="String")
    written = ssm.get_parameter(Name="/when")["Parameter"]["LastModifiedDate"]
    assert written.timestamp() - time.time() > HOUR, "the cloud has run for hours of its clock"


def test_a_wrong_speed_ends_the_start_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(clock.SPEED_VARIABLE, "fast")
    with pytest.raises(control.CloudError, match="WHIPPET_CLOCK_SPEED=fast is not a number from 1 to 10,000"):
        control.start(tmp_path)
