"""Which operation a request calls: botocore makes the requests, so it is the judge."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config

from local.cloud.request_operation import called_operation

OBJECT = {"Bucket": "data", "Key": "a/b c.jpg"}
CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("s3", "PutObject", OBJECT | {"Body": b"x"}),
    ("s3", "CopyObject", OBJECT | {"CopySource": "data/other"}),
    ("s3", "UploadPart", OBJECT | {"PartNumber": 1, "UploadId": "u", "Body": b"x"}),
    ("s3", "CreateMultipartUpload", OBJECT),
    ("s3", "CompleteMultipartUpload", OBJECT | {"UploadId": "u"}),
    ("s3", "GetObject", OBJECT),
    ("s3", "HeadObject", OBJECT),
    ("s3", "GetObjectTagging", OBJECT),
    ("s3", "DeleteObject", OBJECT),
    ("s3", "DeleteObjects", {"Bucket": "data", "Delete": {"Objects": [{"Key": "k"}]}}),
    ("s3", "ListObjects", {"Bucket": "data"}),
    ("s3", "ListObjectsV2", {"Bucket": "data", "Prefix": "p/"}),
    ("s3", "ListObjectVersions", {"Bucket": "data"}),
    ("s3", "ListBuckets", {}),
    ("s3", "CreateBucket", {"Bucket": "data"}),
    ("s3", "GetBucketVersioning", {"Bucket": "data"}),
    ("lambda", "Invoke", {"FunctionName": "f"}),
    ("lambda", "CreateFunction", {"FunctionName": "f", "Role": "arn:aws:iam::1:role/r", "Code": {"ZipFile": b""}}),
    ("lambda", "GetFunction", {"FunctionName": "arn:aws:lambda:us-east-1:000000000000:function:f"}),
    ("apigateway", "GetRestApi", {"restApiId": "a"}),
    ("apigateway", "GetApiKey", {"apiKey": "k", "includeValue": True}),
    ("sagemaker", "DescribeTrainingJob", {"TrainingJobName": "j"}),
    ("sagemaker-runtime", "InvokeEndpoint", {"EndpointName": "e", "Body": b"x"}),
    ("stepfunctions", "StartExecution", {"stateMachineArn": "arn:aws:states:us-east-1:1:stateMachine:m"}),
    ("iam", "GetRole", {"RoleName": "r"}),
    ("sts", "GetCallerIdentity", {}),
    ("cloudformation", "DescribeStacks", {}),
    ("cloudwatch", "PutMetricData", {"Namespace": "n", "MetricData": [{"MetricName": "m", "Value": 1.0}]}),
    ("logs", "FilterLogEvents", {"logGroupName": "g"}),
    ("events", "PutEvents", {"Entries": [{"Source": "s"}]}),
    ("sns", "Publish", {"TopicArn": "arn:aws:sns:us-east-1:1:t", "Message": "m"}),
    ("codebuild", "StartBuild", {"projectName": "p"}),
    ("ecr", "DescribeImages", {"repositoryName": "repository"}),
    ("service-quotas", "ListServiceQuotas", {"ServiceCode": "sagemaker"}),
]


@pytest.mark.parametrize(("service", "operation", "parameters"), CALLS, ids=[call[1] for call in CALLS])
def test_the_operation_of_a_request_is_the_one_that_botocore_was_asked_for(
    service: str, operation: str, parameters: dict[str, Any]
) -> None:
    sent = _request(service, operation, parameters)
    url = urlsplit(sent.url)
    headers = {
        name.lower(): value.decode() if isinstance(value, bytes) else value for name, value in sent.headers.items()
    }
    body = sent.body if isinstance(sent.body, bytes) else str(sent.body or "").encode()
    query = parse_qs(url.query, keep_blank_values=True)
    assert called_operation(sent.method, url.path, headers, body, query) == (service, operation)


def test_a_request_without_a_signature_calls_nothing() -> None:
    assert called_operation("GET", "/", {}, b"", {}) is None


def _request(service: str, operation: str, parameters: dict[str, Any]) -> Any:
    """The HTTP request that botocore sends for a call."""
    client = boto3.client(  # type: ignore[call-overload]
        service,
        endpoint_url="http://127.0.0.1:1",
        region_name="us-east-1",
        aws_access_key_id="AKIA0123456789ABCDEF",
        aws_secret_access_key="secret",
        config=Config(retries={"max_attempts": 0}),
    )
    seen: list[Any] = []

    class Nothing:
        @staticmethod
        def stream(**_: Any) -> Any:
            yield b""

    def keep(request: Any, **_: Any) -> AWSResponse:
        seen.append(request)
        return AWSResponse(request.url, 500, HTTPHeaders(), Nothing())

    client.meta.events.register("before-send.*", keep)
    with pytest.raises(client.exceptions.ClientError):
        client._make_api_call(operation, dict(parameters))
    return seen[0]
