"""The API in the template: its key, its limits, and its own errors."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.infra.template import Template


def test_every_method_but_the_page_demands_an_api_key_of_a_limited_usage_plan(template: Template) -> None:
    methods = [item["Properties"] for item in template.of_type("AWS::ApiGateway::Method").values()]
    assert {item["HttpMethod"] for item in methods} == {"GET", "POST"}
    (page,) = [item for item in methods if not item["ApiKeyRequired"]]
    assert page["HttpMethod"] == "GET"
    assert page["ResourceId"]["Fn::GetAtt"][1] == "RootResourceId"
    plan = template.only("AWS::ApiGateway::UsagePlan")
    assert plan["Throttle"] == {"BurstLimit": 20, "RateLimit": 10}
    assert plan["Quota"] == {"Limit": 10_000, "Period": "DAY"}
    assert len(plan["ApiStages"]) == 1
    assert template.only("AWS::ApiGateway::UsagePlanKey")["KeyType"] == "API_KEY"


def test_images_of_any_type_arrive_as_bytes_and_accesses_are_logged(template: Template) -> None:
    assert template.only("AWS::ApiGateway::RestApi")["BinaryMediaTypes"] == ["*/*"]
    stage = template.only("AWS::ApiGateway::Stage")
    assert stage["AccessLogSetting"]["DestinationArn"]
    (every_method,) = stage["MethodSettings"]
    assert (every_method["HttpMethod"], every_method["ResourcePath"]) == ("*", "/*"), "the page without a key, too"
    assert (every_method["ThrottlingRateLimit"], every_method["ThrottlingBurstLimit"]) == (10, 20)


_TEMPLATE_VARIABLES = {
    "$context.error.message",
    "$context.error.messageString",
    "$context.error.responseType",
    "$context.error.validationErrorString",
    "$context.requestId",
    "$context.extendedRequestId",
    "$context.path",
    "$context.resourcePath",
    "$context.httpMethod",
    "$context.stage",
}
"""Variables that a gateway response's template may use, of "Variables for data transformations for API Gateway".

`$context.status` and the others of "Variables for access logging" are replaced by nothing.
"""


def gateway_responses(template: Template) -> dict[str, dict[str, Any]]:
    found = template.of_type("AWS::ApiGateway::GatewayResponse").values()
    return {item["Properties"]["ResponseType"]: item["Properties"] for item in found}


def rendered(text: str) -> Any:
    """The template as API Gateway renders it: what it does not know becomes nothing."""
    values = {"$context.error.messageString": '"Forbidden \\"x\\""', "$context.error.message": 'Forbidden "x"'}
    return json.loads(re.sub(r"\$[A-Za-z.]+", lambda found: values.get(found[0], ""), text))


def test_gateway_responses_use_only_the_variables_of_mapping_templates(template: Template) -> None:
    """A-27."""
    for kind, response in gateway_responses(template).items():
        used = re.findall(r"\$[A-Za-z.]+", response["ResponseTemplates"]["application/json"])
        assert set(used) <= _TEMPLATE_VARIABLES, kind


def test_api_gateways_own_refusals_are_problem_details(template: Template) -> None:
    responses = gateway_responses(template)
    for kind, response in responses.items():
        assert response["ResponseParameters"]["gatewayresponse.header.Content-Type"] == "'application/problem+json'"
        body = rendered(response["ResponseTemplates"]["application/json"])
        status = {"status"} if "StatusCode" in response else set()
        assert set(body) == {"type", "title", "detail"} | status, kind
        assert str(body.get("status")) == str(response.get("StatusCode")), kind
    statuses = {kind: response.get("StatusCode") for kind, response in responses.items()}
    assert statuses | {
        "INVALID_API_KEY": "403", "THROTTLED": "429", "REQUEST_TOO_LARGE": "413", "BAD_REQUEST_BODY": "400",
        "UNSUPPORTED_MEDIA_TYPE": "415", "EXPIRED_TOKEN": "403", "INVALID_SIGNATURE": "403",
        "RESOURCE_NOT_FOUND": "404", "API_CONFIGURATION_ERROR": "500", "INTEGRATION_FAILURE": "504",
        "DEFAULT_4XX": None, "DEFAULT_5XX": None,
    } == statuses  # fmt: skip


def test_only_a_stack_that_was_created_keeps_what_outlives_it(template: Template) -> None:
    """A first deployment that fails leaves neither a bucket nor a role (A-68)."""
    kept = {
        (item["Type"], item.get("UpdateReplacePolicy"))
        for item in template.resources.values()
        if item.get("DeletionPolicy") == "RetainExceptOnCreate"
    }
    assert {kind for kind, _ in kept} == {"AWS::S3::Bucket", "AWS::IAM::Role", "AWS::ApiGateway::Account"}
    assert {policy for _, policy in kept} == {"Retain"}
    assert not [name for name, item in template.resources.items() if item.get("DeletionPolicy") == "Retain"]
