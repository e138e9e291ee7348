"""Customer-managed keys: what is encrypted with them, what their policy allows, and what each role may do with them."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from typing import Any

import pytest

from infra.instances import has_local_storage
from infra.settings import Settings, SettingsError
from tests.infra.app_process import EVERY_FUNCTION, cdk_context
from tests.infra.template import ACCOUNT, REGION, Template, listed

GIVEN = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
BUCKETS = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/99999999-2222-3333-4444-555555555555"
WITH_KEY = {**EVERY_FUNCTION, "security.kms_key": GIVEN, "api.feedback": "true"}


@pytest.fixture(scope="module")
def keyed(synthesise: Callable[..., Template]) -> Template:
    return synthesise(**WITH_KEY)


@pytest.fixture(scope="module")
def created(synthesise: Callable[..., Template]) -> Template:
    return synthesise(**EVERY_FUNCTION, **{"security.kms_key": "create"})


def key_policy(template: Template) -> list[dict[str, Any]]:
    statements: list[dict[str, Any]] = template.value(template.only("AWS::KMS::Key")["KeyPolicy"]["Statement"])
    return statements


def on_key(template: Template, key: str = GIVEN) -> dict[str, list[dict[str, Any]]]:
    """The statements about a key, by the policy's logical id."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, statement in template.statements():
        if key in listed(statement["Resource"]):
            found.setdefault(name, []).append(statement)
    return found


def may(template: Template, policy: str, key: str = GIVEN) -> set[str]:
    """Actions on a key of the one policy whose logical id begins like this."""
    (statements,) = [found for name, found in on_key(template, key).items() if name.startswith(policy)] or [[]]
    return {action for statement in statements for action in listed(statement["Action"])}


def test_by_default_no_key_of_the_customer_is_named_anywhere(template: Template) -> None:
    assert not template.of_type("AWS::KMS::Key")
    assert "kms:" not in str(template.of_type("AWS::IAM::Policy"))
    assert "KmsKeyId" not in str(template.definition())


def test_everything_that_is_stored_is_encrypted_with_the_given_key(keyed: Template) -> None:
    assert not keyed.of_type("AWS::KMS::Key")
    (rule,) = keyed.only("AWS::S3::Bucket")["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": GIVEN}
    assert rule["BucketKeyEnabled"] is True
    assert keyed.only("AWS::SNS::Topic")["KmsMasterKeyId"] == GIVEN
    assert keyed.only("AWS::ECR::Repository")["EncryptionConfiguration"] == {"EncryptionType": "KMS", "KmsKey": GIVEN}
    assert keyed.only("AWS::CodeBuild::Project")["EncryptionKey"] == GIVEN
    assert keyed.body["Outputs"]["KmsKeyArn"]["Value"] == GIVEN
    for kind, member in (("AWS::Logs::LogGroup", "KmsKeyId"), ("AWS::Lambda::Function", "KmsKeyArn")):
        resources = keyed.of_type(kind)
        assert resources
        assert {name for name, item in resources.items() if item["Properties"].get(member) != GIVEN} == set()


