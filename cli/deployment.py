"""Deploy and destroy the stack with the CDK's own command line."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from cli.errors import CliError
from cli.target import ROOT, STATE
from local import control

if TYPE_CHECKING:
    from cli.target import Target

__all__ = ["deploy", "destroy"]

BOOTSTRAP_STACK = "CDKToolkit"


def deploy(target: Target) -> None:
    """Bootstrap a local cloud if need be, synthesise, deploy.

    An AWS account is not bootstrapped unasked: the CDK says what to run where it is missing.
    """
    if target.cloud is not None:
        control.refuse_real_aws(target.environment)
        if not _is_bootstrapped(target):
            _cdk(target, "bootstrap", "--quiet", f"aws://{control.ACCOUNT}/{control.REGION}")
    assembly = STATE / "cdk.out"
    _cdk(target, "synth", "--quiet", "--output", str(assembly), *_context(target))
    approval = "never" if target.cloud is not None else "broadening"
    _cdk(target, "deploy", "--app", str(assembly), "--require-approval", approval, target.settings.stack_name)


def destroy(target: Target) -> None:
    """Destroy the stack; its clean-up removes what the runs made (endpoint, models, jobs still running)."""
    if target.cloud is not None:
        control.refuse_real_aws(target.environment)
    _cdk(target, "destroy", "--force", *_context(target), target.settings.stack_name)


def _context(target: Target) -> list[str]:
    return [argument for override in target.overrides for argument in ("-c", override)]


def _is_bootstrapped(target: Target) -> bool:
    cloudformation = target.client("cloudformation")
    try:
        cloudformation.describe_stacks(StackName=BOOTSTRAP_STACK)
    except ClientError as error:
        if "does not exist" in str(error):
            return False
        raise
    return True


def _cdk(target: Target, verb: str, *arguments: str) -> None:
    command: Sequence[str] = ("cdk", verb, *arguments)
    path = f"{ROOT / '.venv' / 'bin'}:{target.environment.get('PATH', '')}"
    # On this machine nothing may ask; on AWS the CDK asks for approval at the terminal.
    stdin = subprocess.DEVNULL if target.cloud is not None else None
    result = subprocess.run(command, cwd=ROOT, env={**target.environment, "PATH": path}, stdin=stdin, check=False)  # noqa: S603
    if result.returncode != 0:
        raise CliError(f"`cdk {verb}` failed with exit status {result.returncode}: its own message stands above")
