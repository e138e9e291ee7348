"""Faults on demand: whose call is hit, what the caller sees, and that nothing that cannot fire is accepted."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

if TYPE_CHECKING:
    from tests.local.cloud.account.conftest import Documented

THROTTLED = {"code": "ThrottlingException", "message": "Rate exceeded", "status": 400}


def _delay(service: str, operation: str) -> str:
    """A document with one fault."""
    return json.dumps({"faults": [{"service": service, "operation": operation, "delay_seconds": 1}]})


def test_the_first_calls_get_aws_s_error_and_the_next_is_carried_out(
    strict: Documented, training: dict[str, Any]
) -> None:
    refusal = {"code": "ResourceLimitExceeded", "message": "no instance left"}
    fault = {"name": "full", "service": "sagemaker", "operation": "CreateTrainingJob", "times": 2, "error": refusal}
    strict.faults(fault)
    sagemaker = strict.client("sagemaker")

    for _ in range(2):
        with pytest.raises(sagemaker.exceptions.ResourceLimitExceeded) as caught:
            sagemaker.create_training_job(**training)
        assert caught.value.response["Error"] == {"Code": "ResourceLimitExceeded", "Message": "no instance left"}
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert sagemaker.create_training_job(**training)["TrainingJobArn"]

    counts = [(line["fault"], line["operation"], line["count"]) for line in strict.fired()[-2:]]
    assert counts == [("full", "CreateTrainingJob", 1), ("full", "CreateTrainingJob", 2)]


def test_a_fault_may_wait_for_the_third_call(strict: Documented) -> None:
    strict.faults({"service": "sts", "operation": "GetCallerIdentity", "after": 2, "times": 1, "error": THROTTLED})
    seen = []
    for _ in range(4):
        try:
            strict.client("sts").get_caller_identity()
            seen.append("answer")
        except ClientError as error:
            seen.append(error.response["Error"]["Code"])
    assert seen == ["answer", "answer", "ThrottlingException", "answer"]


def test_a_changed_document_counts_anew_and_without_one_nothing_fails(strict: Documented) -> None:
    fault = {"service": "sts", "operation": "*", "times": 1, "error": THROTTLED}
    for _ in range(2):
        strict.faults(fault)
        with pytest.raises(ClientError, match="Rate exceeded"):
            strict.client("sts").get_caller_identity()
        strict.client("sts").get_caller_identity()
    strict.faults({**fault, "times": None})
    (strict.cloud.state / "account.json").unlink()
    strict.client("sts").get_caller_identity()


@pytest.mark.parametrize(
    ("service", "operation", "call"),
    [
        ("s3", "ListObjectsV2", lambda client: client.list_objects_v2(Bucket="outputs")),
        ("s3", "GetObject", lambda client: client.get_object(Bucket="outputs", Key="k")),
        ("iam", "ListRoles", lambda client: client.list_roles()),
        ("cloudformation", "ListStacks", lambda client: client.list_stacks()),
        ("sns", "ListTopics", lambda client: client.list_topics()),
        ("cloudwatch", "ListMetrics", lambda client: client.list_metrics()),
        ("lambda", "ListFunctions", lambda client: client.list_functions()),
        ("apigateway", "GetRestApis", lambda client: client.get_rest_apis()),
        ("stepfunctions", "ListStateMachines", lambda client: client.list_state_machines()),
        ("logs", "DescribeLogGroups", lambda client: client.describe_log_groups()),
        ("events", "ListRules", lambda client: client.list_rules()),
        ("codebuild", "ListProjects", lambda client: client.list_projects()),
        ("ecr", "DescribeRepositories", lambda client: client.describe_repositories()),
        ("sqs", "ListQueues", lambda client: client.list_queues()),
    ],
)
def test_every_protocol_has_its_form_of_the_error(
    strict: Documented, outputs: str, service: str, operation: str, call: Any
) -> None:
    client = strict.client(service)
    strict.faults({"service": service, "operation": operation, "error": {**THROTTLED, "status": 429}})
    with pytest.raises(ClientError) as caught:
        call(client)
    error = caught.value.response
    assert (error["Error"]["Code"], error["Error"]["Message"]) == ("ThrottlingException", "Rate exceeded")
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 429


def test_a_lost_answer_is_a_broken_connection_after_the_work_was_done(strict: Documented, name: str) -> None:
    strict.faults({"service": "s3", "operation": "CreateBucket", "lost_answer": "connection"})
    with pytest.raises(ConnectionClosedError):
        strict.client("s3").create_bucket(Bucket=f"{name}-bucket")
    strict.faults()
    strict.client("s3").head_bucket(Bucket=f"{name}-bucket")


def test_a_lost_answer_may_be_an_internal_failure(strict: Documented, training: dict[str, Any]) -> None:
    strict.faults({"service": "sagemaker", "operation": "CreateTrainingJob", "lost_answer": "internal_failure"})
    sagemaker = strict.client("sagemaker")
    with pytest.raises(ClientError) as caught:
        sagemaker.create_training_job(**training)
    assert caught.value.response["Error"]["Code"] == "InternalFailure"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert sagemaker.describe_training_job(TrainingJobName=training["TrainingJobName"])


def test_a_refused_call_is_not_carried_out(strict: Documented, name: str) -> None:
    strict.faults({"service": "s3", "operation": "CreateBucket", "error": {"code": "SlowDown", "status": 503}})
    with pytest.raises(ClientError, match="SlowDown"):
        strict.client("s3").create_bucket(Bucket=f"{name}-bucket")
    strict.faults()
    with pytest.raises(ClientError, match="404"):
        strict.client("s3").head_bucket(Bucket=f"{name}-bucket")


def test_a_delay_delays(strict: Documented) -> None:
    strict.faults({"service": "sts", "operation": "GetCallerIdentity", "delay_seconds": 0.5})
    begin = time.monotonic()
    strict.client("sts").get_caller_identity()
    assert time.monotonic() - begin >= 0.5


def test_who_may_not_call_is_refused_before_a_fault_hits(strict: Documented, name: str) -> None:
    nobody = strict.client("sagemaker", **strict.assume(strict.role(name, "lambda.amazonaws.com")))
    strict.faults({"service": "sagemaker", "operation": "List*", "error": THROTTLED})
    before = len(strict.fired())
    with pytest.raises(ClientError, match="AccessDenied"):
        nobody.list_models()
    assert len(strict.fired()) == before


def test_a_job_s_own_calls_are_hit(strict: Documented, training: dict[str, Any]) -> None:
    """The model's upload fails, and so does the job."""
    strict.faults({"service": "s3", "operation": "PutObject", "error": {"code": "KMS.DisabledException"}})
    sagemaker = strict.client("sagemaker")
    sagemaker.create_training_job(**training)
    deadline = time.monotonic() + 60
    while True:
        seen = sagemaker.describe_training_job(TrainingJobName=training["TrainingJobName"])
        if seen["TrainingJobStatus"] != "InProgress":
            break
        assert time.monotonic() < deadline, seen
        time.sleep(0.05)
    assert seen["TrainingJobStatus"] == "Failed"
    assert "KMS.DisabledException" in seen["FailureReason"]


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ("not json", "the account document is not JSON"),
        (_delay("sagemaker", "CreateTrainJob"), "no operation of sagemaker matches 'CreateTrainJob'"),
        (_delay("sagemakr", "*"), "no service matches 'sagemakr'"),
    ],
)
def test_a_wrong_document_is_not_overlooked(strict: Documented, document: str, sentence: str) -> None:
    """Every call is refused with what is wrong, until the document is right again."""
    (strict.cloud.state / "account.json").write_text(document)
    with pytest.raises(ClientError) as caught:
        strict.client("sagemaker").list_models()
    assert caught.value.response["Error"]["Code"] == "InvalidAccountDocument"
    assert sentence in caught.value.response["Error"]["Message"]
    strict.faults()
    strict.client("sagemaker").list_models()


def test_a_cloud_with_a_wrong_document_does_not_start(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from local import control

    (tmp_path / "account.json").write_text('{"fault": []}')
    with pytest.raises(control.CloudError, match="unknown member 'fault'"):
        control.start(tmp_path)


def test_retries_of_a_client_get_over_a_fault(strict: Documented) -> None:
    """As on AWS: boto3's standard retries know the code."""
    strict.faults({"name": "busy", "service": "sts", "operation": "*", "times": 1, "error": THROTTLED})
    cloud = strict.cloud
    client = boto3.client(
        "sts",
        endpoint_url=cloud.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=cloud.access_key,
        aws_secret_access_key=cloud.secret_key,
    )
    assert client.get_caller_identity()["ResponseMetadata"]["RetryAttempts"] == 1
