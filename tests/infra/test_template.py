"""What the template must hold: encryption, TLS, retention, outputs, and what goes at destroy."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

import contract
from infra.outputs import StackOutput
from tests.infra.template import Template, listed


def test_the_data_bucket_is_private_encrypted_versioned_and_kept(template: Template) -> None:
    (bucket,) = template.of_type("AWS::S3::Bucket").values()
    properties = bucket["Properties"]
    encryption = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]
    assert encryption["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert properties["VersioningConfiguration"]["Status"] == "Enabled"
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    rules = {rule["Id"]: rule for rule in properties["LifecycleConfiguration"]["Rules"]}
    assert rules["bring-back"]["NoncurrentVersionExpiration"]["NoncurrentDays"] == 30
    assert rules["aborted-uploads"]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 7
    assert not any("Prefix" not in rule and "ExpirationInDays" in rule for rule in rules.values()), (
        "photos never expire"
    )


def test_who_served_when_is_never_forgotten(template: Template) -> None:
    (bucket,) = template.of_type("AWS::S3::Bucket").values()
    rules = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
    expiring = {rule["Prefix"] for rule in rules if "ExpirationInDays" in rule}
    assert expiring
    assert not any(contract.RELEASES_PREFIX.startswith(prefix) for prefix in expiring)


@pytest.mark.parametrize(("settings", "kept"), [({}, "2"), ({"release.kept": "5"}, "5")])
def test_the_setting_says_how_many_releases_stay(
    synthesise: Callable[..., Template], settings: dict[str, str], kept: str
) -> None:
    assert synthesise(**settings).function("retire")["Environment"]["Variables"]["RELEASES_KEPT"] == kept


@pytest.mark.parametrize(
    ("rule", "prefix", "days"), [("old-checkpoints", "checkpoints/", 7), ("old-tensors", "debug/", 30)]
)
def test_what_a_job_keeps_for_itself_goes_soon_with_its_versions(
    template: Template, rule: str, prefix: str, days: int
) -> None:
    """The bucket is versioned: a delete alone would free nothing for `dataset.noncurrent_days`."""
    (bucket,) = template.of_type("AWS::S3::Bucket").values()
    (found,) = [item for item in bucket["Properties"]["LifecycleConfiguration"]["Rules"] if item["Id"] == rule]
    assert (found["Prefix"], found["ExpirationInDays"]) == (prefix, days)
    assert found["NoncurrentVersionExpiration"]["NoncurrentDays"] == 1
    assert found["Status"] == "Enabled"


def test_checkpoints_outlive_the_longest_training(synthesise: Callable[..., Template]) -> None:
    longest = synthesise(**{"training.spot": "true", "training.max_minutes": "7200"})
    (bucket,) = longest.of_type("AWS::S3::Bucket").values()
    rules = {item["Id"]: item for item in bucket["Properties"]["LifecycleConfiguration"]["Rules"]}
    wait = longest.definition()["States"]["Train"]["Parameters"]["StoppingCondition"]["MaxWaitTimeInSeconds"]
    assert rules["old-checkpoints"]["ExpirationInDays"] * 24 * 3600 > wait


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
    deleting = [
        (action, resource)
        for _, item in template.statements()
        for action in listed(item["Action"])
        for resource in listed(item["Resource"])
        if action.startswith("s3:Delete")
    ]
    assert deleting == [("s3:DeleteObject", "arn:aws:s3:::data-bucket/checkpoints/*")], "a job's checkpoints alone"


def test_every_log_group_has_a_retention_and_every_function_a_log_group(template: Template) -> None:
    for name, item in template.of_type("AWS::Logs::LogGroup").items():
        assert item["Properties"]["RetentionInDays"] == 90, name
        assert item["DeletionPolicy"] == "Delete", name
    for name, item in template.of_type("AWS::Lambda::Function").items():
        assert "LogGroup" in item["Properties"]["LoggingConfig"], name


def test_every_function_of_a_run_knows_the_bucket_and_the_prefix(template: Template) -> None:
    functions = {
        name: item["Properties"]["Environment"]["Variables"]
        for name, item in template.of_type("AWS::Lambda::Function").items()
        if name.startswith("Functions")
    }
    assert len(functions) > 1
    for name, variables in functions.items():
        assert template.value(variables["BUCKET"]) == "data-bucket", name
        assert variables["NAME_PREFIX"] == "whippet-dev", name


def test_the_endpoints_log_group_is_the_one_sagemaker_writes_to(template: Template) -> None:
    names = {str(item["Properties"].get("LogGroupName")) for item in template.of_type("AWS::Logs::LogGroup").values()}
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


def test_the_registry_holds_a_group_of_the_environment(template: Template) -> None:
    assert template.only("AWS::SageMaker::ModelPackageGroup")["ModelPackageGroupName"] == "whippet-dev"


def test_outputs_are_the_agreed_ones(template: Template) -> None:
    by_setting = {
        StackOutput.SLEEP_RECORD,
        StackOutput.KMS_KEY_ARN,
        StackOutput.READY_OBJECT,
        StackOutput.DRIFT_FUNCTION,
    }
    assert set(template.body["Outputs"]) == {output.value for output in StackOutput} - by_setting
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


def test_cloudformation_waits_no_longer_for_a_function_than_it_can_run(template: Template) -> None:
    """A function that dies before it can answer would hold the stack for an hour, twice with the rollback (A-22)."""
    for kind in ("Custom::WhippetServingImage", "Custom::WhippetCleanup"):
        (resource,) = template.of_type(kind).values()
        assert 15 * 60 < int(resource["Properties"]["ServiceTimeout"]) <= 20 * 60


def test_the_endpoints_log_group_cannot_come_back_after_a_destroy(template: Template) -> None:
    """It goes after the endpoint, and no late line of the endpoint makes it anew (A-19)."""
    (cleanup,) = template.of_type("Custom::WhippetCleanup").values()
    (group,) = [name for name in template.of_type("AWS::Logs::LogGroup") if name.startswith("EndpointLogs")]
    assert group in cleanup["DependsOn"]
    endpoint = [statement for name, statement in template.statements() if name.startswith("EndpointRole")]
    actions = {action for statement in endpoint for action in listed(statement["Action"])}
    assert "logs:PutLogEvents" in actions
    assert "logs:CreateLogGroup" not in actions


def test_no_number_of_deployments_expires_the_image_in_service(template: Template) -> None:
    """A-23."""
    policy = json.loads(template.only("AWS::ECR::Repository")["LifecyclePolicy"]["LifecyclePolicyText"])
    assert {rule["selection"]["countType"] for rule in policy["rules"]} == {"sinceImagePushed"}


def test_a_running_run_reads_the_code_that_it_was_started_with(template: Template) -> None:
    """A deployment while a run is under way changes the code's keys (A-08)."""
    read = [
        resource
        for name, statement in template.statements()
        if name.startswith("TrainingRole") and "s3:GetObject" in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    ]
    assert [resource for resource in read if "cdk-" in resource and resource.endswith("/*")], read


