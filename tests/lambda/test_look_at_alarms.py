"""LookAtAlarms names the alarm that is on before the rollout, and how a new model gets in all the same."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from look_at_alarms import handler as look_at_alarms

from tests.fakes.lambda_context import Context

NAMES = [f"whippet-dev-endpoint-{kind}" for kind in ("errors", "latency", "unknown")]


@pytest.mark.parametrize("on", [[], NAMES[:1], NAMES[:2]])
def test_it_says_what_is_on_and_what_to_do(monkeypatch: pytest.MonkeyPatch, context: Context, on: list[str]) -> None:
    client = boto3.client("cloudwatch", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")
    asked = {"AlarmNames": NAMES, "AlarmTypes": ["MetricAlarm"], "StateValue": "ALARM"}
    found = {"MetricAlarms": [{"AlarmName": name, "StateReason": "9 % is more than 5."} for name in on]}
    monkeypatch.setattr(look_at_alarms, "cloudwatch", client)
    monkeypatch.setenv("ALARMS", ",".join(NAMES))
    monkeypatch.setenv("NAME_PREFIX", "whippet-dev")
    with Stubber(client) as stub:
        stub.add_response("describe_alarms", found, asked)
        event: Any = {}
        answer = look_at_alarms.handler(event, context)  # type: ignore[arg-type]

    assert answer["on"] is bool(on)
    assert ("whippet rollback" in answer["said"]) is bool(on)
    if on:
        assert f"{on[0]} is on: 9 % is more than 5." in answer["said"]
        limits = ["-c release.max_error_share=", "-c release.max_latency_ms="][: len(on)]
        assert f"`cdk deploy {' '.join(limits)}`" in answer["said"]
        assert "max_unknown_share" not in answer["said"]