def test_a_created_key_turns_over_has_an_alias_and_stays_with_the_photos(created: Template) -> None:
    (key,) = created.of_type("AWS::KMS::Key").values()
    assert key["Properties"]["EnableKeyRotation"] is True
    assert key["Properties"]["PendingWindowInDays"] == 30
    assert (key["DeletionPolicy"], key["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    assert created.only("AWS::KMS::Alias")["AliasName"] == "alias/whippet-dev"


def test_a_key_may_go_where_the_photos_go(synthesise: Callable[..., Template]) -> None:
    settings = {"security.kms_key": "create", "security.key_at_destroy": "delete", "dataset.keep_at_destroy": "false"}
    (key,) = synthesise(**settings).of_type("AWS::KMS::Key").values()
    assert key["DeletionPolicy"] == "Delete"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"security.kms_key": "mine"}, r"security\.kms_key='mine'"),
        ({"security.kms_key": f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/mine"}, r"security\.kms_key="),
        ({"security.kms_key": "create", "security.key_at_destroy": "delete"}, "unreadable for good"),
        (
            {"security.key_at_destroy": "delete", "dataset.keep_at_destroy": "false"},
            "no effect with security.kms_key=aws",
        ),
        ({"dataset.bucket_key": BUCKETS}, "no effect without dataset.bucket"),
    ],
)
def test_settings_that_would_lose_photos_or_do_nothing_are_refused(settings: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        Settings.from_context(cdk_context() | settings)


def test_only_the_account_and_services_for_its_resources_may_use_a_created_key(created: Template) -> None:
    by_principal = {str(item["Principal"]): item for item in key_policy(created)}
    assert by_principal.keys() == {
        str({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}),
        *(str({"Service": name}) for name in (f"logs.{REGION}.amazonaws.com", "cloudwatch.amazonaws.com")),
        *(str({"Service": name}) for name in ("events.amazonaws.com", "budgets.amazonaws.com")),
    }
    for principal, statement in by_principal.items():
        assert "Service" not in principal or statement["Condition"], principal
        assert "Service" not in principal or "kms:*" not in listed(statement["Action"]), principal


def test_alarms_rules_and_budgets_may_publish_to_the_encrypted_topic(created: Template) -> None:
    """Source: "Managing Amazon SNS encryption keys and costs": both actions, for the service itself."""
    publishing = {
        item["Principal"]["Service"]: set(listed(item["Action"]))
        for item in key_policy(created)
        if str(item["Sid"]).startswith("Messages")
    }
    assert publishing.keys() == {"cloudwatch.amazonaws.com", "events.amazonaws.com", "budgets.amazonaws.com"}
    assert set(map(frozenset, publishing.values())) == {frozenset(("kms:Decrypt", "kms:GenerateDataKey*"))}


def test_cloudwatch_logs_may_encrypt_every_log_group_of_the_stack(created: Template) -> None:
    (statement,) = [item for item in key_policy(created) if item["Sid"] == "LogGroupsOfTheStack"]
    allowed = statement["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"]
    for name, group in created.of_type("AWS::Logs::LogGroup").items():
        # CloudFormation names a group without a name by the stack and its logical id
        named = group["Properties"].get("LogGroupName", f"Whippet-dev-{name}-AbCdEfGh")
        arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{created.value(named)}"
        assert any(fnmatch.fnmatchcase(arn, pattern) for pattern in allowed), arn


def test_each_role_gets_of_the_key_what_its_other_permissions_ask_for(keyed: Template) -> None:
    read, write = {"kms:Decrypt"}, {"kms:GenerateDataKey"}
    assert may(keyed, "TrainingRole") == {*read, *write, "kms:Encrypt", "kms:CreateGrant"}
    assert may(keyed, "BatchRole") == {*read, *write, "kms:Encrypt", "kms:CreateGrant"}
    assert may(keyed, "EndpointRole") == read | write, "it writes captured answers"
    assert may(keyed, "FunctionsVerdict") == read | write
    assert may(keyed, "FunctionsNotify") == read | write, "SNS asks for both"
    assert may(keyed, "FunctionsRetire") == set()
    assert may(keyed, "ApiFunction") == {*read, *write, "kms:CreateGrant"}, "it wakes the endpoint"
    assert may(keyed, "WorkflowStateMachineRole") == {*read, "kms:CreateGrant", "kms:DescribeKey"}


def test_who_writes_and_never_reads_cannot_decrypt(keyed: Template) -> None:
    assert may(keyed, "FunctionsRecordRelease") == {"kms:GenerateDataKey"}


def test_objects_and_messages_are_decrypted_through_their_service_alone(keyed: Template) -> None:
    for name, statements in on_key(keyed).items():
        if name.startswith("TriggersSchedule"):
            continue  # nobody but EventBridge Scheduler may assume this role
        for statement in statements:
            actions, condition = set(listed(statement["Action"])), statement.get("Condition", {})
            if actions & {"kms:Decrypt", "kms:GenerateDataKey"}:
                via = condition["StringEquals"]["kms:ViaService"]
                assert via in (f"s3.{REGION}.amazonaws.com", f"sns.{REGION}.amazonaws.com"), name
            if "kms:CreateGrant" in actions:
                assert actions == {"kms:CreateGrant"}, name
                assert condition == {"Bool": {"kms:GrantIsForAWSResource": "true"}}, name


def test_a_serverless_endpoint_has_no_disk_and_nobody_a_grant_for_one(synthesise: Callable[..., Template]) -> None:
    serverless = synthesise(**{"security.kms_key": GIVEN})
    assert "kms:CreateGrant" not in may(serverless, "WorkflowStateMachineRole")
    assert "KmsKeyId" not in serverless.definition()["States"]["CreateEndpointConfig"]["Parameters"]


@pytest.mark.parametrize("key", ["aws", GIVEN])
def test_an_existing_bucket_keeps_its_own_key(synthesise: Callable[..., Template], key: str) -> None:
    existing = {"dataset.bucket": "photos-of-ours", "dataset.bucket_key": BUCKETS, "security.kms_key": key}
    template = synthesise(**existing)
    assert {"kms:Decrypt", "kms:GenerateDataKey", "kms:Encrypt"} <= may(template, "TrainingRole", BUCKETS)
    assert may(template, "FunctionsCheckDataset", BUCKETS) == {"kms:Decrypt", "kms:GenerateDataKey"}
    train = template.definition()["States"]["Train"]["Parameters"]
    assert train["OutputDataConfig"]["KmsKeyId"] == BUCKETS, "SageMaker would take the account's key for S3"
    assert train["ResourceConfig"].get("VolumeKmsKeyId") == (None if key == "aws" else GIVEN)
    assert not any(action.startswith("kms:") for action in may(template, "FunctionsCheckDataset", "*"))


def test_another_key_is_another_repository(synthesise: Callable[..., Template], template: Template) -> None:
    """CloudFormation makes the new repository before it deletes the old one, whose name it therefore cannot have."""
    names = {
        chosen.only("AWS::ECR::Repository")["RepositoryName"]
        for chosen in (template, *(synthesise(**{"security.kms_key": key}) for key in ("create", GIVEN, BUCKETS)))
    }
    assert len(names) == 4
    assert "whippet-dev-serving" in names


@pytest.mark.parametrize(
    ("instance_type", "local"),
    [
        ("ml.m5.large", False),
        ("ml.m5d.large", True),
        ("ml.c5.2xlarge", False),
        ("ml.c5n.xlarge", False),
        ("ml.m7i-flex.large", False),
        ("ml.r5d.xlarge", True),
        ("ml.g4dn.xlarge", True),
        ("ml.g5.xlarge", True),
        ("ml.p5.48xlarge", True),
    ],
)
def test_a_type_with_local_storage_is_known_by_its_name(instance_type: str, local: bool) -> None:
    assert has_local_storage(instance_type) is local
