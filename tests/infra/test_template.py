"""What the template must hold: encryption, TLS, least privilege, limits at the door."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from infra.outputs import StackOutput
from tests.infra.template import Template

NO_RESOURCE_LEVEL = {
    "cloudwatch:PutMetricData",
    "ecr:GetAuthorizationToken",
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
    "sagemaker:ListEndpointConfigs",
    "sagemaker:ListHyperParameterTuningJobs",
    "sagemaker:ListModelPackages",
    "sagemaker:ListModels",
    "sagemaker:ListProcessingJobs",
    "sagemaker:ListTrainingJobs",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}
"""Actions that take no resources (IAM's Service Authorization Reference)."""


def listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def test_the_data_bucket_is_private_encrypted_versioned_and_kept(template: Template) -> None:
    (bucket,) = template.of_type("AWS::S3::Bucket").values()
    properties = bucket["Properties"]
    encryption = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]
    assert encryption["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert properties["VersioningConfiguration"]["Status"] == "Enabled"
    assert bucket["DeletionPolicy"] == bucket["UpdateReplacePolicy"] == "Retain"
    rules = {rule["Id"]: rule for rule in properties["LifecycleConfiguration"]["Rules"]}
    assert rules["bring-back"]["NoncurrentVersionExpiration"]["NoncurrentDays"] == 30
    assert rules["aborted-uploads"]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 7
    assert not any("Prefix" not in rule and "ExpirationInDays" in rule for rule in rules.values()), (
        "photos never expire"
    )


def test_bucket_and_topic_take_tls_only(template: Template) -> None:
    for kind in ("AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy"):
        statements = template.only(kind)["PolicyDocument"]["Statement"]
        denied = [item for item in statements if item["Effect"] == "Deny"]
        assert any(item["Condition"].get("Bool") == {"aws:SecureTransport": "false"} for item in denied), kind
    assert "KmsMasterKeyId" in template.only("AWS::SNS::Topic")


def test_a_bucket_that_is_not_kept_is_emptied_by_the_cleanup(synthesise: Callable[..., Template]) -> None:
    template = synthesise(**{"dataset.keep_at_destroy": "false"})
    (bucket,) = template.of_type("AWS::S3::Bucket").values()
    assert bucket["DeletionPolicy"] == "Delete"
    (cleanup,) = template.of_type("Custom::WhippetCleanup").values()
    assert template.value(cleanup["Properties"]["EmptyBucket"]) == "data-bucket"
    assert any("s3:DeleteObjectVersion" in listed(item["Action"]) for _, item in template.statements())


def test_a_kept_bucket_cannot_be_emptied_by_anyone(template: Template) -> None:
    (cleanup,) = template.of_type("Custom::WhippetCleanup").values()
    assert cleanup["Properties"]["EmptyBucket"] == ""
    actions = {action for _, item in template.statements() for action in listed(item["Action"])}
    assert not any(action.startswith("s3:Delete") for action in actions)


def test_an_existing_bucket_is_used_and_read_below_the_prefix_only(synthesise: Callable[..., Template]) -> None:
    template = synthesise(**{"dataset.bucket": "photos-of-ours", "dataset.prefix": "shop/"})
    assert not template.of_type("AWS::S3::Bucket")
    objects = {
        resource
        for _, item in template.statements()
        if "s3:GetObject" in listed(item["Action"])
        for resource in listed(item["Resource"])
        if ":::photos-of-ours" in resource
    }
    assert {resource.split("photos-of-ours/")[1] for resource in objects} == {"shop/*", "runs/*", "features/*"}


def test_no_policy_has_a_wildcard_action(template: Template) -> None:
    for name, statement in template.statements():
        assert "NotAction" not in statement, name
        for action in listed(statement["Action"]):
            assert "*" not in action, (name, action)


def test_only_actions_without_resources_are_allowed_on_everything(template: Template) -> None:
    for name, statement in template.statements():
        if "*" in listed(statement["Resource"]):
            assert set(listed(statement["Action"])) <= NO_RESOURCE_LEVEL, name


def test_wildcards_in_resources_only_end_a_name_of_this_system(template: Template) -> None:
    starts = (
        ":whippet-dev-",
        "model-package/whippet-dev/",
        "/whippet-dev-",
        "execution:whippet-dev:",
        ":::data-bucket/",
        ":log-stream:",
    )
    files = ("runs/*/report.html", "runs/*/profile.html", "runs/*/approval.json")
    for name, statement in template.statements():
        for resource in listed(statement["Resource"]):
            if resource.endswith(files):
                continue
            if "*" in resource.removesuffix("*"):
                raise AssertionError((name, resource))
            if resource.endswith("*") and resource != "*" and not resource.endswith(":*"):
                assert any(start in resource for start in starts), (name, resource)


def test_roles_are_passed_to_sagemaker_only(template: Template) -> None:
    passing = [item for _, item in template.statements() if "iam:PassRole" in listed(item["Action"])]
    assert len(passing) == 1
    assert passing[0]["Condition"] == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    assert all("*" not in resource for resource in listed(passing[0]["Resource"]))


def test_the_training_role_cannot_change_the_photos(template: Template) -> None:
    writing = [
        resource
        for name, item in template.statements()
        if name.startswith("TrainingRole") and "s3:PutObject" in listed(item["Action"])
        for resource in listed(item["Resource"])
    ]
    assert sorted(writing) == ["arn:aws:s3:::data-bucket/features/*", "arn:aws:s3:::data-bucket/runs/*"]


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


def test_every_log_group_has_a_retention_and_every_function_a_log_group(template: Template) -> None:
    for name, item in template.of_type("AWS::Logs::LogGroup").items():
        assert item["Properties"]["RetentionInDays"] == 90, name
        assert item["DeletionPolicy"] == "Delete", name
    for name, item in template.of_type("AWS::Lambda::Function").items():
        assert "LogGroup" in item["Properties"]["LoggingConfig"], name


def test_the_endpoints_log_group_is_the_one_sagemaker_writes_to(template: Template) -> None:
    names = {item["Properties"].get("LogGroupName") for item in template.of_type("AWS::Logs::LogGroup").values()}
    assert "/aws/sagemaker/Endpoints/whippet-dev" in names


def test_the_state_machine_logs_and_traces(template: Template) -> None:
    machine = template.only("AWS::StepFunctions::StateMachine")
    assert machine["StateMachineName"] == "whippet-dev"
    assert machine["LoggingConfiguration"]["Level"] == "ALL"
    assert machine["TracingConfiguration"] == {"Enabled": True}


def test_the_registry_is_scanned_immutable_and_goes_with_its_images(template: Template) -> None:
    registry = template.only("AWS::ECR::Repository")
    assert registry["RepositoryName"] == "whippet-dev-serving"
    assert registry["ImageTagMutability"] == "IMMUTABLE"
    assert registry["ImageScanningConfiguration"] == {"ScanOnPush": True}
    assert registry["EmptyOnDelete"] is True


def test_another_serving_image_needs_no_build(synthesise: Callable[..., Template]) -> None:
    uri = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/mine:1"
    template = synthesise(**{"release.image_uri": uri})
    assert not template.of_type("AWS::CodeBuild::Project")
    assert not template.of_type("AWS::ECR::Repository")
    assert template.definition()["States"]["CreateModel"]["Parameters"]["PrimaryContainer"]["Image"] == uri
    pulls = [item for name, item in template.statements() if name.startswith("EndpointRole")]
    assert any("ecr:BatchGetImage" in listed(item["Action"]) for item in pulls)


def test_cleanup_comes_before_what_it_cleans(template: Template) -> None:
    """CloudFormation deletes in the opposite order of the dependencies."""
    (cleanup,) = template.of_type("Custom::WhippetCleanup").values()
    kinds = {template.resources[name]["Type"] for name in cleanup["DependsOn"]}
    assert {"AWS::StepFunctions::StateMachine", "AWS::IAM::Policy", "AWS::IAM::Role"} <= kinds
    assert "AWS::SageMaker::ModelPackageGroup" in kinds, "a group that holds versions cannot be deleted"
    assert template.value(cleanup["Properties"]["ModelPackageGroup"]) == "whippet-dev"


def test_the_state_machine_may_do_what_its_states_do_and_no_more(
    template: Template, synthesise: Callable[..., Template]
) -> None:
    """Calls of SageMaker by its states, and the actions its role is allowed."""
    own = {"debugger.mode": "own", "release.approval": "manual"}
    for chosen in (template, synthesise(**own), synthesise(**{"debugger.mode": "managed"})):
        called = set()
        for state in chosen.definition()["States"].values():
            if "sagemaker:" in state.get("Resource", ""):
                call = state["Resource"].rsplit(":", 1)[1]
                name = call[0].upper() + call[1:].removesuffix(".sync")
                called.add(name)
                if call.endswith(".sync"):
                    called |= {name.replace("Create", verb) for verb in ("Describe", "Stop")}
        allowed = {
            action.removeprefix("sagemaker:")
            for name, statement in chosen.statements()
            if name.startswith("WorkflowStateMachine")
            for action in listed(statement["Action"])
            if action.startswith("sagemaker:")
        }
        assert allowed - {"AddTags", "ListTags"} == called


def test_the_training_role_serves_the_rules_job_too(template: Template) -> None:
    statements = [item for name, item in template.statements() if name.startswith("TrainingRole")]
    logs = [resource for item in statements for resource in listed(item["Resource"]) if ":log-group:" in resource]
    assert {"TrainingJobs", "ProcessingJobs"} == {name.split("/aws/sagemaker/")[1].split(":")[0] for name in logs}
    (metrics,) = [item for item in statements if "cloudwatch:PutMetricData" in listed(item["Action"])]
    assert metrics["Condition"]["StringEquals"]["cloudwatch:namespace"] == [
        "/aws/sagemaker/TrainingJobs",
        "/aws/sagemaker/ProcessingJobs",
    ]
    (program,) = [r for item in statements for r in listed(item["Resource"]) if r.endswith(".zip")]
    prefixes = [
        item["Condition"]["StringLike"]["s3:prefix"] for item in statements if "s3:ListBucket" in listed(item["Action"])
    ]
    assert [program.rsplit("/", 1)[1]] in prefixes, "a processing job lists the prefix of its program"


def test_step_functions_hears_of_finished_rules_jobs(template: Template, synthesise: Callable[..., Template]) -> None:
    def rules(chosen: Template) -> list[str]:
        return [
            resource.rsplit("/", 1)[1]
            for _, item in chosen.statements()
            if "events:PutRule" in listed(item["Action"])
            for resource in listed(item["Resource"])
        ]

    assert "StepFunctionsGetEventsForSageMakerProcessingJobsRule" in rules(template)
    assert "StepFunctionsGetEventsForSageMakerProcessingJobsRule" not in rules(
        synthesise(**{"debugger.mode": "managed"})
    )


def test_only_the_verdict_that_reads_sagemakers_rules_may_describe_trainings(
    template: Template, synthesise: Callable[..., Template]
) -> None:
    def may(chosen: Template) -> bool:
        return any(
            "sagemaker:DescribeTrainingJob" in listed(item["Action"])
            for name, item in chosen.statements()
            if name.startswith("FunctionsVerdict")
        )

    assert may(template)
    assert not may(synthesise(**{"debugger.mode": "own", "release.approval": "manual"}))


def test_the_registry_holds_a_group_of_the_environment(template: Template) -> None:
    assert template.only("AWS::SageMaker::ModelPackageGroup")["ModelPackageGroupName"] == "whippet-dev"


def test_outputs_are_the_agreed_ones(template: Template) -> None:
    assert set(template.body["Outputs"]) == {output.value for output in StackOutput}
    url = template.value(template.body["Outputs"][StackOutput.API_URL]["Value"])
    assert url.startswith("https://")
    assert url.endswith("/")
    assert template.value(template.body["Outputs"][StackOutput.DATASET_URI]["Value"]) == "s3://data-bucket/dataset/"


def test_prod_has_names_and_settings_of_its_own(synthesise: Callable[..., Template]) -> None:
    prod = synthesise(env="prod")
    assert prod.only("AWS::StepFunctions::StateMachine")["StateMachineName"] == "whippet-prod"
    variant = prod.definition()["States"]["CreateEndpointConfig"]["Parameters"]["ProductionVariants"][0]
    assert variant["InitialInstanceCount"] == 2
    assert "whippet-dev" not in json.dumps(prod.body)


def test_an_e_mail_address_is_subscribed(synthesise: Callable[..., Template], template: Template) -> None:
    assert not template.of_type("AWS::SNS::Subscription")
    subscription = synthesise(**{"notifications.email": "ml@example.org"}).only("AWS::SNS::Subscription")
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "ml@example.org")


def test_every_region_of_the_mapping_has_an_account(template: Template) -> None:
    accounts = template.body["Mappings"]["TrainingImageAccounts"]
    assert accounts["us-east-1"] == {"account": "763104351884"}
    assert accounts["il-central-1"] == {"account": "780543022126"}
    assert all(len(item["account"]) == 12 and item["account"].isdigit() for item in accounts.values())
