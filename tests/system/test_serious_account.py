"""A whole run in an account that asks for everything: an own key, a VPC, isolated jobs, a boundary, an own bootstrap.

The tests of this file build on each other in their order.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

import contract
from cli.digits import write_digits
from infra.outputs import StackOutput
from local import control
from local.cloud.permission_log import VARIABLE
from tests.local.cloud.conftest import SERVING_IMAGE
from tests.system.approval import run_and_answer
from tests.system.left_behind import unstated
from tests.system.permission_table import Granted, PermissionLog, granted, superfluous, table, unneeded
from tests.system.system import ENDPOINT, STACK, System

SETTINGS = {
    "@aws-cdk/core:bootstrapQualifier": "team7",
    "security.kms_key": "create",
    "security.key_at_destroy": "delete",
    "security.subnets": "subnet-0123456789abcdef0,subnet-0123456789abcdef1",
    "security.security_groups": "sg-0123456789abcdef0",
    "security.isolate_training": "true",
    "training.wheels": "wheels/",
    "debugger.mode": "own",
    "serving.mode": "realtime",
    "api.feedback": "true",
    "monitoring.capture_percent": "100",
    "release.approval": "manual",
    "scaling.max_instances": "2",
}
VPC = {
    "Subnets": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
    "SecurityGroupIds": ["sg-0123456789abcdef0"],
}
ALLOWED = [
    *(
        "application-autoscaling",
        "s3",
        "sagemaker",
        "logs",
        "cloudwatch",
        "ecr",
        "states",
        "events",
        "sns",
        "ssm",
        "lambda",
        "iam:PassRole",
        "iam:CreateServiceLinkedRole",
    ),
    *("servicequotas", "xray", "codebuild", "kms", "ec2"),
]
"""What the boundary has to allow (docs/security.md)."""


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> PermissionLog:
    return PermissionLog(tmp_path_factory.mktemp("log") / "permissions.jsonl")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, log: PermissionLog) -> Iterator[System]:
    home, state = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("serious")
    # what an organisation gives its developers for every app
    context = {"@aws-cdk/core:permissionsBoundary": {"name": "developer-boundary"}}
    (home / ".cdk.json").write_text(json.dumps({"context": context}))
    (home / ".cache").symlink_to(Path.home() / ".cache")  # where jsii unpacks the CDK once
    system = System(state, environment={"HOME": str(home)})
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(VARIABLE, str(log.file))
            control.start(state)
        actions = [action if ":" in action else f"{action}:*" for action in ALLOWED]
        statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        system.client("iam").create_policy(
            PolicyName="developer-boundary",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        )
        system.whippet("up", settings=SETTINGS)
        log.end("deploy")
        yield system
    finally:
        control.stop(state)
        shutil.rmtree(state, ignore_errors=True)


@pytest.fixture(scope="module")
def digit(tmp_path_factory: pytest.TempPathFactory, system: System, log: PermissionLog) -> Path:
    """A held-out digit, whose model was released."""
    folder = tmp_path_factory.mktemp("digits")
    answers = write_digits(folder, train=30, held_out=1)
    # Every package is installed here already; pip is told to look at nothing but this prefix.
    system.client("s3").put_object(Bucket=system.bucket, Key="wheels/README.txt", Body=b"wheels of the jobs")
    system.whippet("upload", str(folder / "photos"), settings=SETTINGS)
    system.whippet("drift", "--check", settings=SETTINGS)  # of no model; the run's report tells of it
    log.end("drift")
    break_endpoint(system)
    ended, said = run_and_answer(system, settings=SETTINGS)
    assert ended == 0, said
    log.end("run")
    return next(iter(answers))


def break_endpoint(system: System) -> None:
    """Leave an endpoint that has failed, as a release that somebody tried by hand does."""
    sagemaker, iam, name = system.client("sagemaker"), system.client("iam"), f"{ENDPOINT}-broken"
    (role,) = (
        role["Arn"] for role in iam.list_roles()["Roles"] if role["RoleName"].startswith(f"{STACK}-EndpointRole")
    )
    data = f"runs/broken/{contract.MODEL_ARCHIVE}"
    system.client("s3").put_object(Bucket=system.bucket, Key=data, Body=b"no archive")
    container = {"Image": SERVING_IMAGE, "ModelDataUrl": f"s3://{system.bucket}/{data}"}
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=container)
    variant = {"VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(
        EndpointConfigName=name, ProductionVariants=[variant | {"InitialInstanceCount": 1}]
    )
    sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName=name)
    end = time.monotonic() + 60
    while sagemaker.describe_endpoint(EndpointName=ENDPOINT)["EndpointStatus"] != "Failed":
        assert time.monotonic() < end, "an endpoint without a model serves"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def key(system: System) -> str:
    return system.output(StackOutput.KMS_KEY_ARN)


def test_every_role_has_the_boundary(system: System) -> None:
    iam = system.client("iam")
    roles = [name["RoleName"] for name in iam.list_roles()["Roles"] if name["RoleName"].startswith(STACK)]
    assert len(roles) > 10
    boundaries = {
        name: iam.get_role(RoleName=name)["Role"].get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
        for name in roles
    }
    assert {arn.rpartition("/")[2] for arn in map(str, boundaries.values())} == {"developer-boundary"}, boundaries


def test_the_code_lies_in_the_bootstrap_of_the_qualifier(system: System) -> None:
    stacks = {stack["StackName"] for stack in system.client("cloudformation").describe_stacks()["Stacks"]}
    assert stacks == {STACK, "CDKToolkit-team7"}


def described(system: System) -> list[dict[str, Any]]:
    sagemaker = system.client("sagemaker")
    names = [job["TrainingJobName"] for job in sagemaker.list_training_jobs()["TrainingJobSummaries"]]
    return [sagemaker.describe_training_job(TrainingJobName=name) for name in names]


def test_jobs_without_a_network_in_the_vpc_train_a_model_that_answers(system: System, digit: Path, key: str) -> None:
    answer = system.api("POST", "classify", digit.read_bytes(), x_api_key=system.key(), content_type="image/png")
    assert answer.status == 200, answer.data
    jobs = described(system)
    assert len(jobs) == 4, "features, two trials, training"
    for job in jobs:
        assert job["EnableNetworkIsolation"] is True
        assert job["VpcConfig"] == VPC
        assert job["ResourceConfig"]["VolumeKmsKeyId"] == key
        assert job["OutputDataConfig"]["KmsKeyId"] == key
    sagemaker = system.client("sagemaker")
    endpoint = sagemaker.describe_endpoint(EndpointName=ENDPOINT)
    config = sagemaker.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
    assert config["KmsKeyId"] == key
    model = sagemaker.describe_model(ModelName=config["ProductionVariants"][0]["ModelName"])
    assert (model["VpcConfig"], model["EnableNetworkIsolation"]) == (VPC, True)


def test_every_object_of_the_bucket_is_encrypted_with_the_key(system: System, digit: Path, key: str) -> None:
    s3, keys = system.client("s3"), {}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=system.bucket):
        for item in page["Contents"]:
            head = s3.head_object(Bucket=system.bucket, Key=item["Key"])
            keys[item["Key"]] = (head.get("ServerSideEncryption"), head.get("SSEKMSKeyId"))
    assert len(keys) > 300
    assert {name: found for name, found in keys.items() if found != ("aws:kms", key)} == {}


def test_photos_and_feedback_pass_through_the_encrypted_bucket(system: System, digit: Path, log: PermissionLog) -> None:
    headers = {"x_api_key": system.key(), "content_type": "application/json"}
    form = system.api("POST", "uploads", b"{}", **headers)
    assert form.status == 200, form.data
    upload = form.json()
    fields = {**upload["fields"], "file": ("digit.png", digit.read_bytes(), "image/png")}
    stored = urllib3.request("POST", upload["url"], fields=fields, retries=False)
    assert stored.status < 300, stored.data
    answer = system.api("POST", "classify", json.dumps({"s3": upload["s3"]}).encode(), **headers)
    assert answer.status == 200, answer.data
    assert system.api("GET", "health", x_api_key=system.key()).status == 200
    log.end("api")


def test_answers_are_captured_with_the_key_and_can_be_checked(
    system: System, digit: Path, key: str, log: PermissionLog
) -> None:
    s3 = system.client("s3")
    found = s3.list_objects_v2(Bucket=system.bucket, Prefix=f"captured/{ENDPOINT}/AllTraffic/").get("Contents", [])
    assert found, "two photos have been classified"
    for item in found:
        assert s3.head_object(Bucket=system.bucket, Key=item["Key"])["SSEKMSKeyId"] == key
    check = json.loads(system.whippet("drift", "--check", "--json", settings=SETTINGS).stdout)
    assert (check["verdict"], check["unreadable"]) == ("too_few", 0)
    assert check["answers"] > 0
    assert check["test_photos"] >= contract.FEWEST_TEST_PHOTOS
    log.end("drift")


def test_a_batch_has_the_key_and_the_vpc_too(
    system: System, digit: Path, key: str, tmp_path: Path, log: PermissionLog
) -> None:
    shutil.copy(digit, tmp_path / "one.png")
    output = str(tmp_path / "answers")
    system.whippet("classify", str(tmp_path), "--output", output, "--yes", settings=SETTINGS)
    sagemaker = system.client("sagemaker")
    (name,) = (job["TransformJobName"] for job in sagemaker.list_transform_jobs()["TransformJobSummaries"])
    job = sagemaker.describe_transform_job(TransformJobName=name)
    assert job["TransformJobStatus"] == "Completed"
    assert (job["TransformOutput"]["KmsKeyId"], job["TransformResources"]["VolumeKmsKeyId"]) == (key, key)
    log.end("batch")


@pytest.fixture(scope="module")
def permissions(system: System, digit: Path) -> list[Granted]:
    """What the roles of the stack may do, while it stands."""
    return granted(system.client("iam"), prefix=STACK)


def test_a_destroy_leaves_nothing_and_schedules_the_keys_deletion(
    system: System, permissions: list[Granted], key: str, log: PermissionLog
) -> None:
    system.client("cloudformation").delete_stack(StackName=STACK)
    waiter = system.client("cloudformation").get_waiter("stack_delete_complete")
    waiter.wait(StackName=STACK, WaiterConfig={"Delay": 2, "MaxAttempts": 120})
    assert [name for name in unstated(system.client) if "team7" not in name and "CDKToolkit" not in name] == []
    assert system.client("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion"
    log.end("destroy")


def test_every_permission_was_needed_or_says_who_needs_it(permissions: list[Granted], log: PermissionLog) -> None:
    """Without it a call of this file's tests would have been refused, so that the test of that phase would fail."""
    print(table(permissions, log, stack=STACK))
    assert superfluous(permissions, log) == [], "what is needed here needs no explanation"
    unexplained = unneeded(permissions, log)
    assert not unexplained, "\n".join(map(str, unexplained))
