"""What the template holds with `monitoring.capture_percent`, and without it; and which settings are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import contract
from infra.settings import Settings, SettingsError
from tests.infra.app_process import EVERY_FUNCTION, cdk_context
from tests.infra.template import ACCOUNT, REGION, Template, listed
from tests.infra.test_encryption import GIVEN

CAPTURED = "captured/whippet-dev/AllTraffic/*"


@pytest.fixture(scope="module")
def captured(synthesise: Callable[..., Template]) -> Template:
    return synthesise(**EVERY_FUNCTION, **{"monitoring.capture_days": "7", "monitoring.drift_hours": "6"})


def capture_config(template: Template) -> dict[str, Any] | None:
    config: dict[str, Any] | None = template.definition()["States"]["CreateEndpointConfig"]["Parameters"].get(
        "DataCaptureConfig"
    )
    return config


def statements(template: Template, policy: str) -> list[dict[str, Any]]:
    return [statement for name, statement in template.statements() if name.startswith(policy)]


def test_by_default_nothing_is_captured_and_nothing_checked(synthesise: Callable[..., Template]) -> None:
    template = synthesise(**{"serving.mode": "realtime", "monitoring.alarms": "true", "monitoring.dashboard": "true"})
    assert capture_config(template) is None
    assert not [name for name in template.resources if name.startswith("Drift")]
    assert not [one for one in statements(template, "EndpointRole") if "s3:PutObject" in listed(one["Action"])]
    assert "Drift" not in str(template.of_type("AWS::CloudWatch::Alarm"))


def test_a_share_of_the_answers_is_captured_and_no_photos(captured: Template) -> None:
    config = capture_config(captured)
    assert config is not None
    assert config["CaptureOptions"] == [{"CaptureMode": "Output"}]
    assert config["InitialSamplingPercentage"] == 100
    assert config["DestinationS3Uri"].endswith("/captured")
    assert config["CaptureContentTypeHeader"] == {"JsonContentTypes": ["application/json"]}
    assert "KmsKeyId" not in config


def test_photos_are_captured_by_a_setting_of_their_own_and_with_the_key(synthesise: Callable[..., Template]) -> None:
    config = capture_config(
        synthesise(**EVERY_FUNCTION, **{"monitoring.capture_photos": "true", "security.kms_key": GIVEN})
    )
    assert config is not None
    assert config["CaptureOptions"] == [{"CaptureMode": "Output"}, {"CaptureMode": "Input"}]
    assert config["KmsKeyId"] == GIVEN


def test_what_was_captured_expires(captured: Template) -> None:
    rules = {rule["Id"]: rule for rule in captured.only("AWS::S3::Bucket")["LifecycleConfiguration"]["Rules"]}
    assert (rules["old-captures"]["Prefix"], rules["old-captures"]["ExpirationInDays"]) == ("captured/", 7)
    assert rules["old-captures"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}
    assert rules["old-drift-checks"]["Prefix"] == "drift/"


def test_the_endpoint_may_write_its_own_answers_and_nothing_else(captured: Template) -> None:
    (write,) = [one for one in statements(captured, "EndpointRole") if "s3:PutObject" in listed(one["Action"])]
    (resource,) = listed(write["Resource"])
    assert resource.endswith(f"/{CAPTURED}")


def test_the_check_comes_every_so_many_hours_with_the_settings(captured: Template) -> None:
    (rule,) = [
        item["Properties"]
        for name, item in captured.of_type("AWS::Events::Rule").items()
        if name.startswith("DriftSchedule")
    ]
    assert rule["ScheduleExpression"] == "rate(6 hours)"
    variables = captured.function("check_drift")["Environment"]["Variables"]
    assert (variables["CAPTURE_DAYS"], variables["DRIFT_HOURS"], variables["DRIFT_SHARE"]) == ("7", "6", "0.1")
    assert json.loads(variables["DRIFT_MEASURES"]) == list(contract.DRIFT_MEASURES)


def test_the_check_reads_answers_and_puts_its_own_metrics_and_event_alone(captured: Template) -> None:
    found = {action: one for one in statements(captured, "Drift") for action in listed(one["Action"])}
    reads = {resource.partition(":::")[2].partition("/")[2] for resource in listed(found["s3:GetObject"]["Resource"])}
    assert reads == {CAPTURED, "runs/*/results/test_predictions.csv", "drift/latest.json"}
    (written,) = listed(found["s3:PutObject"]["Resource"])
    assert written.endswith("/drift/*")
    namespace = {"StringEquals": {"cloudwatch:namespace": "whippet"}}
    assert found["cloudwatch:PutMetricData"]["Condition"] == namespace
    assert found["events:PutEvents"]["Resource"] == f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"
    told = {"events:source": "whippet", "events:detail-type": "Drift Found"}
    assert found["events:PutEvents"]["Condition"] == {"ForAllValues:StringEquals": told}


@pytest.mark.parametrize(
    ("context", "message"),
    [
        (
            {"monitoring.capture_percent": "10", "serving.mode": "serverless"},
            "captures nothing of serverless endpoints",
        ),
        (
            {"monitoring.capture_percent": "10", "serving.mode": "realtime", "dataset.bucket": "photos"},
            "nothing deletes them after monitoring.capture_days",
        ),
        ({"monitoring.capture_photos": "true"}, "monitoring.capture_photos has no effect"),
        (
            {"monitoring.drift_hours": "6", "monitoring.drift_share": "0.2"},
            "drift_hours, monitoring.drift_share has no",
        ),
        ({"monitoring.capture_percent": "101"}, "less than or equal to 100"),
        (
            {"monitoring.capture_percent": "1", "serving.mode": "realtime", "monitoring.drift_measures": "mood"},
            "drift_measures",
        ),
    ],
)
def test_what_cannot_be_is_refused(context: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Settings.from_context(cdk_context() | context)


def test_capture_without_a_check(synthesise: Callable[..., Template]) -> None:
    template = synthesise(**EVERY_FUNCTION, **{"monitoring.drift_hours": ""})
    assert capture_config(template)
    assert not [name for name in template.resources if name.startswith("Drift")]
    assert "drift" not in str(
        [item["Properties"]["AlarmName"] for item in template.of_type("AWS::CloudWatch::Alarm").values()]
    )
