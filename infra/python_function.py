"""A Lambda function from a folder below lambda/: its code staged without Docker or network, its role, its log group."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

__all__ = ["PythonFunction", "stage_function"]

ROOT = Path(__file__).resolve().parent.parent
_DEPENDENCIES = ("aws_lambda_powertools", "jmespath", "typing_extensions")
"""Powertools and what it imports; all pure Python, so the copy runs on any architecture. boto3 is Lambda's own."""

_IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", "*.so")
"""Compiled parts are left out, since they run on one kind of processor; packages that are carried do without them."""
RUNTIME = lambda_.Runtime.PYTHON_3_13
LOG_RETENTION = logs.RetentionDays.THREE_MONTHS


def stage_function(name: str, target: Path, *, packages: Sequence[str] = (), files: Sequence[str] = ()) -> None:
    """Fill `target` with what a function's zip holds.

    These are its folder, the shared modules, the contract, Powertools, and of its own further `packages` of this
    environment and `files`, which are named from the project's root and put beside its modules.
    """
    for package in (f"lambda/{name}", "lambda/shared", "contract"):
        shutil.copytree(ROOT / package, target / Path(package).name, ignore=_IGNORED)
    for file in files:
        if not (ROOT / file).is_file():
            raise RuntimeError(f"{file} is not there, but the Lambda function {name} carries it; run `make setup`")
        shutil.copyfile(ROOT / file, target / name / Path(file).name)
    for package in (*_DEPENDENCIES, *packages):
        _copy_package(package, target)


def _copy_package(package: str, target: Path) -> None:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise RuntimeError(f"{package} is not installed, but the Lambda functions carry it; run `make setup`")
    origin = Path(spec.origin)
    if origin.name == "__init__.py":
        shutil.copytree(origin.parent, target / package, ignore=_IGNORED)
    else:
        shutil.copyfile(origin, target / origin.name)


class PythonFunction(Construct):
    """The function `lambda/<name>/<name>.py:handler` with a role that may only write its own log group."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        description: str,
        environment: Mapping[str, str],
        statements: Sequence[iam.PolicyStatement] = (),
        timeout: cdk.Duration,
        memory_mib: int = 256,
        tracing: bool = False,
        packages: Sequence[str] = (),
        files: Sequence[str] = (),
    ) -> None:
        super().__init__(scope, construct_id)
        self.log_group = logs.LogGroup(self, "Logs", retention=LOG_RETENTION, removal_policy=cdk.RemovalPolicy.DESTROY)
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        write_logs = iam.PolicyStatement(
            actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[self.log_group.log_group_arn]
        )
        policy = iam.Policy(self, "Policy", statements=[write_logs, *statements], roles=[self.role])
        with tempfile.TemporaryDirectory() as folder:
            stage_function(name, Path(folder), packages=packages, files=files)
            code = lambda_.Code.from_asset(folder)
            self.function = lambda_.Function(
                self,
                "Function",
                code=code,
                handler=f"{name}.handler.handler",
                runtime=RUNTIME,
                architecture=lambda_.Architecture.ARM_64,
                description=description,
                role=self.role.without_policy_updates(),
                environment={
                    "POWERTOOLS_SERVICE_NAME": name,
                    "POWERTOOLS_LOG_LEVEL": "INFO",
                    **environment,
                },
                log_group=self.log_group,
                memory_size=memory_mib,
                timeout=timeout,
                tracing=lambda_.Tracing.ACTIVE if tracing else lambda_.Tracing.DISABLED,
            )
        self.function.node.add_dependency(policy)

    @property
    def arn(self) -> str:
        """For the payloads and grants of what invokes it."""
        return self.function.function_arn