def test_sagemaker_and_codebuild_act_for_this_account_alone(template: Template) -> None:
    """A-43."""
    trusting = {}
    for name, role in template.of_type("AWS::IAM::Role").items():
        for statement in role["Properties"]["AssumeRolePolicyDocument"]["Statement"]:
            service = str(statement["Principal"].get("Service"))
            if service.startswith(("sagemaker.", "codebuild.")):
                trusting[name] = statement.get("Condition", {}).get("StringEquals", {}).get("aws:SourceAccount")
    assert len(trusting) == 4
    assert set(map(str, trusting.values())) == {str({"Ref": "AWS::AccountId"})}


def test_the_link_to_the_state_machine_leads_into_the_console_of_the_partition(template: Template) -> None:
    """Written with literals: which console a partition has is a fact of AWS's documentation."""
    link = template.body["Outputs"][StackOutput.STATE_MACHINE_CONSOLE]["Value"]
    (looked_up,) = (part["Fn::FindInMap"] for part in link["Fn::Join"][1] if "Fn::FindInMap" in part)
    assert looked_up[1] == {"Ref": "AWS::Partition"}
    hosts = {partition: found[looked_up[2]] for partition, found in template.body["Mappings"][looked_up[0]].items()}
    assert hosts["aws"] == "console.aws.amazon.com"
    assert hosts["aws-cn"] == "console.amazonaws.cn"
    assert hosts["aws-us-gov"] == "console.amazonaws-us-gov.com"
