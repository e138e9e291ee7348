"""Faults for what a state machine calls: AWS's error names, and that a lost answer leaves the work done."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.local.cloud.account.conftest import processing_job, tuning_job
from tests.local.cloud.conftest import SERVING_IMAGE

if TYPE_CHECKING:
    from tests.local.cloud.account.conftest import Documented

OPTIMIZED = "arn:aws:states:::sagemaker:"
SDK = "arn:aws:states:::aws-sdk:sagemaker:"

LIMIT = {"error": {"code": "ResourceLimitExceeded", "message": "full"}}
FAILURE = {"error": {"code": "InternalFailure", "message": "failed", "status": 500}}
LOST = {"lost_answer": "connection"}


@pytest.fixture
def role(strict: Documented, name: str) -> str:
    anything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    return strict.role(f"{name}-states", "states.amazonaws.com", anything)


@pytest.fixture
def requests(strict: Documented, training: dict[str, Any], jobs_role: str, name: str) -> dict[str, Any]:
    """A request that succeeds, or has begun something, for each resource; two need what others make."""
    strict.endpoint(f"{name}-serving", jobs_role)
    image = {"Image": SERVING_IMAGE}
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": f"{name}-serving",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    return {
        f"{OPTIMIZED}createTrainingJob.sync": training,
        f"{OPTIMIZED}createHyperParameterTuningJob.sync": tuning_job(name, training),
        f"{OPTIMIZED}createProcessingJob.sync": processing_job(name, jobs_role),
        f"{OPTIMIZED}createModel": {"ModelName": name, "ExecutionRoleArn": jobs_role, "PrimaryContainer": image},
        f"{OPTIMIZED}createEndpointConfig": {"EndpointConfigName": name, "ProductionVariants": [variant]},
        f"{OPTIMIZED}createEndpoint": {"EndpointName": name, "EndpointConfigName": f"{name}-serving"},
        f"{OPTIMIZED}updateEndpoint": {"EndpointName": f"{name}-serving", "EndpointConfigName": f"{name}-serving"},
        f"{SDK}createModelPackageGroup": {"ModelPackageGroupName": name},
        f"{SDK}describeEndpoint": {"EndpointName": f"{name}-serving"},
    }


@pytest.mark.parametrize(
    ("fault", "optimized", "sdk"),
    [
        (LIMIT, "SageMaker.ResourceLimitExceededException", "SageMaker.ResourceLimitExceededException"),
        (FAILURE, "SageMaker.AmazonSageMakerException", "SageMaker.SageMakerException"),
        (LOST, "SageMaker.SdkClientException", "SageMaker.SdkClientException"),
    ],
    ids=["limit", "failure", "lost"],
)
def test_the_first_call_of_each_kind_fails_and_the_second_is_made(
    strict: Documented, role: str, requests: dict[str, Any], name: str, fault: dict[str, Any], optimized: str, sdk: str
) -> None:
    """The second call of a lost one finds the work done: a name that is taken, or an endpoint being updated."""
    for number, (resource, parameters) in enumerate(requests.items()):
        operation = resource.rpartition(":")[2].removesuffix(".sync")
        operation = operation[0].upper() + operation[1:]
        strict.faults({"service": "sagemaker", "operation": operation, "times": 1, **fault})
        seen = strict.run(f"{name}-{number}", role, {"Call": _task(resource, parameters)})
        assert (seen["status"], seen["error"]) == ("FAILED", sdk if resource.startswith(SDK) else optimized), resource
        last = strict.fired()[-1]
        assert (last["operation"], last["count"]) == (operation, 1)

        strict.faults()
        again = strict.run(f"{name}-{number}-again", role, {"Call": _task(resource, parameters)})
        if fault is LOST and operation == "UpdateEndpoint":
            # the first update may be over already
            assert again["status"] == "SUCCEEDED" or "in-progress" in again["cause"], again
        elif fault is LOST and operation.startswith("Create"):
            assert again["status"] == "FAILED", resource
            assert "exist" in again["cause"], again["cause"]
        else:
            # the trial prints no objective, so its tuning job fails after it was created
            assert again["status"] == "SUCCEEDED" or "No objective metrics" in again["cause"], again


def test_retry_and_catch_see_the_names(strict: Documented, role: str, training: dict[str, Any], name: str) -> None:
    strict.faults({"service": "sagemaker", "operation": "CreateTrainingJob", "times": 1, **LIMIT})
    retry = [{"ErrorEquals": ["SageMaker.ResourceLimitExceededException"], "IntervalSeconds": 1, "MaxAttempts": 1}]
    states = {"Call": _task(f"{OPTIMIZED}createTrainingJob.sync", training, Retry=retry)}
    assert strict.run(name, role, states)["status"] == "SUCCEEDED"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"error": {"code": "TooManyRequestsException", "status": 429}}, "Lambda.TooManyRequestsException"),
        ({"error": {"code": "ServiceException", "status": 500}}, "Lambda.ServiceException"),
        ({"error": {"code": "ThrottlingException"}}, "Lambda.AWSLambdaException"),
        (LOST, "Lambda.SdkClientException"),
    ],
)
def test_a_function_s_invocation_is_hit(
    strict: Documented, role: str, name: str, fault: dict[str, Any], error: str
) -> None:
    strict.faults({"service": "lambda", "operation": "Invoke", **fault})
    strict.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=strict.role(f"{name}-f", "lambda.amazonaws.com"),
        Handler="index.handler",
        Code={"ZipFile": zipped("def handler(event, context):\n    return 1\n")},
    )
    function = {"FunctionName": name, "Payload": {}}
    seen = strict.run(name, role, {"Call": _task("arn:aws:states:::lambda:invoke", function)})
    assert (seen["status"], seen["error"]) == ("FAILED", error)


@pytest.mark.parametrize(
    ("resource", "parameters", "operation", "fault", "error"),
    [
        ("sns:publish", {"TopicArn": "T", "Message": "m"}, "Publish", LOST, "SNS.SdkClientException"),
        ("aws-sdk:codebuild:listProjects", {}, "ListProjects", FAILURE, "CodeBuild.CodeBuildException"),
        ("aws-sdk:sfn:listStateMachines", {}, "ListStateMachines", LOST, "Sfn.SdkClientException"),
    ],
)
def test_other_services_are_hit(
    strict: Documented,
    role: str,
    name: str,
    resource: str,
    parameters: dict[str, Any],
    operation: str,
    fault: dict[str, Any],
    error: str,
) -> None:
    if "TopicArn" in parameters:
        parameters = {**parameters, "TopicArn": strict.client("sns").create_topic(Name=name)["TopicArn"]}
    strict.faults({"service": "*", "operation": operation, **fault})
    seen = strict.run(name, role, {"Call": _task(f"arn:aws:states:::{resource}", parameters)})
    assert (seen["status"], seen["error"]) == ("FAILED", error)


def test_a_function_s_own_calls_are_hit(strict: Documented, name: str) -> None:
    code = "import boto3\ndef handler(event, context):\n    return boto3.client('sts').get_caller_identity()['Arn']\n"
    functions = strict.client("lambda")
    functions.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=strict.role(f"{name}-f", "lambda.amazonaws.com"),
        Handler="index.handler",
        Code={"ZipFile": zipped(code)},
    )
    error = {"code": "AccessDenied", "message": "not today", "status": 403}
    strict.faults({"service": "sts", "operation": "GetCallerIdentity", "error": error})
    answer = json.load(functions.invoke(FunctionName=name)["Payload"])
    assert "not today" in answer["errorMessage"]


def _task(resource: str, parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": resource, "Parameters": parameters, "End": True, **more}


def zipped(code: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("index.py", code)
    return packed.getvalue()
