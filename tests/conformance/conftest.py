"""One local cloud for the tests of this folder, and a session of the SDK that reaches it and nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from local import control

if TYPE_CHECKING:
    from sagemaker.core.helper.session_helper import Session

# These tests need the SDK, which only .envs/conformance has: `make conformance` runs them there.
collect_ignore_glob = [] if find_spec("sagemaker") else ["*test_*.py"]

BUCKET = "sdk"
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch:2.13-cpu-amzn2023-sagemaker"

_DEFAULTS = """
SchemaVersion: "1.0"
SageMaker:
  PythonSDK:
    Modules:
      TelemetryOptOut: true
"""
"""The SDK's own configuration file: it would report its use to a bucket of AWS."""


@dataclass(frozen=True)
class Account:
    """A user of the SDK with a bucket and a role for jobs."""

    session: Session
    role: str
    s3: Any

    def put(self, key: str, text: str) -> str:
        """Write an object, and return its S3 URI."""
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=text.encode())
        return f"s3://{BUCKET}/{key}"

    def get(self, uri: str) -> str:
        """Return the text of the object at an S3 URI."""
        key = uri.removeprefix(f"s3://{BUCKET}/")
        text: str = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode()
        return text


@pytest.fixture(scope="session")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """Return a user of a local cloud. The SDK makes clients of its own, so it is led there by the environment."""
    from local.sagemaker.jobs import mounts

    if not mounts.supported():
        pytest.skip("jobs cannot have mounts of their own here (see docs/local-cloud.md), and the SDK names /opt/ml")
    state = tmp_path_factory.mktemp("cloud")
    cloud = control.start(state)
    defaults = state / "defaults.yaml"
    defaults.write_text(_DEFAULTS)
    with pytest.MonkeyPatch.context() as patch:
        for name in set(os.environ) - set(cloud.environment()):
            patch.delenv(name)
        for name, value in cloud.environment().items():
            patch.setenv(name, value)
        patch.setenv("SAGEMAKER_USER_CONFIG_OVERRIDE", str(defaults))
        patch.setenv("SAGEMAKER_ADMIN_CONFIG_OVERRIDE", str(defaults))
        try:
            yield _account()
        finally:
            control.stop(state)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return an empty folder for the user's code."""
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def _account() -> Account:
    # not at the top: other environments read this file to see that there is nothing for them
    from sagemaker.core.helper.session_helper import Session

    s3, iam = boto3.client("s3"), boto3.client("iam")
    s3.create_bucket(Bucket=BUCKET)
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName="jobs", AssumeRolePolicyDocument=_policy(trust))["Role"]["Arn"]
    # The SDK asks IAM before it starts a job whether the role may do what any job might need.
    allowed = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    iam.put_role_policy(RoleName="jobs", PolicyName="jobs", PolicyDocument=_policy(allowed))
    # Without default_bucket it would ask AWS's own STS for the account, at an address that it has built in.
    session = Session(boto_session=boto3.Session(), default_bucket=BUCKET)
    return Account(session=session, role=role, s3=s3)


def _policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
