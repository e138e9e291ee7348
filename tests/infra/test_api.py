"""The API in the template: its key, its limits, and its own errors."""

from __future__ import annotations

import json

import pytest

from tests.infra.template import Template


def test_every_method_demands_an_api_key_of_a_limited_usage_plan(template: Template) -> None:
    methods = template.of_type("AWS::ApiGateway::Method").values()
    assert {item["Properties"]["HttpMethod"] for item in methods} == {"GET", "POST"}
    assert all(item["Properties"]["ApiKeyRequired"] for item in methods)
    plan = template.only("AWS::ApiGateway::UsagePlan")
    assert plan["Throttle"] == {"BurstLimit": 20, "RateLimit": 10}
    assert plan["Quota"] == {"Limit": 10_000, "Period": "DAY"}
    assert len(plan["ApiStages"]) == 1
    assert template.only("AWS::ApiGateway::UsagePlanKey")["KeyType"] == "API_KEY"


def test_images_of_any_type_arrive_as_bytes_and_accesses_are_logged(template: Template) -> None:
    assert template.only("AWS::ApiGateway::RestApi")["BinaryMediaTypes"] == ["*/*"]
    stage = template.only("AWS::ApiGateway::Stage")
    assert stage["AccessLogSetting"]["DestinationArn"]
    assert stage["MethodSettings"][0]["ThrottlingRateLimit"] == 10


@pytest.mark.parametrize(
    ("kind", "status"),
    [("INVALID_API_KEY", "403"), ("THROTTLED", "429"), ("REQUEST_TOO_LARGE", "413"), ("DEFAULT_5XX", None)],
)
def test_api_gateways_own_refusals_are_problem_details(template: Template, kind: str, status: str | None) -> None:
    responses = {
        item["Properties"]["ResponseType"]: item["Properties"]
        for item in template.of_type("AWS::ApiGateway::GatewayResponse").values()
    }
    response = responses[kind]
    assert response.get("StatusCode") == status
    assert response["ResponseParameters"]["gatewayresponse.header.Content-Type"] == "'application/problem+json'"
    text = response["ResponseTemplates"]["application/json"]
    text = text.replace("$context.status", "500").replace("$context.error.messageString", '"x"')
    assert set(json.loads(text)) == {"type", "title", "status", "detail"}
