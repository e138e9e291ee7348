"""The front door: POST /classify and GET /health behind an API key, a throttle and a quota."""

from __future__ import annotations

import json

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.names import Names
from infra.python_function import PythonFunction
from infra.settings import ApiSettings

__all__ = ["PROBLEMS", "Api"]

STAGE = "v1"
_INTEGRATION_TIMEOUT = cdk.Duration.seconds(29)
"""API Gateway waits no longer (quota "Integration timeout")."""

PROBLEMS: dict[str, tuple[str, str, str]] = {
    "INVALID_API_KEY": (
        "403",
        "No valid API key",
        "Send your key in the header x-api-key. The stack's output ApiKeyCommand prints it.",
    ),
    "ACCESS_DENIED": ("403", "Access denied", "This caller may not use the API."),
    "MISSING_AUTHENTICATION_TOKEN": (
        "404",
        "No such route",
        "There are POST /classify and GET /health, below the stage's path.",
    ),
    "REQUEST_TOO_LARGE": (
        "413",
        "Request too large",
        "API Gateway takes 10 MB, an image may have 4.5 MB: make it smaller and send it again.",
    ),
    "THROTTLED": ("429", "Too many requests", "The key's rate is exceeded: wait a second and try again."),
    "QUOTA_EXCEEDED": (
        "429",
        "Quota exceeded",
        "The key's requests of today are used up; raise api.daily_quota or wait.",
    ),
    "INTEGRATION_TIMEOUT": ("504", "No answer in time", "The model took too long: try again, or send a smaller image."),
    "DEFAULT_4XX": ("", "Request refused", "$context.error.message"),
    "DEFAULT_5XX": ("", "Internal error", "The API failed; try again. Its log group has the reason."),
}
"""API Gateway's own refusals: status (empty: API Gateway's), title, detail."""


class Api(Construct):
    """REST API, its Lambda, key, usage plan, access log."""

    def __init__(self, scope: Construct, construct_id: str, *, names: Names, settings: ApiSettings) -> None:
        super().__init__(scope, construct_id)
        self.function = PythonFunction(
            self,
            "Function",
            name="classify",
            description="POST /classify and GET /health",
            environment={"ENDPOINT_NAME": names.endpoint},
            statements=[
                iam.PolicyStatement(
                    actions=["sagemaker:InvokeEndpoint", "sagemaker:DescribeEndpoint"],
                    resources=[names.endpoint_arn],
                ),
                # Tracing has no resources in IAM.
                iam.PolicyStatement(actions=["xray:PutTraceSegments", "xray:PutTelemetryRecords"], resources=["*"]),
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
        """Base URL with a slash at its end."""
        return self.rest.url

    def _build_rest(self, names: Names, settings: ApiSettings) -> apigateway.RestApi:
        access_log = logs.LogGroup(
            self, "AccessLog", retention=logs.RetentionDays.THREE_MONTHS, removal_policy=cdk.RemovalPolicy.DESTROY
        )
        rest = apigateway.RestApi(
            self,
            "Rest",
            rest_api_name=names.prefix,
            description="Classifies photos with the model in service",
            # Every type, so that the image's bytes arrive unharmed whatever a client calls them.
            binary_media_types=["*/*"],
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            # The role by which API Gateway writes logs is one per account and region and other stacks may use it.
            cloud_watch_role=True,
            cloud_watch_role_removal_policy=cdk.RemovalPolicy.RETAIN,
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
        rest.node.try_remove_child("Endpoint")  # CDK's own output; ours has a stable name
        return rest

    def _add_routes(self) -> None:
        integration = apigateway.LambdaIntegration(self.function.function, timeout=_INTEGRATION_TIMEOUT)
        classify = self.rest.root.add_resource("classify")
        classify.add_method("POST", integration, api_key_required=True)
        self.rest.root.add_resource("health").add_method("GET", integration, api_key_required=True)

    def _add_problems(self) -> None:
        for kind, (status, title, detail) in PROBLEMS.items():
            body = {
                "type": "about:blank",
                "title": title,
                "status": int(status) if status else "$context.status",
                "detail": detail,
            }
            text = json.dumps(body).replace('"$context.status"', "$context.status")
            text = text.replace('"$context.error.message"', "$context.error.messageString")
            self.rest.add_gateway_response(
                "".join(part.title() for part in kind.split("_")),
                type=apigateway.ResponseType.of(kind),
                status_code=status or None,
                # Gateway responses render the application/json template, whatever a client accepts.
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
