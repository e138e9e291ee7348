"""The stack destroyed in each situation in which a person may do it, through CloudFormation, with the real clean-up.

Jobs and models are programs of a few lines, so that a situation takes seconds. After each destroy, every kind of thing
is listed through the APIs, and nothing is there but what README names.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cli.digits import write_digits
from infra.outputs import StackOutput
from local import control
from local.clock import SPEED_VARIABLE
from local.cloud.permission_log import VARIABLE
from tests.local.cloud.conftest import SERVING_IMAGE
from tests.system.left_behind import unstated_after_runs
from tests.system.permission_table import Granted, PermissionLog, granted, unproved
from tests.system.system import ENDPOINT, STACK, System

SPEED = 10
"""Ten minutes of a rollout in one: longer than any other step of a destroy."""

SETTINGS = {"serving.mode": "realtime", "serving.pause_after_hours": "24", "debugger.mode": "off"}

_TRAIN = """#!/bin/sh
test -e {fails} && { echo "no memory left" >&2; exit 3; }
exec sleep 3600
"""

_SERVE = """
import http.server, os

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass

http.server.HTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""


@dataclass(frozen=True)
class Destroyed:
    """A system that is deployed and destroyed again and again."""

    system: System
    template: str
    fails: Path
    """While this file is there, a job fails; otherwise it takes an hour."""
    photos: Path
    log: PermissionLog
    """The permissions that the roles use."""
    permissions: set[Granted] = field(default_factory=set)
    """What the roles of the stacks so far could do."""

    def deploy(self) -> None:
        """Deploy the stack, unless it stands."""
        cloudformation = self.system.client("cloudformation")
        stacks = cloudformation.list_stacks()["StackSummaries"]
        if any(stack["StackName"] == STACK and stack["StackStatus"] != "DELETE_COMPLETE" for stack in stacks):
            return
        # in the bucket that the CDK puts its assets into; a request takes none of this size
        buckets = [bucket["Name"] for bucket in self.system.client("s3").list_buckets()["Buckets"]]
        (assets,) = (name for name in buckets if name.startswith("cdk-"))
        self.system.client("s3").put_object(Bucket=assets, Key="again.json", Body=self.template.encode())
        url = f"https://s3.{control.REGION}.amazonaws.com/{assets}/again.json"
        cloudformation.create_stack(StackName=STACK, TemplateURL=url, Capabilities=["CAPABILITY_NAMED_IAM"])
        cloudformation.get_waiter("stack_create_complete").wait(
            StackName=STACK, WaiterConfig={"Delay": 1, "MaxAttempts": 300}
        )

    def destroy(self) -> None:
        self.permissions.update(granted(self.system.client("iam"), prefix=STACK))
        cloudformation = self.system.client("cloudformation")
        cloudformation.delete_stack(StackName=STACK)
        cloudformation.get_waiter("stack_delete_complete").wait(
            StackName=STACK, WaiterConfig={"Delay": 1, "MaxAttempts": 600}
        )

    def run(self) -> str:
        """Start the real state machine with photos, and return the execution's ARN."""
        self.system.whippet("upload", str(self.photos), settings=SETTINGS)
        states = self.system.client("stepfunctions")
        machine = self.system.output(StackOutput.STATE_MACHINE_ARN)
        return str(states.start_execution(stateMachineArn=machine, input="{}")["executionArn"])

    def release(self, run: str) -> str:
        """A run's model with its configuration and package, as they are before the endpoint is touched."""
        sagemaker, name = self.system.client("sagemaker"), f"{ENDPOINT}-{run}"
        (role,) = (
            role["Arn"]
            for page in self.system.client("iam").get_paginator("list_roles").paginate()
            for role in page["Roles"]
            if role["RoleName"].startswith(f"{STACK}-EndpointRole")
        )
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer={"Image": SERVING_IMAGE})
        variant = {"VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.m5.large"}
        sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[variant | {"InitialInstanceCount": 1}]
        )
        sagemaker.create_model_package(
            ModelPackageGroupName=ENDPOINT,
            InferenceSpecification={
                "Containers": [{"Image": SERVING_IMAGE}],
                "SupportedContentTypes": ["image/jpeg"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
        )
        return name

    def serve(self, config: str, *, status: str = "InService") -> None:
        sagemaker = self.system.client("sagemaker")
        sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName=config)
        until(lambda: sagemaker.describe_endpoint(EndpointName=ENDPOINT)["EndpointStatus"] == status)

    def account(self, **document: Any) -> None:
        """Write the account document (docs/local-cloud.md)."""
        new = self.system.state / "account.json.new"
        new.write_text(json.dumps(document))
        new.replace(self.system.state / "account.json")


def until(ready: Callable[[], bool], *, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def destroyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Destroyed]:
    state, folder = tmp_path_factory.mktemp("destroyed"), tmp_path_factory.mktemp("programs")
    fails = folder / "fails"
    for name, text in (
        ("training/bin/train", _TRAIN.replace("{fails}", str(fails))),
        ("inference/bin/python", f"#!/bin/sh\nexec {sys.executable} {folder / 'serve.py'}\n"),
    ):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    (folder / "serve.py").write_text(_SERVE)
    (folder / "cloud").symlink_to(Path(control.__file__).parents[1] / ".envs" / "cloud")
    log = PermissionLog(folder / "permissions.jsonl")
    variables = {SPEED_VARIABLE: str(SPEED), "WHIPPET_ENVIRONMENTS": str(folder), VARIABLE: str(log.file)}
    system = System(state, environment=variables)
    write_digits(folder / "digits", train=30, held_out=1)
    try:
        system.whippet("up", settings=SETTINGS)
        found = system.client("cloudformation").get_template(StackName=STACK)["TemplateBody"]
        template = found if isinstance(found, str) else json.dumps(found)
        yield Destroyed(system, template, fails, folder / "digits" / "photos", log)
    finally:
        control.stop(state)
        shutil.rmtree(state, ignore_errors=True)


@pytest.fixture
def stack(destroyed: Destroyed) -> Iterator[Destroyed]:
    """The stack, freshly deployed."""
    destroyed.deploy()
    yield destroyed
    destroyed.fails.unlink(missing_ok=True)
    (destroyed.system.state / "account.json").unlink(missing_ok=True)


def a_model_serves(stack: Destroyed) -> None:
    stack.release("first-1")
    stack.serve(stack.release("second-2"))


def a_run_goes_on(stack: Destroyed) -> None:
    stack.run()
    sagemaker = stack.system.client("sagemaker")
    until(lambda: bool(sagemaker.list_training_jobs(StatusEquals="InProgress")["TrainingJobSummaries"]))


def a_run_has_failed(stack: Destroyed) -> None:
    stack.fails.touch()
    execution, states = stack.run(), stack.system.client("stepfunctions")
    until(lambda: states.describe_execution(executionArn=execution)["status"] == "FAILED")


def a_run_has_been_stopped(stack: Destroyed) -> None:
    """The tidy-up is at work when the clean-up comes."""
    a_run_goes_on(stack)
    states = stack.system.client("stepfunctions")
    machine = stack.system.output(StackOutput.STATE_MACHINE_ARN)
    (running,) = states.list_executions(stateMachineArn=machine, statusFilter="RUNNING")["executions"]
    states.stop_execution(executionArn=running["executionArn"])


def a_rollout_bakes(stack: Destroyed) -> None:
    """Both fleets stand; SageMaker deletes no endpoint that is being updated, so that the destroy waits."""
    stack.serve(stack.release("first-1"))
    sagemaker = stack.system.client("sagemaker")
    canary = {
        "Type": "CANARY",
        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50},
        "WaitIntervalInSeconds": 300,
    }
    sagemaker.update_endpoint(
        EndpointName=ENDPOINT,
        EndpointConfigName=stack.release("second-2"),
        DeploymentConfig={"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": canary}},
    )
    assert sagemaker.describe_endpoint(EndpointName=ENDPOINT)["EndpointStatus"] == "Updating"


