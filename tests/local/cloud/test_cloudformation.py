"""What a template says is what there is, also where ministack would drop it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.local.cloud.conftest import Account

CUSTOM = """
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement: [{Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: "sts:AssumeRole"}]
  Function:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: python3.13
      Handler: index.handler
      Role: !GetAtt Role.Arn
      Timeout: 60
      Code:
        ZipFile: |
          import json, time, urllib.request

          def handler(event, context):
              if event["RequestType"] != "Delete" and "Raise" in event["ResourceProperties"]:
                  raise KeyError("Project")
              time.sleep(float(event["ResourceProperties"].get("Seconds", 0)))
              answer = {"Status": "SUCCESS", "PhysicalResourceId": "custom", "StackId": event["StackId"],
                        "RequestId": event["RequestId"], "LogicalResourceId": event["LogicalResourceId"],
                        "Data": {"Answer": event["RequestType"]}}
              request = urllib.request.Request(event["ResponseURL"], method="PUT", data=json.dumps(answer).encode())
              urllib.request.urlopen(request).read()
  Custom:
    Type: Custom::Thing
    Properties: {ServiceToken: !GetAtt Function.Arn, PROPERTY}
Outputs:
  Answer: {Value: !GetAtt Custom.Answer}
"""


def test_the_bucket_has_every_property_of_the_template(account: Account, front_door: dict[str, str]) -> None:
    s3, bucket = account.client("s3"), front_door["Bucket"]
    assert {"Key": "owner", "Value": "tests"} in s3.get_bucket_tagging(Bucket=bucket)["TagSet"]
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    (encryption,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert encryption["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert (rule["ID"], rule["Filter"], rule["Expiration"]) == ("old", {"Prefix": "runs/"}, {"Days": 90})
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    (ownership,) = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert ownership["ObjectOwnership"] == "BucketOwnerEnforced"
    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())


def test_an_update_changes_and_removes_bucket_properties(account: Account, name: str) -> None:
    template = "Resources: {{B: {{Type: 'AWS::S3::Bucket', Properties: {{BucketName: {name}-bucket, {properties}}}}}}}"
    first = "Tags: [{Key: a, Value: '1'}], LifecycleConfiguration: {Rules: [{Status: Enabled, ExpirationInDays: 1}]}"
    account.deploy(name, template.format(name=name, properties=first))
    second = "Tags: [{Key: b, Value: '2'}]"
    account.client("cloudformation").update_stack(
        StackName=name, TemplateBody=template.format(name=name, properties=second)
    )
    assert account.settled(name)["StackStatus"] == "UPDATE_COMPLETE"
    s3, bucket = account.client("s3"), f"{name}-bucket"
    assert {"Key": "b", "Value": "2"} in s3.get_bucket_tagging(Bucket=bucket)["TagSet"]
    with pytest.raises(s3.exceptions.ClientError, match="NoSuchLifecycleConfiguration"):
        s3.get_bucket_lifecycle_configuration(Bucket=bucket)


def test_the_request_validator_exists_and_its_method_knows_it(account: Account, front_door: dict[str, str]) -> None:
    api = account.client("apigateway")
    validator = api.get_request_validator(restApiId=front_door["Api"], requestValidatorId=front_door["Validator"])
    assert (validator["name"], validator["validateRequestBody"]) == ("body", True)
    method = api.get_method(restApiId=front_door["Api"], resourceId=front_door["OpenResource"], httpMethod="POST")
    assert method["requestValidatorId"] == front_door["Validator"]


def test_a_long_custom_resource_holds_up_nobody_else(account: Account, name: str) -> None:
    cloudformation = account.client("cloudformation")
    body = CUSTOM.replace("PROPERTY", "Seconds: 3")
    cloudformation.create_stack(StackName=name, TemplateBody=body, Capabilities=["CAPABILITY_IAM"])
    statuses = [cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"] for _ in range(20)]
    assert set(statuses) == {"CREATE_IN_PROGRESS"}
    stack = account.settled(name)
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert stack["Outputs"][0]["OutputValue"] == "Create"


def test_a_custom_resource_whose_function_raises_fails_at_once_with_its_words(account: Account, name: str) -> None:
    """On AWS the deploy waits for an hour."""
    account.client("cloudformation").create_stack(
        StackName=name, TemplateBody=CUSTOM.replace("PROPERTY", "Raise: yes"), Capabilities=["CAPABILITY_IAM"]
    )
    assert account.settled(name)["StackStatus"].startswith("ROLLBACK")
    assert any("The function of Custom failed: KeyError: 'Project'" in reason for reason in account.events(name))


def test_a_state_machine_that_cannot_run_fails_the_stack(account: Account, name: str) -> None:
    role = account.role(name, "states.amazonaws.com")
    definition = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}}})
    account.client("cloudformation").create_stack(
        StackName=name,
        TemplateBody=json.dumps(
            {
                "Resources": {
                    "Machine": {
                        "Type": "AWS::StepFunctions::StateMachine",
                        "Properties": {"RoleArn": role, "DefinitionString": definition},
                    }
                }
            }
        ),
    )
    assert account.settled(name)["StackStatus"].startswith("ROLLBACK")
    assert any("Missing 'Next' target: B" in reason for reason in account.events(name))


def test_a_resource_type_that_is_not_known_is_named(account: Account, name: str) -> None:
    template = "Resources: {A: {Type: 'AWS::Quantum::Leap'}}"
    cloudformation = account.client("cloudformation")
    with pytest.raises(cloudformation.exceptions.ClientError, match="AWS::Quantum::Leap"):
        cloudformation.create_stack(StackName=name, TemplateBody=template)
