"""SageMaker within the cloud: whose permissions count, and that nothing of it outlives the cloud."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from local import control
from tests.local.cloud.conftest import SERVING_IMAGE, until

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


@pytest.fixture(scope="module")
def serving(account: Account, job_role: str) -> str:
    """An endpoint in service, for all tests of this file."""
    account.endpoint("serving", job_role)
    return "serving"


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


@pytest.mark.parametrize("accept", ["text/csv", "application/json"])
def test_an_answer_has_the_content_type_and_the_headers_of_the_container(
    account: Account, serving: str, accept: str
) -> None:
    """F3: as botocore's model of the runtime API reads them."""
    runtime = account.client("sagemaker-runtime")
    answer = runtime.invoke_endpoint(EndpointName=serving, Body=b"photo", Accept=accept)
    assert answer["ContentType"] == accept
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert answer["CustomAttributes"] == "trace=1"


def test_what_the_runtime_api_does_not_have_here_is_named(account: Account, serving: str) -> None:
    runtime = account.client("sagemaker-runtime")
    with pytest.raises(
        runtime.exceptions.ClientError, match="InvokeEndpointAsync: the local SageMaker does not"
    ) as error:
        runtime.invoke_endpoint_async(EndpointName=serving, InputLocation="s3://bucket/photo.jpg")
    assert error.value.response["Error"]["Code"] == "UnknownOperationException"
    with pytest.raises(runtime.exceptions.ClientError, match="InvokeEndpointWithResponseStream: the local SageMaker"):
        runtime.invoke_endpoint_with_response_stream(EndpointName=serving, Body=b"photo")


@pytest.mark.parametrize("may_create_groups", [True, False])
def test_a_line_after_the_log_groups_deletion_makes_it_again_if_the_role_may(
    account: Account, name: str, may_create_groups: bool
) -> None:
    """As on AWS (A-19); the endpoint's role of the stack may not."""
    actions = ["logs:CreateLogStream", "logs:PutLogEvents", *(["logs:CreateLogGroup"] if may_create_groups else [])]
    allowed = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    logs, group = account.client("logs"), f"/aws/sagemaker/Endpoints/{name}"
    logs.create_log_group(logGroupName=group)
    account.endpoint(name, account.role(name, "sagemaker.amazonaws.com", allowed))
    logs.delete_log_group(logGroupName=group)
    account.client("sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=b"photo")

    def lines() -> list[str]:
        try:
            return [event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]]
        except logs.exceptions.ResourceNotFoundException:
            return []

    deadline = time.monotonic() + (30 if may_create_groups else 4)
    while "asked" not in lines() and time.monotonic() < deadline:
        time.sleep(0.1)
    account.client("sagemaker").delete_endpoint(EndpointName=name)
    assert lines() == (["asked"] if may_create_groups else [])
    groups = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert len(groups) == (1 if may_create_groups else 0)


@pytest.mark.parametrize("may_delete", [True, False])
def test_a_checkpoint_is_deleted_in_s3_with_the_jobs_role_or_the_job_fails(
    account: Account, job: dict[str, Any], name: str, front_door: dict[str, str], may_delete: bool
) -> None:
    """A-44. What AWS does with a role that may not is not documented."""
    bucket = front_door["Bucket"]
    account.client("s3").put_object(Bucket=bucket, Key=f"{name}/old.pt", Body=b"weights")
    actions = ["s3:GetObject", "s3:ListBucket", "s3:PutObject", *(["s3:DeleteObject"] if may_delete else [])]
    allowed = {"Effect": "Allow", "Action": [*actions, "logs:*"], "Resource": "*"}
    role = account.role(name, "sagemaker.amazonaws.com", allowed)
    sagemaker = account.client("sagemaker")
    sagemaker.create_training_job(
        **job
        | {
            "TrainingJobName": f"{name}-forget",
            "RoleArn": role,
            "CheckpointConfig": {"S3Uri": f"s3://{bucket}/{name}"},
        }
    )
    ended = until(
        lambda: sagemaker.describe_training_job(TrainingJobName=f"{name}-forget"),
        lambda seen: seen["TrainingJobStatus"] != "InProgress",
    )
    kept = account.client("s3").list_objects_v2(Bucket=bucket, Prefix=f"{name}/")["KeyCount"]
    if may_delete:
        assert (ended["TrainingJobStatus"], kept) == ("Completed", 0)
        return
    assert (ended["TrainingJobStatus"], kept) == ("Failed", 1)
    refused = f"ClientError: Cannot delete s3://{bucket}/{name}/old.pt"
    assert ended["FailureReason"].startswith(refused)
    assert f'the role "{role}" has "s3:DeleteObject" permissions' in ended["FailureReason"]
    events = account.client("logs").filter_log_events(logGroupName="/aws/sagemaker/TrainingJobs")["events"]
    assert any(event["message"].startswith(f"ERROR {refused}") for event in events)


def test_a_role_that_may_not_read_the_models_data_is_told(
    account: Account, name: str, front_door: dict[str, str]
) -> None:
    """Words of philschmid/llm-sagemaker-sample#2."""
    bucket = front_door["Bucket"]
    account.client("s3").put_object(Bucket=bucket, Key=f"{name}.tar.gz", Body=b"")
    role = account.role(name, "sagemaker.amazonaws.com")
    sagemaker = account.client("sagemaker")
    container = {"Image": SERVING_IMAGE, "ModelDataUrl": f"s3://{bucket}/{name}.tar.gz"}
    with pytest.raises(sagemaker.exceptions.ClientError, match="Could not access model data at s3://") as error:
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=container)
    assert error.value.response["Error"]["Code"] == "ValidationException"


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
