"""The API: classification, uploads, feedback and health behind a key or IAM, throttle and quota; GET / is a page."""

from __future__ import annotations

import json
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_logs as logs
from constructs import Construct

import contract
from infra.acknowledged import acknowledge
from infra.dataset import Dataset
from infra.gateway_problems import add_problems
from infra.names import Names
from infra.pause import SleepRecord
from infra.permissions import NO_RESOURCES, OBJECTS, Permission
from infra.python_function import LOG_RETENTION, POWERTOOLS, PythonFunction
from infra.settings import Settings
from infra.settings.api import ApiAuth, ApiSettings

__all__ = ["FEEDBACK_ROUTE", "ROUTES", "Api", "execution_log_group"]

STAGE = "v1"
_INTEGRATION_TIMEOUT = cdk.Duration.seconds(29)
"""The longest that API Gateway waits (quota "Integration timeout")."""

ROUTES = {"classify": "POST", "uploads": "POST", "health": "GET", "openapi.json": "GET"}
"""The API's paths, and the method of each."""

FEEDBACK_ROUTE = {"feedback": "POST"}
"""The path that is there where the settings ask for it (`api.feedback`)."""

_AUTHORIZATIONS: dict[ApiAuth, apigateway.AuthorizationType] = {
    "api_key": apigateway.AuthorizationType.NONE,
    "iam": apigateway.AuthorizationType.IAM,
    "none": apigateway.AuthorizationType.NONE,
}

_ACCESS_LOG = {
    "requestId": "$context.requestId",
    "requestTime": "$context.requestTime",
    "ip": "$context.identity.sourceIp",
    "apiKeyId": "$context.identity.apiKeyId",
    "userArn": "$context.identity.userArn",
    "httpMethod": "$context.httpMethod",
    "resourcePath": "$context.resourcePath",
    "protocol": "$context.protocol",
    "status": "$context.status",
    "errorType": "$context.error.responseType",
    "responseLength": "$context.responseLength",
    "responseLatency": "$context.responseLatency",
    "integrationStatus": "$context.integration.status",
    "integrationLatency": "$context.integration.latency",
    "integrationError": "$context.integration.error",
    "xrayTraceId": "$context.xrayTraceId",
}
"""A line of the access log: who asked what, by which key or identity, what it got, and after how many milliseconds.

Source: "Variables for access logging for API Gateway".
"""


def execution_log_group(api_id: str) -> str:
    """Return the name of the log group to which API Gateway writes its own log of an API."""
    return f"API-Gateway-Execution-Logs_{api_id}/{STAGE}"


