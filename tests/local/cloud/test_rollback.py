"""A deployment that fails is rolled back, so that it can be rehearsed."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from tests.local.cloud.conftest import Account

NO_BUCKET = "Error occurred while GetObject. S3 Error Code: NoSuchBucket. S3 Error Message: The specified bucket does"
NO_KEY = "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist."
NO_ROLE = "The role defined for the function cannot be assumed by Lambda."


def template(*, role: Any, code: dict[str, str], value: str = "1") -> str:
    """A stack with a bucket, with this tag, and then a function."""
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"Tags": [{"Key": "value", "Value": value}]}}
    function = {
        "Type": "AWS::Lambda::Function",
        "DependsOn": "Bucket",
        "Properties": {"Runtime": "python3.13", "Handler": "index.handler", "Role": role, "Code": code},
    }
    outputs = {"Bucket": {"Value": {"Ref": "Bucket"}}, "Function": {"Value": {"Ref": "Function"}}}
    return json.dumps({"Resources": {"Bucket": bucket, "Function": function}, "Outputs": outputs})


def program(answer: str) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("index.py", f"def handler(event, context):\n    return {answer!r}\n")
    return archive.getvalue()


@pytest.fixture
def code(account: Account, front_door: dict[str, str], name: str) -> dict[str, str]:
    """A function's code in S3."""
    account.client("s3").put_object(Bucket=front_door["Bucket"], Key=f"{name}.zip", Body=program("first"))
    return {"S3Bucket": front_door["Bucket"], "S3Key": f"{name}.zip"}


@pytest.fixture
def role(account: Account, name: str) -> str:
    return account.role(f"{name}-function", "lambda.amazonaws.com")


@pytest.fixture(params=["no role", "another's role", "no bucket", "no object"])
def broken(
    request: pytest.FixtureRequest, account: Account, name: str, role: str, code: dict[str, str]
) -> tuple[dict[str, Any], str]:
    """The role and the code of a function that cannot be made, and why."""
    return {
        "no role": ({"role": "arn:aws:iam::000000000000:role/nobody", "code": code}, NO_ROLE),
        "another's role": ({"role": account.role(f"{name}-x", "sagemaker.amazonaws.com"), "code": code}, NO_ROLE),
        "no bucket": ({"role": role, "code": code | {"S3Bucket": "no-such-bucket-here"}}, NO_BUCKET),
        "no object": ({"role": role, "code": code | {"S3Key": "missing.zip"}}, NO_KEY),
    }[request.param]


def test_a_stack_that_cannot_be_created_is_rolled_back(
    account: Account, name: str, broken: tuple[dict[str, Any], str]
) -> None:
    parts, reason = broken
    cloudformation = account.client("cloudformation")
    cloudformation.create_stack(StackName=name, TemplateBody=template(**parts))
    assert account.settled(name)["StackStatus"] == "ROLLBACK_COMPLETE"
    assert any(f'Resource handler returned message: "{reason}' in event for event in account.events(name))

    statuses = {item["LogicalResourceId"]: item["ResourceStatus"] for item in _resources(account, name)}
    assert statuses.get("Bucket", "DELETE_COMPLETE") == "DELETE_COMPLETE"
    with pytest.raises(cloudformation.exceptions.ClientError, match="ROLLBACK_COMPLETE"):
        cloudformation.update_stack(StackName=name, TemplateBody=template(**parts))


def _resources(account: Account, stack: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = account.client("cloudformation").describe_stack_resources(StackName=stack)[
        "StackResources"
    ]
    return found


def test_a_stack_that_cannot_be_updated_is_as_it_was(
    account: Account, name: str, role: str, code: dict[str, str], broken: tuple[dict[str, Any], str]
) -> None:
    """The bucket was changed already when the function fails, and is changed back."""
    parts, reason = broken
    outputs = account.deploy(name, template(role=role, code=code))
    account.client("cloudformation").update_stack(StackName=name, TemplateBody=template(**parts, value="2"))
    found = account.settled(name)
    assert found["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert any(reason in event for event in account.events(name))

    assert {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]} == outputs
    tags = account.client("s3").get_bucket_tagging(Bucket=outputs["Bucket"])["TagSet"]
    assert {"Key": "value", "Value": "1"} in tags
    functions = account.client("lambda")
    assert functions.get_function(FunctionName=outputs["Function"])["Configuration"]["Role"] == role
    assert json.load(functions.invoke(FunctionName=outputs["Function"])["Payload"]) == "first"


def test_an_update_after_a_rollback_goes_through(
    account: Account, name: str, role: str, code: dict[str, str], front_door: dict[str, str]
) -> None:
    cloudformation = account.client("cloudformation")
    outputs = account.deploy(name, template(role=role, code=code))
    cloudformation.update_stack(StackName=name, TemplateBody=template(role=role, code=code | {"S3Key": "missing.zip"}))
    assert account.settled(name)["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    account.client("s3").put_object(Bucket=front_door["Bucket"], Key=f"{name}-2.zip", Body=program("second"))
    cloudformation.update_stack(
        StackName=name, TemplateBody=template(role=role, code=code | {"S3Key": f"{name}-2.zip"}, value="2")
    )
    assert account.settled(name)["StackStatus"] == "UPDATE_COMPLETE"
    answer = account.client("lambda").invoke(FunctionName=outputs["Function"])["Payload"]
    assert json.load(answer) == "second"


def test_lambdas_own_calls_refuse_such_a_function_too(
    account: Account, name: str, role: str, code: dict[str, str], broken: tuple[dict[str, Any], str]
) -> None:
    functions = account.client("lambda")
    request = {"FunctionName": name, "Runtime": "python3.13", "Handler": "index.handler"}
    parts, reason = broken
    invalid = functions.exceptions.InvalidParameterValueException
    with pytest.raises(invalid, match=reason):
        functions.create_function(**request, Role=parts["role"], Code=parts["code"])

    functions.create_function(**request, Role=role, Code=code)
    if parts["role"] != role:
        with pytest.raises(invalid, match=reason):
            functions.update_function_configuration(FunctionName=name, Role=parts["role"])
    else:
        with pytest.raises(invalid, match=reason):
            functions.update_function_code(FunctionName=name, **parts["code"])
