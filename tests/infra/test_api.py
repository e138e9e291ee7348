"""The API in the template: its key, its limits, and its own errors."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes.api import REQUEST_ID
from tests.infra.template import Template, listed


def test_every_method_but_the_page_demands_an_api_key_of_a_limited_usage_plan(template: Template) -> None:
    methods = [item["Properties"] for item in template.of_type("AWS::ApiGateway::Method").values()]
    assert {item["HttpMethod"] for item in methods} == {"GET", "POST", "ANY"}
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


@pytest.mark.parametrize(("auth", "authorization"), [("iam", "AWS_IAM"), ("none", "NONE")])
def test_an_api_without_keys_is_signed_for_or_open_and_still_throttled(
    synthesise: Callable[..., Template], auth: str, authorization: str
) -> None:
    template = synthesise(**{"api.auth": auth})
    methods = [item["Properties"] for item in template.of_type("AWS::ApiGateway::Method").values()]
    assert {method["AuthorizationType"] for method in methods} == {authorization}
    assert not any(method.get("ApiKeyRequired") for method in methods)
    for kind in ("ApiKey", "UsagePlan", "UsagePlanKey"):
        assert not template.of_type(f"AWS::ApiGateway::{kind}")
    (stage,) = template.only("AWS::ApiGateway::Stage")["MethodSettings"]
    assert (stage["ThrottlingRateLimit"], stage["ThrottlingBurstLimit"]) == (10, 20)
    assert not {"ApiKeyId", "ApiKeyCommand"} & template.body["Outputs"].keys()


def test_web_pages_of_other_origins_may_not_call(template: Template) -> None:
    for response in gateway_responses(template).values():
        assert not [name for name in response["ResponseParameters"] if "Access-Control" in name]
    assert template.function("classify")["Environment"]["Variables"]["CORS_ORIGINS"] == ""


@pytest.mark.parametrize(
    ("origins", "allowed"),
    [
        ("https://a.example", "'https://a.example'"),
        ("*", "'*'"),
        ("https://a.example,http://localhost:8000", "method.request.header.Origin"),
    ],
)
def test_web_pages_of_named_origins_may_ask_first_and_read_errors(
    synthesise: Callable[..., Template], origins: str, allowed: str
) -> None:
    template = synthesise(**{"api.cors_origins": origins, "api.auth": "iam"})
    methods = [item["Properties"] for item in template.of_type("AWS::ApiGateway::Method").values()]
    preflights = [method for method in methods if method["HttpMethod"] == "OPTIONS"]
    assert len(preflights) == len(methods) / 3
    assert not any(method.get("ApiKeyRequired") or method["AuthorizationType"] != "NONE" for method in preflights)
    for response in gateway_responses(template).values():
        parameters = response["ResponseParameters"]
        assert parameters["gatewayresponse.header.Access-Control-Allow-Origin"] == allowed
    variables = template.function("classify")["Environment"]["Variables"]
    assert variables["CORS_ORIGINS"] == origins.replace(",", " ")


def test_the_function_reaches_uploads_and_nothing_else_in_the_bucket(template: Template) -> None:
    of_objects = [
        statement
        for name, statement in template.statements()
        if name.startswith("ApiFunction") and any(action.startswith("s3:") for action in listed(statement["Action"]))
    ]
    (statement,) = of_objects
    assert set(listed(statement["Action"])) == {"s3:PutObject", "s3:GetObject"}
    assert [resource.partition(":::")[2].partition("/")[2] for resource in listed(statement["Resource"])] == [
        "uploads/*"
    ]
    rules = template.only("AWS::S3::Bucket")["LifecycleConfiguration"]["Rules"]
    (rule,) = [rule for rule in rules if rule.get("Prefix") == "uploads/"]
    assert (rule["ExpirationInDays"], rule["NoncurrentVersionExpiration"]) == (1, {"NoncurrentDays": 1})


def test_no_photo_of_a_callers_is_kept_unless_the_owner_says_so(template: Template) -> None:
    assert template.function("classify")["Environment"]["Variables"]["FEEDBACK_DAYS"] == "0"
    assert "feedback" not in paths(template)
    assert not [each for _, each in template.statements() if "feedback/" in json.dumps(each["Resource"])]
    rules = template.only("AWS::S3::Bucket")["LifecycleConfiguration"]["Rules"]
    assert [rule["ExpirationInDays"] for rule in rules if rule.get("Prefix") == "feedback/"] == [90], (
        "what came while feedback was taken goes all the same"
    )


def test_the_function_may_add_feedback_and_neither_read_nor_list_it(synthesise: Callable[..., Template]) -> None:
    template = synthesise(**{"api.feedback": "true", "api.feedback_days": "30"})
    assert template.function("classify")["Environment"]["Variables"]["FEEDBACK_DAYS"] == "30"
    (statement,) = [
        each
        for name, each in template.statements()
        if name.startswith("ApiFunction") and "feedback/" in json.dumps(each["Resource"])
    ]
    assert listed(statement["Action"]) == ["s3:PutObject"]
    (resource,) = listed(statement["Resource"])
    assert resource.partition(":::")[2].partition("/")[2] == "feedback/*"
    rules = template.only("AWS::S3::Bucket")["LifecycleConfiguration"]["Rules"]
    (rule,) = [rule for rule in rules if rule.get("Prefix") == "feedback/"]
    assert (rule["ExpirationInDays"], rule["NoncurrentVersionExpiration"]) == (30, {"NoncurrentDays": 1})


@pytest.mark.parametrize("auth", ["api_key", "iam"])
def test_feedback_is_demanded_the_same_of_as_any_other_request(synthesise: Callable[..., Template], auth: str) -> None:
    template = synthesise(**{"api.feedback": "true", "api.auth": auth, "api.cors_origins": "https://a.example"})
    assert "feedback" in paths(template)
    methods = [item["Properties"] for item in template.of_type("AWS::ApiGateway::Method").values()]
    (resource,) = [
        name
        for name, item in template.of_type("AWS::ApiGateway::Resource").items()
        if item["Properties"]["PathPart"] == "feedback"
    ]
    of_feedback = {method["HttpMethod"]: method for method in methods if method["ResourceId"] == {"Ref": resource}}
    assert of_feedback.keys() == {"POST", "ANY", "OPTIONS"}
    for name in ("POST", "ANY"):
        assert of_feedback[name]["ApiKeyRequired"] is (auth == "api_key")
        assert of_feedback[name]["AuthorizationType"] == ("AWS_IAM" if auth == "iam" else "NONE")
    assert not of_feedback["OPTIONS"]["ApiKeyRequired"]


def paths(template: Template) -> set[str]:
    return {item["Properties"]["PathPart"] for item in template.of_type("AWS::ApiGateway::Resource").values()}


def test_no_uploads_are_taken_into_a_bucket_that_is_not_the_stacks(synthesise: Callable[..., Template]) -> None:
    template = synthesise(**{"dataset.bucket": "photos-of-ours", "dataset.prefix": "shop/"})
    assert template.function("classify")["Environment"]["Variables"]["UPLOADS_BUCKET"] == ""
    of_api = [statement for name, statement in template.statements() if name.startswith("ApiFunction")]
    assert of_api
    assert not [each for each in of_api if any(action.startswith("s3:") for action in listed(each["Action"]))]


def test_the_access_log_tells_who_asked_and_what_went_wrong(template: Template) -> None:
    """A-41."""
    stage = template.only("AWS::ApiGateway::Stage")
    logged = json.loads(stage["AccessLogSetting"]["Format"])
    assert {
        "$context.requestId", "$context.identity.apiKeyId", "$context.identity.userArn", "$context.error.responseType",
        "$context.responseLatency", "$context.integration.latency", "$context.status", "$context.resourcePath",
    } <= set(logged.values())  # fmt: skip


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
    values["$context.requestId"] = REQUEST_ID
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
        assert set(body) == {"type", "title", "detail", "instance"} | status, kind
        assert body["instance"] == f"urn:uuid:{REQUEST_ID}"
        assert response["ResponseParameters"]["gatewayresponse.header.X-Request-Id"] == "context.requestId"
        assert str(body.get("status")) == str(response.get("StatusCode")), kind
    statuses = {kind: response.get("StatusCode") for kind, response in responses.items()}
    assert statuses | {
        "INVALID_API_KEY": "403", "THROTTLED": "429", "REQUEST_TOO_LARGE": "413", "BAD_REQUEST_BODY": "400",
        "UNSUPPORTED_MEDIA_TYPE": "415", "EXPIRED_TOKEN": "403", "INVALID_SIGNATURE": "403",
        "RESOURCE_NOT_FOUND": "404", "API_CONFIGURATION_ERROR": "500", "INTEGRATION_FAILURE": "504",
        "DEFAULT_4XX": None, "DEFAULT_5XX": None,
    } == statuses  # fmt: skip


def test_a_caller_who_has_to_sign_is_not_told_of_keys_or_routes_alone(synthesise: Callable[..., Template]) -> None:
    """API Gateway has one error for a missing signature and a missing route."""
    responses = gateway_responses(synthesise(**{"api.auth": "iam"}))
    said = {kind: rendered(response["ResponseTemplates"]["application/json"]) for kind, response in responses.items()}
    unsigned = said["MISSING_AUTHENTICATION_TOKEN"]
    assert (unsigned["status"], unsigned["title"]) == (403, "Not signed, or no such route")
    assert responses["MISSING_AUTHENTICATION_TOKEN"]["StatusCode"] == "403"
    for kind in ("EXPIRED_TOKEN", "INVALID_SIGNATURE"):
        assert "sign" in said[kind]["detail"]
        assert "key" not in said[kind]["detail"]
    assert said["RESOURCE_NOT_FOUND"]["status"] == 404


def test_a_request_too_many_is_told_when_to_come_back(template: Template) -> None:
    """A used up quota is none of them: it comes back the next day."""
    waits = {
        kind: response["ResponseParameters"].get("gatewayresponse.header.Retry-After")
        for kind, response in gateway_responses(template).items()
    }
    assert {kind: wait for kind, wait in waits.items() if wait} == {"THROTTLED": "'1'", "INTEGRATION_TIMEOUT": "'1'"}


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