class Api(Construct):
    """The REST API with its Lambda function, access log, and a key and its usage plan where it takes keys."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        names: Names,
        dataset: Dataset,
        settings: Settings,
        record: SleepRecord,
    ) -> None:
        super().__init__(scope, construct_id)
        api = settings.api

        # the function behind every route
        self.function = PythonFunction(
            self,
            "Function",
            name="classify",
            description="POST /classify, POST /uploads, GET /health and the page at GET /",
            packages=(POWERTOOLS,),
            environment={
                "ENDPOINT_NAME": names.endpoint,
                "SERVING_MODE": settings.serving.mode,
                "API_AUTH": api.auth,
                "CORS_ORIGINS": " ".join(api.cors_origins),
                # in a bucket that is not the stack's own, nothing would delete them
                "UPLOADS_BUCKET": dataset.bucket.bucket_name if dataset.owned else "",
                "FEEDBACK_DAYS": str(api.feedback_days if api.feedback else 0),
                "SLEEP_RECORD": record.name,
                "ENVIRONMENT": settings.env,
            },
            permissions=[
                Permission(
                    actions=["sagemaker:InvokeEndpoint", "sagemaker:DescribeEndpoint"],
                    resources=[names.endpoint_arn],
                ),
                *record.wake(),
                *(_take_uploads(dataset) if dataset.owned else []),
                *(_keep_feedback(dataset) if api.feedback else []),
                Permission(
                    actions=["xray:PutTraceSegments", "xray:PutTelemetryRecords"],
                    resources=["*"],
                    reason=NO_RESOURCES,
                ),
            ],
            timeout=_INTEGRATION_TIMEOUT,
            memory_mib=1024,
            tracing=True,
        )

        # what is before it: routes, errors of API Gateway's own, and the key
        self.rest = self._build_rest(names, api)
        self._add_routes(api)
        add_problems(self.rest, auth=api.auth, origins=api.cors_origins)
        self.key = self._build_key(names, api) if api.auth == "api_key" else None

    @property
    def url(self) -> str:
        """Base URL, with a slash at its end."""
        return self.rest.url

    def _build_rest(self, names: Names, settings: ApiSettings) -> apigateway.RestApi:
        access_log = logs.LogGroup(self, "AccessLog", retention=LOG_RETENTION, removal_policy=cdk.RemovalPolicy.DESTROY)
        rest = apigateway.RestApi(
            self,
            "Rest",
            rest_api_name=names.prefix,
            description="Classifies photos with the model in service",
            # Every type is binary, so that an image's bytes arrive unchanged whatever content type a client names.
            binary_media_types=["*/*"],
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            # API Gateway's log role is one per account and region, and other stacks may use it: it is kept, but not
            # by a first deployment that fails, which would leave one more each time.
            cloud_watch_role=True,
            cloud_watch_role_removal_policy=cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
            deploy_options=apigateway.StageOptions(
                stage_name=STAGE,
                throttling_rate_limit=settings.rate,
                throttling_burst_limit=settings.burst,
                tracing_enabled=True,
                logging_level=apigateway.MethodLoggingLevel.ERROR,
                data_trace_enabled=False,
                metrics_enabled=True,
                access_log_destination=apigateway.LogGroupLogDestination(access_log),
                access_log_format=apigateway.AccessLogFormat.custom(json.dumps(_ACCESS_LOG)),
            ),
        )
        # The group of API Gateway's own log has this name. Made here, it has a retention and goes with the stack.
        execution_log = logs.LogGroup(
            self,
            "ExecutionLog",
            log_group_name=execution_log_group(rest.rest_api_id),
            retention=LOG_RETENTION,
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        rest.deployment_stage.node.add_dependency(execution_log)
        # CDK's output has a generated name; the stack's ApiUrl has a fixed one.
        rest.node.try_remove_child("Endpoint")
        _acknowledge_findings(rest, settings.auth)
        return rest

    def _add_routes(self, settings: ApiSettings) -> None:
        integration = apigateway.LambdaIntegration(self.function.function, timeout=_INTEGRATION_TIMEOUT)
        needs: dict[str, Any] = {
            "api_key_required": settings.auth == "api_key",
            "authorization_type": _AUTHORIZATIONS[settings.auth],
        }
        for path, method in (ROUTES | (FEEDBACK_ROUTE if settings.feedback else {})).items():
            resource = self.rest.root.add_resource(path)
            resource.add_method(method, integration, **needs)
            # the function tells the right method, where API Gateway says that there is no such route
            resource.add_method("ANY", integration, **needs)
            if settings.cors_origins:
                # A browser asks before it sends, and sends neither key nor signature with that (Fetch standard). The
                # function answers, which can name the one of several origins that asks.
                preflight = resource.add_method("OPTIONS", integration, api_key_required=False)
                reason = "A browser's preflight carries no credentials; it is throttled and gets headers alone."
                acknowledge(preflight, dict.fromkeys(("AwsSolutions-APIG4", "AwsSolutions-COG4"), reason))
        if settings.auth != "iam":
            # A browser that is sent to the page has no key; the page asks the person for it. It could not sign.
            shown = self.rest.root.add_method("GET", integration, api_key_required=False)
            reason = (
                "A page that is the same for everyone and tells nothing of the model; the stage's throttle limits it."
            )
            acknowledge(shown, dict.fromkeys(("AwsSolutions-APIG4", "AwsSolutions-COG4"), reason))

    def _build_key(self, names: Names, settings: ApiSettings) -> apigateway.ApiKey:
        key = apigateway.ApiKey(self, "Key", description=f"Key of the {names.prefix} API")
        plan = self.rest.add_usage_plan(
            "Plan",
            throttle=apigateway.ThrottleSettings(rate_limit=settings.rate, burst_limit=settings.burst),
            quota=apigateway.QuotaSettings(limit=settings.daily_quota, period=apigateway.Period.DAY),
        )
        plan.add_api_key(key)
        plan.add_api_stage(stage=self.rest.deployment_stage)
        return key


def _take_uploads(dataset: Dataset) -> list[Permission]:
    """Return the permissions of the forms that the function signs, which may do what it may, and to read what came."""
    uploads = [dataset.arn(f"{contract.UPLOADS_PREFIX}*")]
    return [Permission(actions=["s3:PutObject", "s3:GetObject"], resources=uploads, reason=OBJECTS)]


def _keep_feedback(dataset: Dataset) -> list[Permission]:
    """Return the permission to add feedback, which the function may neither read nor list."""
    feedback = [dataset.arn(f"{contract.FEEDBACK_PREFIX}*")]
    return [Permission(actions=["s3:PutObject"], resources=feedback, reason=OBJECTS)]


_WHO_IS_ASKED: dict[str, str] = {
    "api_key": "Every method demands an API key of a usage plan; callers who must be identified are for api.auth=iam.",
    "iam": "Every method demands a request that an IAM identity has signed.",
    "none": "The settings open the API to everybody (api.auth=none); the stage's throttle bounds what that costs.",
}
"""Why there is no other authorisation, by `api.auth`."""


def _acknowledge_findings(rest: apigateway.RestApi, auth: ApiAuth) -> None:
    acknowledge(
        rest,
        {
            "AwsSolutions-APIG2": "Bodies are images of any type; the Lambda checks them and answers with problem "
            "details.",
            "AwsSolutions-APIG3": "A web ACL costs more than a small API; the stage's throttle limits all callers "
            "together, and the key's quota each of them.",
            "AwsSolutions-APIG4": _WHO_IS_ASKED[auth],
            "AwsSolutions-COG4": f"{_WHO_IS_ASKED[auth]} There are no users to sign in.",
            "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/"
            "AmazonAPIGatewayPushToCloudWatchLogs]": "API Gateway's account-wide log role takes exactly this policy.",
        },
    )
