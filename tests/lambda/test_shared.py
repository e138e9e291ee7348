"""What the functions share: AWS's error wordings, small objects in S3, messages, links, and shortened lists."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from botocore.stub import Stubber
from shared import aws_errors
from shared.console_links import execution_link, object_link, region_of
from shared.first_few import first_few
from shared.notification import publish
from shared.s3_objects import read_if_present, write_json

REGION = "eu-west-1"


def refused(client: Any, method: str, parameters: dict[str, Any], **error: Any) -> ClientError:
    """The exception that a real client raises for an error of its service."""
    with Stubber(client) as stub:
        stub.add_client_error(method, expected_params=parameters, **error)
        with pytest.raises(ClientError) as raised:
            getattr(client, method)(**parameters)
    return raised.value


def sagemaker_says(message: str, code: str = "ValidationException") -> ClientError:
    return refused(
        boto3.client("sagemaker", region_name=REGION),
        "describe_endpoint",
        {"EndpointName": "whippet-dev"},
        service_error_code=code,
        service_message=message,
    )


@pytest.mark.parametrize(
    ("error", "missing"),
    [
        (sagemaker_says('Could not find endpoint "arn:aws:sagemaker:eu-west-1:1:endpoint/whippet-dev".'), True),
        (sagemaker_says("ModelPackageGroup whippet-dev does not exist."), True),
        (sagemaker_says("Requested resource not found."), True),
        (sagemaker_says("", "ResourceNotFound"), True),
        (sagemaker_says("1 validation error detected: endpointName is too long"), False),
        (sagemaker_says("not authorized", "AccessDeniedException"), False),
    ],
)
def test_a_missing_resource_is_told_from_other_refusals(error: ClientError, missing: bool) -> None:
    assert aws_errors.is_missing_resource(error) is missing


def test_the_runtime_words_a_missing_endpoint_in_its_own_way() -> None:
    says = "Endpoint whippet-dev of account 123456789012 not found."
    error = refused(
        boto3.client("sagemaker-runtime", region_name=REGION),
        "invoke_endpoint",
        {"EndpointName": "whippet-dev", "Body": b""},
        service_error_code="ValidationError",
        service_message=says,
    )
    assert aws_errors.is_missing_endpoint(error)
    assert not aws_errors.is_missing_resource(error)
    assert not aws_errors.is_missing_endpoint(sagemaker_says("variant is not in service"))


@pytest.mark.parametrize("status", ["Stopped", "Completed", "Failed"])
def test_a_job_that_has_ended_refuses_to_be_stopped(status: str) -> None:
    assert aws_errors.has_ended(sagemaker_says(f"The job is {status} and cannot be stopped"))
    assert not aws_errors.has_ended(sagemaker_says("not authorized to stop", "AccessDeniedException"))


@pytest.mark.parametrize(
    ("status", "missing", "unreadable"), [(404, True, True), (403, False, True), (503, False, False)]
)
def test_a_missing_object_is_told_by_its_http_status(status: int, missing: bool, unreadable: bool) -> None:
    error = refused(
        boto3.client("s3", region_name=REGION),
        "head_object",
        {"Bucket": "data", "Key": "a"},
        service_error_code=str(status),
        http_status_code=status,
    )
    assert aws_errors.is_missing_object(error) is missing
    assert aws_errors.is_unreadable_object(error) is unreadable


@pytest.mark.parametrize(
    ("judge", "code"),
    [
        (aws_errors.is_missing_bucket, "NoSuchBucket"),
        (aws_errors.is_missing_state_machine, "StateMachineDoesNotExist"),
        (aws_errors.is_missing_job, "ResourceNotFound"),
        (aws_errors.is_missing_job, "ValidationException"),
    ],
)
def test_what_is_missing_is_told_by_the_code(judge: Callable[[ClientError], bool], code: str) -> None:
    assert judge(sagemaker_says("", code))
    assert not judge(sagemaker_says("", "ThrottlingException"))


def test_an_object_is_read_and_a_missing_one_is_none() -> None:
    s3 = boto3.client("s3", region_name=REGION)
    wanted = {"Bucket": "data", "Key": "a.json"}
    with Stubber(s3) as stub:
        stub.add_response("get_object", {"Body": StreamingBody(io.BytesIO(b"{}"), 2)}, wanted)
        stub.add_client_error("get_object", "NoSuchKey", http_status_code=404, expected_params=wanted)
        stub.add_client_error("get_object", "AccessDenied", http_status_code=403, expected_params=wanted)
        assert read_if_present(s3, bucket="data", key="a.json") == b"{}"
        assert read_if_present(s3, bucket="data", key="a.json") is None
        with pytest.raises(ClientError, match="AccessDenied"):
            read_if_present(s3, bucket="data", key="a.json")


def test_json_is_written_so_that_people_can_read_it() -> None:
    s3 = boto3.client("s3", region_name=REGION)
    value = {"class": "Füchse"}
    body = '{\n  "class": "Füchse"\n}'.encode()
    wanted = {"Bucket": "data", "Key": "a.json", "Body": body, "ContentType": "application/json"}
    with Stubber(s3) as stub:
        stub.add_response("put_object", {}, wanted)
        assert write_json(s3, bucket="data", key="a.json", value=value) == "s3://data/a.json"
        stub.assert_no_pending_responses()
    assert json.loads(body) == value


def test_a_subject_is_made_to_fit() -> None:
    sns = boto3.client("sns", region_name=REGION)
    wanted = {"TopicArn": "arn", "Subject": "?" * 100, "Message": "üüü"}
    with Stubber(sns) as stub:
        stub.add_response("publish", {}, wanted)
        publish(sns, topic_arn="arn", subject="ü" * 300, text="üüü")
        stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("partition", "region", "host"),
    [
        ("aws", "eu-west-1", "console.aws.amazon.com"),
        ("aws-cn", "cn-north-1", "console.amazonaws.cn"),
        ("aws-us-gov", "us-gov-west-1", "console.amazonaws-us-gov.com"),
        ("aws-eusc", "eusc-de-east-1", "console.amazonaws-eusc.eu"),
    ],
)
def test_links_lead_into_the_console_of_the_partition_and_the_region(partition: str, region: str, host: str) -> None:
    execution = f"arn:{partition}:states:{region}:123456789012:execution:whippet-dev:run-1"
    console = f"https://{region}.{host}"
    assert execution_link(execution) == (f"{console}/states/home?region={region}#/v2/executions/details/{execution}")
    assert object_link("data", "runs/r 1/report.html", beside=execution) == (
        f"{console}/s3/object/data?region={region}&prefix=runs/r%201/report.html"
    )
    assert (region_of(execution), region_of("run-1")) == (region, "")


def test_a_long_list_of_names_is_cut() -> None:
    assert first_few(["a", "b"]) == "a, b"
    assert first_few(list("abcdefgh")) == "a, b, c, d, e and 3 more"
