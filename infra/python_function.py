"""A Lambda function from a folder below lambda/: its code, staged without Docker or network; its role and log group."""

from __future__ import annotations

import shutil
import stat
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.acknowledged import acknowledge, acknowledge_wildcards
from infra.encryption import Encryption
from infra.permissions import Permission

__all__ = ["LOG_RETENTION", "POWERTOOLS", "SERVICE_TIMEOUT", "PythonFunction", "make_readable", "stage_function"]

ROOT = Path(__file__).resolve().parent.parent
POWERTOOLS = "aws_lambda_powertools"
_DEPENDENCIES = (POWERTOOLS, "jmespath", "typing_extensions")
"""Powertools and what it imports. All are pure Python, so the copy runs on any architecture; Lambda provides boto3."""

_IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", "*.so")
"""Compiled modules are left out because they run on one architecture only; the packages work without them."""
RUNTIME = lambda_.Runtime.PYTHON_3_13
LOG_RETENTION = logs.RetentionDays.THREE_MONTHS

SERVICE_TIMEOUT = cdk.Duration.minutes(16)
"""How long CloudFormation waits for a custom resource's function, which may run for 15 minutes.

By default it waits for an hour if the function dies before it can answer, and for another one in the rollback.
"""


def stage_function(name: str, target: Path, *, packages: Sequence[str] = (), files: Sequence[str] = ()) -> None:
    """Fill `target` with the contents of a function's zip.

    The zip holds the function's folder, the shared modules, the contract and Powertools' logger.

    Args:
        name: The function's folder below lambda/.
        target: The folder to fill.
        packages: Further packages of this environment; `POWERTOOLS` for all of that one.
        files: Further files by their path from the project's root; they are put beside the function's modules.

    Raises:
        RuntimeError: a package or file is missing.
    """
    for package in (f"lambda/{name}", "lambda/shared", "contract"):
        shutil.copytree(ROOT / package, target / Path(package).name, ignore=_IGNORED)

    for file in files:
        if not (ROOT / file).is_file():
            raise RuntimeError(f"{file} is missing, but the Lambda function {name} carries it; run `make setup`")
        shutil.copyfile(ROOT / file, target / name / Path(file).name)

    for package in sorted({*_DEPENDENCIES, *packages}):
        logging_only = package == POWERTOOLS and package not in packages
        _copy_package(package, target, ignored=_all_but_logging if logging_only else _IGNORED)
    make_readable(target)


def make_readable(folder: Path) -> None:
    """Let every user read what is below a folder: folders get the mode 0755, files 0644, or 0755 if they are programs.

    The CDK's zips carry the modes of the files here, and Lambda and the container run as another user than the one
    whose umask a checkout was made under.
    """
    for path in (folder, *folder.rglob("*")):
        program = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
        path.chmod(0o755 if program else 0o644)


def _all_but_logging(folder: str, names: list[str]) -> set[str]:
    """Return what a folder of Powertools holds that its logger does without, together nine tenths of the package."""
    left_out = {*_IGNORED(folder, names)}
    if Path(folder).name == POWERTOOLS:
        left_out |= {"event_handler", "middleware_factory"}
    elif Path(folder).name == "utilities":
        left_out |= {*names} - {"__init__.py", "jmespath_utils", "typing"}
    return left_out


def _copy_package(package: str, target: Path, *, ignored: Callable[[str, list[str]], set[str]]) -> None:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise RuntimeError(f"{package} is not installed, but the Lambda functions carry it; run `make setup`")
    origin = Path(spec.origin)
    if origin.name == "__init__.py":
        shutil.copytree(origin.parent, target / package, ignore=ignored)
    else:
        shutil.copyfile(origin, target / origin.name)


class PythonFunction(Construct):
    """The function `handler` in `lambda/<name>/handler.py`, with a role that holds its `permissions` and no others."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        description: str,
        environment: Mapping[str, str],
        permissions: Sequence[Permission] = (),
        timeout: cdk.Duration,
        memory_mib: int = 256,
        tracing: bool = False,
        packages: Sequence[str] = (),
        files: Sequence[str] = (),
    ) -> None:
        super().__init__(scope, construct_id)
        self.timeout = timeout
        self.log_group = logs.LogGroup(self, "Logs", retention=LOG_RETENTION, removal_policy=cdk.RemovalPolicy.DESTROY)
        policy = self._build_role(permissions)

        with tempfile.TemporaryDirectory() as folder:
            stage_function(name, Path(folder), packages=packages, files=files)
            self.function = lambda_.Function(
                self,
                "Function",
                code=lambda_.Code.from_asset(folder),
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

        # The first invocation must not come before the role's policy.
        self.function.node.add_dependency(policy)
        acknowledge(
            self.function,
            {"AwsSolutions-L1": "Python 3.13 is the newest version that the tests of this project run on."},
        )

    def _build_role(self, permissions: Sequence[Permission]) -> iam.Policy:
        write_logs = Permission(
            actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[self.log_group.log_group_arn]
        )
        permissions = [*permissions, *Encryption.implied(self, permissions)]
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        policy = iam.Policy(
            self,
            "Policy",
            statements=[permission.statement() for permission in (write_logs, *permissions)],
            roles=[self.role],
        )
        acknowledge_wildcards(policy, permissions)
        return policy

    def tell_failures(self, scope: Construct, topic: sns.ITopic) -> None:
        """Tell the topic, as Lambda words it, of an event for which the function has failed in every attempt.

        The function needs a permission of its own to publish. Lambda makes at most three attempts of an asynchronous
        invocation.

        Args:
            scope: What the function is a part of.
            topic: Who hears of it.
        """
        lambda_.CfnEventInvokeConfig(
            scope,
            "Attempts",
            function_name=self.function.function_name,
            qualifier="$LATEST",
            maximum_retry_attempts=2,
            maximum_event_age_in_seconds=6 * 3600,
            destination_config=lambda_.CfnEventInvokeConfig.DestinationConfigProperty(
                on_failure=lambda_.CfnEventInvokeConfig.OnFailureProperty(destination=topic.topic_arn)
            ),
        )

    @property
    def arn(self) -> str:
        """ARN of the function, for what invokes it."""
        return self.function.function_arn
