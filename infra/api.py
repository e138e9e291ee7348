"""The API: POST /classify and GET /health behind an API key, a throttle and a quota; GET / is a page for people."""

from __future__ import annotations

import json

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_logs as logs
from constructs import Construct

import contract
from infra.acknowledged import acknowledge
from infra.names import Names
from infra.permissions import NO_RESOURCES, Permission
from infra.python_function import LOG_RETENTION, PythonFunction
from infra.settings import ApiSettings

__all__ = ["PROBLEMS", "Api"]

STAGE = "v1"
_INTEGRATION_TIMEOUT = cdk.Duration.seconds(29)
"""The longest that API Gateway waits (quota "Integration timeout")."""

PROBLEMS: dict[str, tuple[str, str, str]] = {
    "INVALID_API_KEY": (
        "403",
        "No valid API key",
        "Send your key in the header x-api-key. The command in the stack's output ApiKeyCommand prints it.",
    ),
    "ACCESS_DENIED": ("403", "Access denied", "This caller is not allowed to use the API."),
    "MISSING_AUTHENTICATION_TOKEN": (
        "404",
        "No such route",
        "The API has POST /classify, GET /health and a page at GET / below the stage's path.",
    ),
    "REQUEST_TOO_LARGE": (
        "413",
        "Request too large",
        "An image may have 4 MB, or 3 MB in base64 as JSON: make the image smaller and send it again.",
    ),
    "THROTTLED": ("429", "Too many requests", "The key's rate is exceeded: wait a second and try again."),
    "QUOTA_EXCEEDED": (
        "429",
        "Quota exceeded",
        "The key's requests for today are used up: try again tomorrow, or raise the setting api.daily_quota.",
    ),
    "BAD_REQUEST_BODY": ("400", "Unreadable request", "The body is not what the API takes: send an image's bytes."),
    "RESOURCE_NOT_FOUND": (
        "404",
        "No such route",
        "The API has POST /classify, GET /health and a page at GET / below the stage's path.",
    ),
    "UNSUPPORTED_MEDIA_TYPE": (
        "415",
        "Not an image",
        "Send the image's bytes with an image/* content type, or JSON with the image in base64.",
    ),
    "EXPIRED_TOKEN": ("403", "Access denied", "The request's signature has expired: send the key alone, unsigned."),
    "INVALID_SIGNATURE": ("403", "Access denied", "The request's signature is wrong: send the key alone, unsigned."),
    "API_CONFIGURATION_ERROR": ("500", "Internal error", "The API is set up wrongly: deploy the stack again."),
    "INTEGRATION_FAILURE": (
        "504",
        "No answer",
        "The API's function failed: try again. Its log has the reason.",
    ),
    "INTEGRATION_TIMEOUT": ("504", "No answer in time", "The model took too long: try again, or send a smaller image."),
    "DEFAULT_4XX": ("", "Request refused", "$context.error.message"),
    "DEFAULT_5XX": ("", "Internal error", "The API failed: try again. The reason is in its log group."),
}
"""The errors that API Gateway itself answers with, by type: status (empty: API Gateway's own), title and detail.

A body may hold the variables for mapping templates alone ("Variables for data transformations for API Gateway"). The
status is none of them, so that the two defaults, which stand for several, leave it out (RFC 9457 allows that).
"""


class Api(Construct):
    """The REST API with its Lambda function, key, usage plan and access log."""

    def __init__(
        self, scope: Construct, construct_id: str, *, names: Names, settings: ApiSettings, mode: contract.ServingMode
    ) -> None:
        super().__init__(scope, construct_id)
        self.function = PythonFunction(
            self,
            "Function",
            name="classify",
            description="POST /classify, GET /health and the page at GET /",
            environment={"ENDPOINT_NAME": names.endpoint, "SERVING_MODE": mode},
            permissions=[
                Permission(
                    actions=["sagemaker:InvokeEndpoint", "sagemaker:DescribeEndpoint"],
                    resources=[names.endpoint_arn],
                ),
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
        self.rest = self._build_rest(names, settings)
        self._add_routes()
        self._add_problems()
        self.key = self._build_key(names, settings)

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
                access_log_format=apigateway.AccessLogFormat.json_with_standard_fields(
                    caller=False,
                    http_method=True,
                    ip=True,
                    protocol=True,
                    request_time=True,
                    resource_path=True,
                    response_length=True,
                    status=True,
                    user=False,
                ),
            ),
        )
        # CDK's output has a generated name; the stack's ApiUrl has a fixed one.
        rest.node.try_remove_child("Endpoint")
        _acknowledge_findings(rest)
        return rest

    def _add_routes(self) -> None:
        integration = apigateway.LambdaIntegration(self.function.function, timeout=_INTEGRATION_TIMEOUT)
        classify = self.rest.root.add_resource("classify")
        classify.add_method("POST", integration, api_key_required=True)
        self.rest.root.add_resource("health").add_method("GET", integration, api_key_required=True)
        # A browser that is sent to the page has no key; the page asks the person for it.
        self.rest.root.add_method("GET", integration, api_key_required=False)

    def _add_problems(self) -> None:
        for kind, (status, title, detail) in PROBLEMS.items():
            body: dict[str, str | int] = {"type": "about:blank", "title": title, "detail": detail}
            if status:
                body["status"] = int(status)
            # API Gateway puts a quoted string in this place.
            text = json.dumps(body).replace('"$context.error.message"', "$context.error.messageString")
            self.rest.add_gateway_response(
                "".join(part.title() for part in kind.split("_")),
                type=apigateway.ResponseType.of(kind),
                status_code=status or None,
                # API Gateway renders the application/json template whatever a client accepts.
                templates={"application/json": text},
                response_headers={"Content-Type": "'application/problem+json'"},
            )

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


def _acknowledge_findings(rest: apigateway.RestApi) -> None:
    acknowledge(
        rest,
        {
            "AwsSolutions-APIG2": "Bodies are images of any type; the Lambda checks them and answers with problem "
            "details.",
            "AwsSolutions-APIG3": "A web ACL costs more than a small API; key, throttle and quota limit every caller.",
            "AwsSolutions-APIG4": "Every method demands an API key of a usage plan but GET /, a page that is the same "
            "for everyone, tells nothing of the model and asks the person for the key; the stage's throttle limits it.",
            "AwsSolutions-COG4": "Every method demands an API key of a usage plan but GET /, a page that is the same "
            "for everyone; there are no users to sign in.",
            "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/"
            "AmazonAPIGatewayPushToCloudWatchLogs]": "API Gateway's account-wide log role takes exactly this policy.",
        },
    )
