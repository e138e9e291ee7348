"""A SageMaker under test: plain ministack for S3 and logs, small programs for images."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from local.sagemaker import DebuggerAccess, Image, RuleOutcome, RuleTask, SageMaker, StopPolicy

IMAGES = Path(__file__).parent / "images"
# These tests need ministack, which only the local cloud's environment has: `make test` runs them there.
collect_ignore_glob = [] if find_spec("ministack") else ["*test_*.py"]

ROLE = "arn:aws:iam::000000000000:role/tester"
IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/tiny:1"


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a plain ministack."""
    folder = tmp_path_factory.mktemp("cloud")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "S3_DATA_DIR": str(folder / "s3"),
        "STATE_DIR": str(folder / "state"),
    }
    log = (folder / "log.txt").open("wb")
    process = subprocess.Popen([sys.executable, "-m", "ministack"], env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, (folder / "log.txt").read_text()
        assert time.monotonic() < deadline, "ministack does not answer"
        try:
            urllib.request.urlopen(f"{url}/_ministack/health", timeout=2).close()
            break
        except OSError:
            time.sleep(0.1)
    yield url
    process.send_signal(signal.SIGKILL)
    process.wait()
    log.close()


class FakeHost:
    """The cloud around: one administrator, and every event kept."""

    debugger_access = DebuggerAccess.REFUSED
    account_id = "000000000000"
    region = "us-east-1"

    def __init__(self, endpoint_url: str) -> None:
        self.endpoint_url = endpoint_url
        self.events: list[tuple[str, dict[str, Any], list[str]]] = []
        self.metrics: list[tuple[str, dict[str, float], dict[str, str]]] = []
        self.sessions: list[tuple[str, str]] = []
        self.forbidden: set[str] = set()
        self.alarms: dict[str, str] = {}

    def credentials(self, role_arn: str, session_name: str) -> dict[str, str]:
        self.sessions.append((role_arn, session_name))
        if role_arn.endswith("/missing"):
            raise LookupError("there is no such role")
        return {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_SESSION_TOKEN": "",
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL": self.endpoint_url,
        }

    def denial(self, role_arn: str, *, action: str, resource: str) -> str | None:
        return f"not authorized to perform: {action} on resource: {resource}" if action in self.forbidden else None

    def publish(self, *, detail_type: str, detail: dict[str, Any], resources: list[str]) -> None:
        self.events.append((detail_type, detail, resources))

    def measure(self, *, namespace: str, metrics: Mapping[str, float], dimensions: Mapping[str, str]) -> None:
        self.metrics.append((namespace, dict(metrics), dict(dimensions)))

    def alarm_states(self, names: Sequence[str]) -> Mapping[str, str]:
        return {name: self.alarms[name] for name in names if name in self.alarms}


@pytest.fixture
def host(cloud: str) -> FakeHost:
    return FakeHost(cloud)


class FakeRules:
    """Stands for a rule image: `images/rules.py`, and its verdicts as they are."""

    def command(self, task: RuleTask) -> tuple[list[str], dict[str, str]]:
        argv = [sys.executable, str(IMAGES / "rules.py"), str(task.tensors), str(task.output), str(task.results)]
        return argv, {"RULES": json.dumps({name: dict(given) for name, given in task.rules.items()})}

    def outcomes(self, task: RuleTask) -> Mapping[str, RuleOutcome]:
        found = json.loads((task.results / "found.json").read_text())
        return {name: RuleOutcome(*outcome) for name, outcome in found.items()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "sagemaker"


@pytest.fixture
def stopping() -> StopPolicy:
    """How training jobs are ended; a test that needs another way parametrises it."""
    return StopPolicy(grace=1.0)


@pytest.fixture
def sagemaker(host: FakeHost, root: Path, stopping: StopPolicy) -> Iterator[SageMaker]:
    images = [
        Image(
            pattern=r"/tiny:",
            train=[sys.executable, str(IMAGES / "train.py")],
            serve=[sys.executable, str(IMAGES / "serve.py")],
            environment={"FROM_IMAGE": "yes"},
        ),
        Image(pattern=r"/serve-only:", serve=[sys.executable, str(IMAGES / "serve.py")]),
        Image(pattern=r"/rules:", evaluate=FakeRules()),
        Image(pattern=r"/nothing-there:", train=["no-such-program"], serve=["no-such-program"]),
    ]
    service = SageMaker(host=host, images=images, root=root, stopping=stopping)
    yield service
    service.close()


@pytest.fixture
def s3(cloud: str) -> Any:
    return client("s3", cloud)


@pytest.fixture
def logs(cloud: str) -> Any:
    return client("logs", cloud)


def client(name: str, url: str) -> Any:
    return boto3.client(
        name,  # type: ignore[call-overload]
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(s3={"addressing_style": "path"}),
    )


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    return name


def eventually(condition: Callable[[], Any], *, seconds: float = 60) -> Any:
    """What the condition gives once it is true."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)
    return result


class Jobs:
    """Training jobs of the tests."""

    def __init__(self, sagemaker: SageMaker, bucket: str) -> None:
        self.sagemaker = sagemaker
        self.bucket = bucket

    def request(self, name: str, *, hyperparameters: dict[str, str] | None = None, **members: Any) -> dict[str, Any]:
        return {
            "TrainingJobName": name,
            "AlgorithmSpecification": {
                "TrainingImage": IMAGE,
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "objective", "Regex": r"objective=([-0-9.e]+|nan);"}],
            },
            "RoleArn": ROLE,
            "OutputDataConfig": {"S3OutputPath": f"s3://{self.bucket}/out/"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
            "HyperParameters": hyperparameters or {},
            **members,
        }

    def start(self, name: str, *, hyperparameters: dict[str, str] | None = None, **members: Any) -> dict[str, Any]:
        return self.sagemaker.call("CreateTrainingJob", self.request(name, hyperparameters=hyperparameters, **members))

    def describe(self, name: str) -> dict[str, Any]:
        return self.sagemaker.call("DescribeTrainingJob", {"TrainingJobName": name})

    def ended(self, name: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            job = self.describe(name)
            return job if job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped") else None

        result: dict[str, Any] = eventually(look)
        return result

    def run(self, name: str, *, hyperparameters: dict[str, str] | None = None, **members: Any) -> dict[str, Any]:
        self.start(name, hyperparameters=hyperparameters, **members)
        return self.ended(name)


@pytest.fixture
def jobs(sagemaker: SageMaker, bucket: str) -> Jobs:
    return Jobs(sagemaker, bucket)


def channel(name: str, uri: str, **source: Any) -> dict[str, Any]:
    return {"ChannelName": name, "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri, **source}}}
