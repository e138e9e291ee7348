"""What starts runs by itself, for real: an upload with boto3, and a schedule on a fast clock."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import contract
from infra.python_function import stage_function
from local import clock
from tests.local.cloud.conftest import Account, allow, running_cloud, until

HOUR_IN_SECONDS = {clock.SPEED_VARIABLE: "720"}
"""An hour passes in five seconds."""


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory, programs: Path) -> Iterator[Account]:
    yield from running_cloud(tmp_path_factory.mktemp("triggers"), programs, **HOUR_IN_SECONDS)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The zip of the function StartRun."""
    folder, packed = tmp_path_factory.mktemp("start_run"), io.BytesIO()
    stage_function("start_run", folder)
    with zipfile.ZipFile(packed, "w") as opened:
        for file in folder.rglob("*"):
            opened.write(file, file.relative_to(folder))
    return packed.getvalue()


class System:
    """A bucket, a state machine whose runs take a day, and the function that starts them."""

    def __init__(self, account: Account, name: str, archive: bytes) -> None:
        self.account, self.name = account, name
        account.client("s3").create_bucket(Bucket=name)
        wait = {"Wait": {"Type": "Wait", "Seconds": 86_400, "End": True}}
        self.machine = account.state_machine(name, account.role(f"{name}-states", "states.amazonaws.com"), wait)
        topic = account.client("sns").create_topic(Name=name)["TopicArn"]
        actions = ("states:*", "s3:ListBucketVersions", "s3:GetObject", "s3:PutObject", "sns:Publish", "logs:*")
        role = account.role(f"{name}-function", "lambda.amazonaws.com", *(allow(each, "*") for each in actions))
        variables = {
            "BUCKET": name,
            "DATASET_PREFIX": "dataset/",
            "DRIFT_DAYS": "7",
            "START_LOCK": contract.start_lock_key(name),
            "STATE_MACHINE_ARN": self.machine,
            "TOPIC_ARN": topic,
            "POWERTOOLS_SERVICE_NAME": "start_run",
        }
        self.function = account.client("lambda").create_function(
            FunctionName=name,
            Runtime="python3.13",
            Handler="start_run.handler.handler",
            Role=role,
            Code={"ZipFile": archive},
            Timeout=60,
            Environment={"Variables": variables},
        )["FunctionArn"]

    def rule(self, pattern: dict[str, Any]) -> str:
        """ARN of a new rule that hands events on to the function, which does not let it yet."""
        events = self.account.client("events")
        arn: str = events.put_rule(Name=self.name, EventPattern=json.dumps(pattern))["RuleArn"]
        events.put_targets(Rule=self.name, Targets=[{"Id": "1", "Arn": self.function}])
        return arn

    def let(self, rule: str) -> None:
        self.account.client("lambda").add_permission(
            FunctionName=self.name,
            StatementId="rule",
            Action="lambda:InvokeFunction",
            Principal="events.amazonaws.com",
            SourceArn=rule,
        )

    def schedule(self, expression: str, *, role: str, time_zone: str = "UTC") -> None:
        handed_on = {"detail-type": contract.SCHEDULE_DETAIL_TYPE, "time": "<aws.scheduler.scheduled-time>"}
        self.account.client("scheduler").create_schedule(
            Name=self.name,
            ScheduleExpression=expression,
            ScheduleExpressionTimezone=time_zone,
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": self.function, "RoleArn": role, "Input": json.dumps(handed_on)},
        )

    @property
    def executions(self) -> list[dict[str, Any]]:
        """The newest first."""
        found: list[dict[str, Any]] = self.account.client("stepfunctions").list_executions(
            stateMachineArn=self.machine
        )["executions"]
        return found

    def started(self, count: int = 1) -> list[dict[str, Any]]:
        """The executions, once there are so many."""
        seen = until(lambda: {"found": self.executions}, lambda found: len(found["found"]) >= count)
        executions: list[dict[str, Any]] = seen["found"]
        return executions


def test_uploading_ready_starts_one_run_and_another_when_photos_have_changed(account: Account, archive: bytes) -> None:
    name = "ready-photos"
    system, s3 = System(account, name, archive), account.client("s3")
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_notification_configuration(Bucket=name, NotificationConfiguration={"EventBridgeConfiguration": {}})
    ready = {"bucket": {"name": [name]}, "object": {"key": ["dataset/READY"]}}
    rule = system.rule({"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": ready})

    # no policy lets the rule invoke the function
    s3.put_object(Bucket=name, Key="dataset/READY", Body=b"")
    time.sleep(2)
    assert system.executions == []

    system.let(rule)
    s3.put_object(Bucket=name, Key="dataset/cat/1.jpg", Body=b"photo")
    s3.put_object(Bucket=name, Key="dataset/READY", Body=b"")
    (first,) = system.started()
    assert contract.trigger_of(first["name"]) == "ready"
    given = account.client("stepfunctions").describe_execution(executionArn=first["executionArn"])["input"]
    assert f"s3://{name}/dataset/READY was uploaded at" in given

    # nothing but READY has changed since; then a photo does
    s3.put_object(Bucket=name, Key="dataset/READY", Body=b"again")
    time.sleep(2)
    assert len(system.executions) == 1
    s3.put_object(Bucket=name, Key="dataset/cat/2.jpg", Body=b"another photo")
    s3.put_object(Bucket=name, Key="dataset/READY", Body=b"")
    system.started(2)

    # a photo that is deleted is a change, too
    time.sleep(1.1)
    s3.delete_object(Bucket=name, Key="dataset/cat/1.jpg")
    s3.put_object(Bucket=name, Key="dataset/READY", Body=b"")
    assert [contract.trigger_of(each["name"]) for each in system.started(3)] == ["ready"] * 3


def test_a_schedule_starts_a_run_by_its_role_and_none_beside_it(fast: Account, archive: bytes) -> None:
    system = System(fast, "hourly", archive)
    may = fast.role("hourly-schedule", "scheduler.amazonaws.com", allow("lambda:InvokeFunction", system.function))
    refused = System(fast, "refused", archive)
    may_not = fast.role("refused-schedule", "scheduler.amazonaws.com")
    refused.schedule("rate(1 hour)", role=may_not)
    system.schedule("rate(1 hour)", role=may)

    (first,) = system.started()
    assert contract.trigger_of(first["name"]) == "schedule"
    time.sleep(8)
    assert len(system.executions) == 1, "it still goes on an hour later"
    assert refused.executions == [], "its role may not invoke the function"


def test_a_schedule_comes_by_the_clock_of_its_time_zone(fast: Account, archive: bytes) -> None:
    system, zone = System(fast, "zoned", archive), ZoneInfo("Asia/Kolkata")
    role = fast.role("zoned-schedule", "scheduler.amazonaws.com", allow("lambda:InvokeFunction", system.function))
    now = fast.client("stepfunctions").describe_execution(
        executionArn=fast.start(fast.state_machine("now", role, {"End": {"Type": "Succeed"}}))
    )["startDate"]
    hour = (now.astimezone(zone) + timedelta(hours=2)).hour
    system.schedule(f"cron(0 {hour} ? * * *)", role=role, time_zone="Asia/Kolkata")
    (first,) = system.started()
    given = json.loads(fast.client("stepfunctions").describe_execution(executionArn=first["executionArn"])["input"])[
        "Comment"
    ]
    due = datetime.fromisoformat(given.removeprefix("The schedule of ")).astimezone(zone)
    assert (due.hour, due.minute) == (hour, 0), given
