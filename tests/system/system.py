"""A whole system on a local cloud of its own, with the `whippet` and `aws` commands pointed at it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import urllib3

import contract
from cli.target import ROOT
from infra.outputs import StackOutput
from local import control

__all__ = ["ENDPOINT", "INPUT", "OVERRIDES", "STACK", "System", "run_of"]

OVERRIDES = {
    "training.backbone": "efficientnet_lite0",
    "tuning.trials": "2",
    "tuning.epochs": "2",
    "release.min_accuracy": "0.4",
    "dataset.keep_at_destroy": "false",
    "serving.name_unknown": "false",
    # These tests ask faster than a person would; the throttle has a test of its own.
    "api.rate": "100",
    "api.burst": "200",
}
INPUT = {"image_size": 64, "views": 0, "epochs": 6}
"""Input of a run that is quick and still learns."""
STACK = "Whippet-dev"
ENDPOINT = "whippet-dev"


@dataclass(frozen=True)
class System:
    """A local cloud that belongs to one test file, and the commands and clients that reach it."""

    state: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that its `whippet` commands get in addition to this process's own."""

    @property
    def cloud(self) -> control.Cloud:
        cloud = control.running(self.state)
        assert cloud is not None, "the local cloud has ended"
        return cloud

    def whippet(
        self, *arguments: str, check: bool = True, settings: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = self.command(*arguments, settings=settings)
        result = subprocess.run(command, cwd=ROOT, env=self.variables, capture_output=True, text=True, check=False)
        if check:
            assert result.returncode == 0, f"{arguments}: {result.stdout[-4000:]}\n{result.stderr[-4000:]}"
        return result

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a `whippet` command."""
        return {**os.environ, **self.environment, "WHIPPET_STATE": str(self.state), "COLUMNS": "200"}

    @property
    def bucket(self) -> str:
        return self.output(StackOutput.DATA_BUCKET)

    def command(self, *arguments: str, settings: Mapping[str, str] | None = None) -> list[str]:
        overrides = {**OVERRIDES, **(settings or {})}
        options = [part for name, value in overrides.items() for part in ("-c", f"{name}={value}")]
        return [sys.executable, "-m", "cli.main", *options, *arguments]

    def aws(self, *arguments: str) -> dict[str, Any]:
        command = [str(Path(sys.executable).parent / "aws"), "--endpoint-url", self.cloud.endpoint_url, *arguments]
        environment = {"PATH": os.environ["PATH"], **_without_path(self.cloud.environment()), "AWS_ENDPOINT_URL": ""}
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        answer: dict[str, Any] = json.loads(result.stdout)
        return answer

    def client(self, service: str) -> Any:
        environment = self.cloud.environment()
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.cloud.endpoint_url,
            region_name=environment["AWS_REGION"],
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        )

    def output(self, name: StackOutput) -> str:
        stack = self.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
        return str({output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}[name])

    @property
    def api_url(self) -> str:
        """The API's address on this machine, with a slash at its end."""
        url = self.output(StackOutput.API_URL).removeprefix("https://").rstrip("/")
        host, _, stage = url.partition("/")
        return self.cloud.api_url(host.split(".")[0], stage)

    def destroy(self) -> None:
        """Destroy the stack by the CDK's own command, so that the cloud goes on and can be looked at."""
        cdk = [str(Path(sys.executable).parent / "cdk"), "destroy", "--force", STACK]
        options = [part for name, value in OVERRIDES.items() for part in ("-c", f"{name}={value}")]
        options += ["--output", str(self.state / "destroyed.out")]  # other tests destroy at the same time
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**self.cloud.environment(), "PATH": path}
        done = subprocess.run([*cdk, *options], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-4000:]

    def api(self, method: str, path: str, body: bytes | None = None, **headers: str) -> urllib3.BaseHTTPResponse:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return urllib3.request(method, self.api_url + path, body=body, headers=headers, timeout=60, retries=False)

    def key(self) -> str:
        answer = self.client("apigateway").get_api_key(apiKey=self.output(StackOutput.API_KEY_ID), includeValue=True)
        return str(answer["value"])

    def document(self, run: str, name: str) -> Any:
        """Return a JSON file of a run, such as its decision."""
        body = self.client("s3").get_object(Bucket=self.bucket, Key=f"runs/{run}/{name}")["Body"]
        return json.loads(body.read())

    def last_execution(self) -> dict[str, Any]:
        stepfunctions = self.client("stepfunctions")
        machine = self.output(StackOutput.STATE_MACHINE_ARN)
        newest = stepfunctions.list_executions(stateMachineArn=machine, maxResults=1)["executions"][0]
        described: dict[str, Any] = stepfunctions.describe_execution(executionArn=newest["executionArn"])
        return described


def run_of(execution: Mapping[str, Any]) -> str:
    """Return the run's name of an execution that was listed or described."""
    return contract.run_id(execution["name"], started=execution["startDate"])


def _without_path(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name != "PATH"}
