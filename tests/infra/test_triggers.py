"""What starts runs by itself: nothing by default, and by each setting exactly what it says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import contract
from infra.outputs import StackOutput
from infra.settings import SettingsError
from tests.infra.template import ACCOUNT, REGION, Template, listed
from tests.infra.test_settings import settings

EACH = {"triggers.ready_object": "true", "triggers.drift": "true", "triggers.schedule": "cron(0 3 ? * SUN *)"}
ALARMS = {"monitoring.alarms": "true"}


@pytest.fixture(scope="module")
def every(synthesise: Callable[..., Template]) -> Template:
    return synthesise(**EACH, **ALARMS, **{"triggers.time_zone": "Europe/Berlin", "triggers.drift_days": "14"})


def rules(template: Template) -> dict[str, dict[str, Any]]:
    """The rules that start runs, by name."""
    found = [item["Properties"] for name, item in template.of_type("AWS::Events::Rule").items() if "Triggers" in name]
    return {rule["Name"]: rule for rule in found}


def test_by_default_nothing_starts_a_run(template: Template) -> None:
    assert not [name for name in template.resources if name.startswith("Triggers")]
    (bucket,) = template.of_type("AWS::S3::Bucket").values()
    assert "NotificationConfiguration" not in bucket["Properties"]
    assert StackOutput.READY_OBJECT not in template.body["Outputs"]


@pytest.mark.parametrize("setting", EACH)
def test_each_setting_brings_its_own_trigger_alone(synthesise: Callable[..., Template], setting: str) -> None:
    template = synthesise(**{setting: EACH[setting]})
    made = {name.removeprefix("whippet-dev-") for name in rules(template)}
    assert made == {"triggers.ready_object": {"ready"}, "triggers.drift": {"drift"}}.get(setting, set())
    assert len(template.of_type("AWS::Scheduler::Schedule")) == (setting == "triggers.schedule")
    (bucket,) = template.of_type("AWS::S3::Bucket").values()
    assert ("NotificationConfiguration" in bucket["Properties"]) is (setting == "triggers.ready_object")


def test_the_upload_of_the_data_sets_ready_is_waited_for_and_no_other(every: Template) -> None:
    (bucket,) = every.of_type("AWS::S3::Bucket").values()
    events = bucket["Properties"]["NotificationConfiguration"]["EventBridgeConfiguration"]
    assert events == {"EventBridgeEnabled": True}
    assert every.value(rules(every)["whippet-dev-ready"]["EventPattern"]) == {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": ["data-bucket"]}, "object": {"key": ["dataset/READY"]}},
    }
    assert every.value(every.body["Outputs"][StackOutput.READY_OBJECT]["Value"]) == "s3://data-bucket/dataset/READY"


def test_drift_of_this_environment_is_waited_for(every: Template) -> None:
    assert rules(every)["whippet-dev-drift"]["EventPattern"] == {
        "source": ["whippet"],
        "detail-type": ["Drift Found"],
        "detail": {"environment": ["dev"]},
    }
    assert every.function("start_run")["Environment"]["Variables"]["DRIFT_DAYS"] == "14"


def test_the_schedule_hands_on_a_time_that_is_the_same_at_each_attempt(every: Template) -> None:
    schedule = every.only("AWS::Scheduler::Schedule")
    assert (schedule["ScheduleExpression"], schedule["ScheduleExpressionTimezone"]) == (
        "cron(0 3 ? * SUN *)",
        "Europe/Berlin",
    )
    assert json.loads(schedule["Target"]["Input"]) == {
        "detail-type": contract.SCHEDULE_DETAIL_TYPE,
        "time": "<aws.scheduler.scheduled-time>",
    }


def test_a_schedule_may_invoke_the_function_and_only_for_this_environment(every: Template) -> None:
    roles = every.of_type("AWS::IAM::Role").items()
    name, role = next(item for item in roles if item[0].startswith("TriggersSchedule"))
    (trust,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "scheduler.amazonaws.com"}
    assert set(trust["Condition"]["StringEquals"]) == {"aws:SourceAccount", "aws:SourceArn"}
    (policy,) = [
        item["Properties"]
        for item in every.of_type("AWS::IAM::Policy").values()
        if {"Ref": name} in item["Properties"]["Roles"]
    ]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Action"] == "lambda:InvokeFunction"
    assert statement["Resource"]["Fn::GetAtt"][0].startswith("TriggersFunction")


def test_the_function_starts_runs_and_sees_what_changed(every: Template, synthesise: Callable[..., Template]) -> None:
    def allowed(template: Template) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for name, statement in template.statements():
            if name.startswith("TriggersFunction"):
                for action in listed(statement["Action"]):
                    found.setdefault(action, set()).update(listed(statement["Resource"]))
        return found

    machine = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:whippet-dev"
    assert allowed(every)["states:StartExecution"] == {machine}
    assert allowed(every)["s3:ListBucketVersions"] == {"arn:aws:s3:::data-bucket"}
    without = allowed(synthesise(**{"triggers.drift": "true"}))
    assert "s3:ListBucketVersions" not in without
    lock = {f"arn:aws:s3:::data-bucket/{contract.start_lock_key('whippet-dev')}"}
    assert without["s3:GetObject"] == without["s3:PutObject"] == lock


def test_what_is_not_delivered_is_tried_for_a_day_and_then_told(every: Template) -> None:
    lasting = {"MaximumEventAgeInSeconds": 86_400, "MaximumRetryAttempts": 185}
    schedule = every.only("AWS::Scheduler::Schedule")
    assert [rule["Targets"][0]["RetryPolicy"] for rule in rules(every).values()] == [lasting, lasting]
    assert schedule["Target"]["RetryPolicy"] == lasting

    # what the function fails at goes to the topic, and the alarm hears of what did not reach it
    topic = next(iter(every.of_type("AWS::SNS::Topic")))
    attempts = [
        item["Properties"]
        for name, item in every.of_type("AWS::Lambda::EventInvokeConfig").items()
        if name.startswith("Triggers")
    ]
    assert [each["DestinationConfig"] for each in attempts] == [{"OnFailure": {"Destination": {"Ref": topic}}}]
    (alarm,) = [
        every.value(item["Properties"])
        for item in every.of_type("AWS::CloudWatch::Alarm").values()
        if item["Properties"]["AlarmName"] == "whippet-dev-trigger-failed"
    ]
    watched = [item["MetricStat"]["Metric"] for item in alarm["Metrics"] if "MetricStat" in item]
    assert {(each["MetricName"], each["Dimensions"][0]["Value"]) for each in watched} == {
        ("FailedInvocations", "whippet-dev-ready"),
        ("FailedInvocations", "whippet-dev-drift"),
        ("InvocationDroppedCount", "whippet-dev"),
    }


def test_triggers_go_before_the_clean_up_ends_what_runs(every: Template) -> None:
    (cleanup,) = every.of_type("Custom::WhippetCleanup") or [None]
    made = [name for name in every.resources if name.startswith("Triggers")]
    assert made
    for name in made:
        assert cleanup in listed(every.resources[name].get("DependsOn", [])), name


def test_with_a_customers_key_the_schedule_is_encrypted_with_it(synthesise: Callable[..., Template]) -> None:
    key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
    template = synthesise(**EACH, **{"security.kms_key": key})
    assert template.value(template.only("AWS::Scheduler::Schedule")["KmsKeyArn"]) == key
    actions = {
        action
        for name, statement in template.statements()
        if name.startswith("TriggersSchedule")
        for action in listed(statement["Action"])
    }
    assert actions == {"lambda:InvokeFunction", "kms:Decrypt"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"triggers.schedule": "weekly"}, "weekly is neither rate"),
        ({"triggers.schedule": "cron(0 3 * * SUN *)"}, "exactly one of day of month and day of week"),
        ({"triggers.schedule": "rate(1 minute)"}, "more often than once an hour"),
        ({"triggers.schedule": "rate(1 day)", "triggers.time_zone": "Mars/Base"}, "Mars/Base is no time zone"),
        ({"triggers.time_zone": "Europe/Berlin"}, "has no effect without triggers.schedule"),
    ],
)
def test_wrong_settings_are_refused_with_what_is_right(given: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        settings(**given)
