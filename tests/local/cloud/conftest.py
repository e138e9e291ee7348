"""One local cloud for the tests of this folder, started as users start it: through local.control."""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from local import control
from local.cloud.permission_log import VARIABLE
from tests.system.permission_table import PermissionLog

WAIT_SECONDS = 60
TRAINING_IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch:2.13-cpu-amzn2023-sagemaker"
SERVING_IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/whippet-dev-serving:1"


@dataclass(frozen=True)
class Account:
    """Clients of one running local cloud, as its administrator unless other keys are given."""

    cloud: control.Cloud

    def permission_log(self) -> PermissionLog:
        """The permissions that the roles have used so far."""
        log = PermissionLog(_log_file(self.cloud.state))
        log.end("so far")
        return log

    def client(self, service: str, **credentials: str) -> Any:
        keys = credentials or {
            "aws_access_key_id": self.cloud.access_key,
            "aws_secret_access_key": self.cloud.secret_key,
        }
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.cloud.endpoint_url,
            region_name="us-east-1",
            config=Config(retries={"max_attempts": 0}, read_timeout=WAIT_SECONDS, s3={"addressing_style": "path"}),
            **keys,
        )

    def role(self, name: str, service: str, *statements: dict[str, Any]) -> str:
        """ARN of a new role that `service` and this account may assume, with these statements."""
        iam = self.client("iam")
        principal = {"Service": service, "AWS": "arn:aws:iam::000000000000:root"}
        trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
        arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=_policy(trust))["Role"]["Arn"]
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=_policy(*statements))
        return arn

    def state_machine(self, name: str, role: str, states: dict[str, Any], **machine: Any) -> str:
        """ARN of a new state machine that starts at the first of these states."""
        definition = json.dumps({"StartAt": next(iter(states)), "States": states, **machine})
        states_client = self.client("stepfunctions")
        arn: str = states_client.create_state_machine(name=name, definition=definition, roleArn=role)["stateMachineArn"]
        return arn

    def endpoint(self, name: str, role: str) -> None:
        """A new endpoint, in service."""
        sagemaker = self.client("sagemaker")
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer={"Image": SERVING_IMAGE})
        variant = {"VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.m5.large"}
        sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[variant | {"InitialInstanceCount": 1}]
        )
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        seen = until(
            lambda: sagemaker.describe_endpoint(EndpointName=name), lambda found: found["EndpointStatus"] != "Creating"
        )
        assert seen["EndpointStatus"] == "InService", seen

    def assume(self, role: str) -> dict[str, str]:
        """Keys of a session of the role, for `client`."""
        keys = self.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
        return {
            "aws_access_key_id": keys["AccessKeyId"],
            "aws_secret_access_key": keys["SecretAccessKey"],
            "aws_session_token": keys["SessionToken"],
        }

    def start(self, state_machine: str) -> str:
        arn: str = self.client("stepfunctions").start_execution(stateMachineArn=state_machine)["executionArn"]
        return arn

    def finished(self, execution: str) -> dict[str, Any]:
        """The execution's description once it is over."""
        states_client = self.client("stepfunctions")
        return until(
            lambda: states_client.describe_execution(executionArn=execution), lambda seen: seen["status"] != "RUNNING"
        )

    def run(self, name: str, role: str, states: dict[str, Any], **machine: Any) -> dict[str, Any]:
        """A new state machine's only execution, once it is over."""
        return self.finished(self.start(self.state_machine(name, role, states, **machine)))

    def deploy(self, stack: str, template: str) -> dict[str, str]:
        """Outputs of a new stack."""
        cloudformation = self.client("cloudformation")
        cloudformation.create_stack(StackName=stack, TemplateBody=template, Capabilities=["CAPABILITY_NAMED_IAM"])
        found = self.settled(stack)
        assert found["StackStatus"] == "CREATE_COMPLETE", self.events(stack)
        return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}

    def settled(self, stack: str) -> dict[str, Any]:
        """The stack's description once nothing is in progress."""
        cloudformation = self.client("cloudformation")
        return until(
            lambda: cloudformation.describe_stacks(StackName=stack)["Stacks"][0],
            lambda seen: not seen["StackStatus"].endswith("IN_PROGRESS"),
        )

    def events(self, stack: str) -> list[str]:
        """Why resources of the stack failed."""
        found = self.client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"]
        return [str(event.get("ResourceStatusReason", "")) for event in found if "FAILED" in event["ResourceStatus"]]


def until(look: Callable[[], dict[str, Any]], over: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """What `look` sees once it is `over`."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        seen = look()
        if over(seen):
            return seen
        assert time.monotonic() < deadline, f"still {seen}"
        time.sleep(0.05)


def _policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


_TRAIN = """#!/bin/sh
case "$TRAINING_JOB_NAME" in
  *fail*) echo "no memory left" >&2; exit 3;;
  *slow*) touch "$SAGEMAKER_BASE_DIR/model/weights"; exec sleep 600;;
  *forget*) rm "$SAGEMAKER_BASE_DIR/checkpoints/old.pt";;
esac
touch "$SAGEMAKER_BASE_DIR/model/weights" "$SAGEMAKER_BASE_DIR/output/data/profile.json"
if test -e "$SAGEMAKER_BASE_DIR/input/config/debughookconfig.json"; then
  mkdir -p "$SAGEMAKER_BASE_DIR/output/tensors" && touch "$SAGEMAKER_BASE_DIR/output/tensors/loss"
