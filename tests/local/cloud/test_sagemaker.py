"""SageMaker within the cloud: whose permissions count, and that nothing of it outlives the cloud."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from local import control

if TYPE_CHECKING:
    from tests.local.cloud.conftest import Account


def test_a_caller_needs_pass_role_for_the_jobs_role(account: Account, job: dict[str, Any], name: str) -> None:
    allowed = {"Effect": "Allow", "Action": "sagemaker:CreateTrainingJob", "Resource": "*"}
    role = account.role(name, "lambda.amazonaws.com", allowed)
    sagemaker = account.client("sagemaker", **account.assume(role))
    with pytest.raises(sagemaker.exceptions.ClientError, match="not authorized to perform: iam:PassRole"):
        sagemaker.create_training_job(**job)


def test_a_caller_needs_the_action_on_that_very_job(account: Account, job: dict[str, Any], name: str) -> None:
    other = "arn:aws:sagemaker:us-east-1:000000000000:training-job/other-*"
    allowed = {"Effect": "Allow", "Action": "sagemaker:CreateTrainingJob", "Resource": other}
    sagemaker = account.client("sagemaker", **account.assume(account.role(name, "lambda.amazonaws.com", allowed)))
    with pytest.raises(sagemaker.exceptions.ClientError, match="AccessDenied"):
        sagemaker.create_training_job(**job)


def test_a_role_that_does_not_trust_sagemaker_is_refused(account: Account, job: dict[str, Any], name: str) -> None:
    role = account.role(name, "lambda.amazonaws.com")
    sagemaker = account.client("sagemaker")
    with pytest.raises(sagemaker.exceptions.ClientError, match="Could not assume role"):
        sagemaker.create_training_job(**job | {"RoleArn": role})


def test_a_job_may_do_only_what_its_role_may(account: Account, job: dict[str, Any], name: str) -> None:
    """This one trains, and then may not write its model."""
    logs = {"Effect": "Allow", "Action": "logs:*", "Resource": "*"}
    role = account.role(name, "sagemaker.amazonaws.com", logs)
    sagemaker = account.client("sagemaker")
    sagemaker.create_training_job(**job | {"RoleArn": role})
    deadline = time.monotonic() + 30
    while (seen := sagemaker.describe_training_job(TrainingJobName=job["TrainingJobName"]))[
        "TrainingJobStatus"
    ] == "InProgress":
        assert time.monotonic() < deadline, seen
        time.sleep(0.05)
    assert seen["TrainingJobStatus"] == "Failed"
    assert "AccessDenied" in seen["FailureReason"] or "not authorized" in seen["FailureReason"], seen


def test_an_endpoint_answers_whoever_may_invoke_it(account: Account, job_role: str, name: str) -> None:
    account.endpoint(name, job_role)
    arn = f"arn:aws:sagemaker:us-east-1:000000000000:endpoint/{name}"
    allowed = {"Effect": "Allow", "Action": "sagemaker:InvokeEndpoint", "Resource": arn}
    may = account.assume(account.role(f"{name}-may", "lambda.amazonaws.com", allowed))
    may_not = account.assume(account.role(f"{name}-may-not", "lambda.amazonaws.com"))
    answer = account.client("sagemaker-runtime", **may).invoke_endpoint(EndpointName=name, Body=b"photo")
    assert answer["Body"].read() == b"otohp"
    refused = account.client("sagemaker-runtime", **may_not)
    with pytest.raises(refused.exceptions.ClientError, match="AccessDenied"):
        refused.invoke_endpoint(EndpointName=name, Body=b"photo")
    account.client("sagemaker").delete_endpoint(EndpointName=name)


def test_jobs_and_endpoints_end_with_the_cloud(own_account: Account, programs: Path) -> None:
    s3 = {"Effect": "Allow", "Action": ["s3:*", "logs:*"], "Resource": "*"}
    role = own_account.role("job", "sagemaker.amazonaws.com", s3)
    own_account.client("s3").create_bucket(Bucket="outputs")
    own_account.endpoint("endpoint", role)
    own_account.client("sagemaker").create_training_job(
        TrainingJobName="slow",
        RoleArn=role,
        AlgorithmSpecification={
            "TrainingImage": "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch:2.13-cpu-amzn2023-sagemaker",
            "TrainingInputMode": "File",
        },
        OutputDataConfig={"S3OutputPath": "s3://outputs/"},
        ResourceConfig={"InstanceType": "ml.c5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
    )
    state = str(own_account.cloud.state)
    deadline = time.monotonic() + 30
    while len(_processes_with(state)) < 3:
        assert time.monotonic() < deadline, "the server, the endpoint and the job should be running"
        time.sleep(0.05)
    assert control.stop(own_account.cloud.state)
    deadline = time.monotonic() + 10
    while left := _processes_with(state):
        assert time.monotonic() < deadline, f"still running: {left}"
        time.sleep(0.05)


def _processes_with(text: str) -> list[str]:
    """Command lines of the processes that name this folder as argument, in their environment or as theirs."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            folder = str((process / "cwd").readlink())
        except OSError:
            continue
        if text.encode() in words or folder.startswith(text):
            found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found