def an_endpoint_is_long_in_creating(stack: Destroyed) -> None:
    stack.account(creating=[{"name": ENDPOINT, "seconds": 300}])
    stack.serve(stack.release("first-1"), status="Creating")


def a_model_sleeps(stack: Destroyed) -> None:
    name = stack.release("first-1")
    record = stack.system.output(StackOutput.SLEEP_RECORD)
    stack.system.client("ssm").put_parameter(Name=record, Value=name, Type="String", Overwrite=True)


def somebody_has_deleted_things(stack: Destroyed) -> None:
    """The model in service, its configuration and package, the state machine, and a log group."""
    stack.serve(stack.release("first-1"))
    sagemaker, logs = stack.system.client("sagemaker"), stack.system.client("logs")
    sagemaker.delete_endpoint_config(EndpointConfigName=f"{ENDPOINT}-first-1")
    sagemaker.delete_model(ModelName=f"{ENDPOINT}-first-1")
    for package in sagemaker.list_model_packages(ModelPackageGroupName=ENDPOINT)["ModelPackageSummaryList"]:
        sagemaker.delete_model_package(ModelPackageName=package["ModelPackageArn"])
    machine = stack.system.output(StackOutput.STATE_MACHINE_ARN)
    stack.system.client("stepfunctions").delete_state_machine(stateMachineArn=machine)
    group = next(
        group["logGroupName"]
        for group in logs.describe_log_groups()["logGroups"]
        if not group["logGroupName"].startswith("/aws/sagemaker")
    )
    logs.delete_log_group(logGroupName=group)


@pytest.mark.parametrize(
    "situation",
    [
        a_model_serves,
        a_run_goes_on,
        a_run_has_failed,
        a_run_has_been_stopped,
        a_rollout_bakes,
        an_endpoint_is_long_in_creating,
        a_model_sleeps,
        somebody_has_deleted_things,
    ],
)
def test_a_destroy_leaves_nothing_whatever_the_situation(
    stack: Destroyed, situation: Callable[[Destroyed], None]
) -> None:
    situation(stack)
    stack.destroy()
    assert unstated_after_runs(stack.system.client) == []


def test_the_cdks_own_destroy_does_the_same(stack: Destroyed) -> None:
    a_run_goes_on(stack)
    stack.serve(stack.release("first-1"))
    stack.system.destroy()
    assert unstated_after_runs(stack.system.client) == []


def test_what_a_whole_run_does_not_need_is_needed_here(destroyed: Destroyed) -> None:
    destroyed.log.end("destroys")
    assert unproved(sorted(destroyed.permissions), destroyed.log, test=__file__) == []