fi
"""

# Stands for `python` of the training environment: of its modules only the rules' program is asked for.
_EVALUATE = """#!/bin/sh
exec {python} {program} "$@"
"""

_RULES = """
import json, os, pathlib, sys

given = dict(zip(sys.argv[3::2], sys.argv[4::2]))
assert sys.argv[1:3] == ["-m", "training.evaluate_rules"] and given["--evaluator"] == "managed", sys.argv
results = []
for name, parameters in os.environ.items():
    if name.startswith("WHIPPET_RULE_"):
        rule, parameters = name.removeprefix("WHIPPET_RULE_"), json.loads(parameters)
        status = parameters.get("status", "NoIssuesFound")
        saved = sorted(path.name for path in pathlib.Path(given["--tensors"]).iterdir())
        detail = f"{given['--mode']} {saved} {'--profile' in given}"
        step = 7 if status == "IssuesFound" else None
        results.append({"rule": rule, "status": status, "detail": detail, "step": step, "evaluator": "managed"})
report = {"results": results, "seconds": 0.1}
(pathlib.Path(given["--output"]) / "rules.json").write_text(json.dumps(report))
"""

_SERVE = """#!/bin/sh
exec {python} {program}
"""

_SERVER = """
import http.server, os

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(b"")

    def do_POST(self):
        print("asked", flush=True)
        self.answer(self.rfile.read(int(self.headers["Content-Length"]))[::-1])

    def log_message(self, *_):
        pass

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", self.headers.get("Accept", "text/plain"))
        self.send_header("X-Amzn-SageMaker-Custom-Attributes", "trace=1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.HTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""


def _programs(folder: Path) -> Path:
    """Environments like .envs, whose training and serving programs are a few lines and end at once."""
    for environment, program, text in (
        ("training", "train", _TRAIN),
        ("training", "python", _EVALUATE.format(python=sys.executable, program=folder / "rules.py")),
        ("inference", "python", _SERVE.format(python=sys.executable, program=folder / "serve.py")),
    ):
        file = folder / environment / "bin" / program
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)
    (folder / "serve.py").write_text(_SERVER)
    (folder / "rules.py").write_text(_RULES)
    (folder / "cloud").symlink_to(Path(control.__file__).parents[1] / ".envs" / "cloud")
    return folder


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for WHIPPET_ENVIRONMENTS."""
    return _programs(tmp_path_factory.mktemp("environments"))


@pytest.fixture(scope="session")
def account(tmp_path_factory: pytest.TempPathFactory, programs: Path) -> Iterator[Account]:
    """A running local cloud, the same for every test."""
    yield from running_cloud(tmp_path_factory.mktemp("cloud"), programs)


@pytest.fixture
def own_account(tmp_path: Path, programs: Path) -> Iterator[Account]:
    """A running local cloud of the test's own, which it may stop."""
    yield from running_cloud(tmp_path / "own", programs)


@pytest.fixture(scope="session")
def debugger_account(tmp_path_factory: pytest.TempPathFactory, programs: Path) -> Iterator[Account]:
    """A running local cloud whose account may use SageMaker Debugger."""
    yield from running_cloud(tmp_path_factory.mktemp("debugger"), programs, WHIPPET_DEBUGGER_ACCESS="true")


def running_cloud(state: Path, programs: Path, **variables: str) -> Iterator[Account]:
    """Yield an account of a local cloud that was started with these variables, and stop it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHIPPET_ENVIRONMENTS", str(programs))
        patch.setenv(VARIABLE, str(_log_file(state)))
        patch.setenv("WHIPPET_DEBUGGER_ACCESS", "false")
        for name, value in variables.items():
            patch.setenv(name, value)
        cloud = control.start(state)
    yield Account(cloud)
    control.stop(state)


def _log_file(state: Path) -> Path:
    return state.with_name(f"{state.name}-permissions.jsonl")


def training_job(job: str, *, role: str, bucket: str) -> dict[str, Any]:
    """CreateTrainingJob's request for a job that reads nothing."""
    return {
        "TrainingJobName": job,
        "RoleArn": role,
        "AlgorithmSpecification": {"TrainingImage": TRAINING_IMAGE, "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/output"},
        "ResourceConfig": {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    }


@pytest.fixture(scope="session")
def front_door(account: Account) -> dict[str, str]:
    """Outputs of a stack with a bucket, a function and an API before it."""
    return account.deploy("front-door", Path(__file__).with_name("front_door.yaml").read_text())


@pytest.fixture(scope="session")
def job_role(account: Account, front_door: dict[str, str]) -> str:
    """A role jobs and endpoints may run under."""
    return account.role("job", "sagemaker.amazonaws.com", allow("s3:*", "*"), allow("logs:*", "*"))


@pytest.fixture
def job(front_door: dict[str, str], job_role: str, name: str) -> dict[str, Any]:
    """CreateTrainingJob's request for a job that succeeds; `fail` or `slow` in its name makes it fail or stay."""
    return training_job(f"{name}-job", role=job_role, bucket=front_door["Bucket"])


@pytest.fixture
def name() -> str:
    """A name no other test has."""
    return f"t{next(_numbers)}"


_numbers = itertools.count()


def allow(action: str | list[str], resource: str | list[str]) -> dict[str, Any]:
    """A policy statement."""
    return {"Effect": "Allow", "Action": action, "Resource": resource}
