"""Topics that a KMS key encrypts: a role that publishes needs the key, by an IAM policy and the key's own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.cloud.conftest import Account, allow
from tests.local.cloud.test_object_keys import new_key

ROOT = {"AWS": "arn:aws:iam::000000000000:root"}
BOTH = ["kms:GenerateDataKey*", "kms:Decrypt"]


def template(key: str | None) -> str:
    topic: dict[str, Any] = {"Type": "AWS::SNS::Topic", "Properties": {"KmsMasterKeyId": key} if key else {}}
    return json.dumps({"Resources": {"Topic": topic}, "Outputs": {"Topic": {"Value": {"Ref": "Topic"}}}})


def publisher(account: Account, name: str, *statements: dict[str, Any]) -> Any:
    """A client of SNS in a role that may publish to every topic, and this."""
    role = account.role(f"{name}-role", "lambda.amazonaws.com", allow("sns:Publish*", "*"), *statements)
    return account.client("sns", **account.assume(role))


def refused(action: str) -> Any:
    return pytest.raises(ClientError, match=f"KMSAccessDenied.*not authorized to perform: {action}")


def test_a_role_publishes_with_both_permissions_on_the_key_alone(account: Account, name: str) -> None:
    key = new_key(account, Principal=ROOT, Action="kms:*")
    topic = account.deploy(name, template(key))["Topic"]
    assert account.client("sns").get_topic_attributes(TopicArn=topic)["Attributes"]["KmsMasterKeyId"] == key
    account.client("sns").publish(TopicArn=topic, Message="of the administrator")

    with refused("kms:GenerateDataKey"):
        publisher(account, name).publish(TopicArn=topic, Message="m")
    with refused("kms:Decrypt"):
        publisher(account, f"{name}-half", allow("kms:GenerateDataKey", key)).publish(TopicArn=topic, Message="m")
    may = publisher(account, f"{name}-may", allow(BOTH, key))
    may.publish(TopicArn=topic, Message="m")
    entries = [{"Id": "1", "Message": "m"}]
    assert len(may.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)["Successful"]) == 1
    with refused("kms:GenerateDataKey"):
        publisher(account, f"{name}-many").publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)


def test_the_keys_own_policy_counts_too(account: Account, name: str) -> None:
    role = account.role(f"{name}-named", "lambda.amazonaws.com", allow("sns:Publish", "*"))
    key = new_key(account, Principal={"AWS": role}, Action=BOTH)
    topic = account.deploy(name, template(key))["Topic"]
    account.client("sns", **account.assume(role)).publish(TopicArn=topic, Message="m")
    with refused("kms:GenerateDataKey"):
        publisher(account, name, allow(BOTH, key)).publish(TopicArn=topic, Message="m")


def test_a_topic_that_loses_its_key_asks_for_none(account: Account, name: str) -> None:
    topic = account.deploy(name, template(new_key(account, Principal=ROOT, Action="kms:*")))["Topic"]
    sns = publisher(account, name)
    with refused("kms:GenerateDataKey"):
        sns.publish(TopicArn=topic, Message="m")
    account.client("cloudformation").update_stack(StackName=name, TemplateBody=template(None))
    assert account.settled(name)["StackStatus"] == "UPDATE_COMPLETE"
    sns.publish(TopicArn=topic, Message="m")
