"""Deploy and destroy the stack with the CDK's command line."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from cli import CliError
from cli.target import ROOT, STATE
from local import control
from local.state_folder import locked

if TYPE_CHECKING:
    from cli.target import Target

__all__ = ["deploy", "destroy", "other_stacks"]

BOOTSTRAP_STACK = "CDKToolkit"
"""The stack of `cdk bootstrap`; one with a qualifier of its own has that behind it here."""
_QUALIFIER = "@aws-cdk/core:bootstrapQualifier"


def deploy(target: Target) -> None:
    """Synthesise and deploy the stack; bootstrap the local cloud first if it has not been.

    Deployments from this folder wait for each other, since they write the same cloud assembly.

    An AWS account is never bootstrapped unasked: where the bootstrap is missing, the CDK says what to run.

    Raises:
        CliError: a `cdk` command failed.
        RealAwsRefusedError: the target is the local cloud, but its environment would reach AWS.
    """
    with _alone():
        if target.cloud is not None:
            control.refuse_real_aws(target.environment)
            qualifier = _qualifier(target)
            stack = f"{BOOTSTRAP_STACK}-{qualifier}" if qualifier else BOOTSTRAP_STACK
            if not _is_bootstrapped(target, stack):
                chosen = ("--qualifier", qualifier, "--toolkit-stack-name", stack) if qualifier else ()
                # In a folder without cdk.json, the CDK does not synthesise the app, which bootstrapping does not need.
                _cdk(target, "bootstrap", f"aws://{control.ACCOUNT_ID}/{control.REGION}", *chosen, folder=STATE)

        assembly = STATE / "cdk.out"
        _cdk(target, "synth", "--quiet", "--output", str(assembly), *_context(target))
        if target.cloud is not None:  # elsewhere the CDK prints them itself
            for warning in _warnings(assembly, target.settings.stack_name):
                print(f"warning: {warning}", file=sys.stderr)
        approval = "never" if target.cloud is not None else "broadening"
        _cdk(target, "deploy", "--app", str(assembly), "--require-approval", approval, target.settings.stack_name)


def destroy(target: Target) -> None:
    """Destroy the stack; its clean-up removes what the runs created, and stops their jobs.

    Raises:
        CliError: `cdk destroy` failed.
        RealAwsRefusedError: the target is the local cloud, but its environment would reach AWS.
    """
    with _alone():
        if target.cloud is not None:
            control.refuse_real_aws(target.environment)
        _cdk(target, "destroy", "--force", *_context(target), target.settings.stack_name)


def other_stacks(target: Target) -> list[str]:
    """Return the names of the stacks that stand beside the target's, without the CDK's own."""
    pages = target.client("cloudformation").get_paginator("describe_stacks").paginate()
    names = {stack["StackName"] for page in pages for stack in page["Stacks"] if "DELETE" not in stack["StackStatus"]}
    return sorted(name for name in names - {target.settings.stack_name} if not name.startswith(BOOTSTRAP_STACK))


def _warnings(assembly: Path, stack: str) -> list[str]:
    """Return what the app warned of when it was synthesised.

    Source: cloud assembly schema, `ArtifactManifest.metadata` and `additionalMetadataFile`.
    """
    artifact = json.loads((assembly / "manifest.json").read_text(encoding="utf-8"))["artifacts"][stack]
    beside = artifact.get("additionalMetadataFile")
    more = json.loads((assembly / beside).read_text(encoding="utf-8")) if beside else {}
    entries = [entry for found in (artifact.get("metadata", {}), more) for each in found.values() for entry in each]
    return [entry["data"].partition(" [ack: ")[0] for entry in entries if entry["type"] == "aws:cdk:warning"]


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Wait until no other `whippet` deploys or destroys from this folder."""
    STATE.mkdir(parents=True, exist_ok=True)

    def say() -> None:
        print("another whippet is deploying or destroying from this folder; waiting for its end", file=sys.stderr)

    with locked(STATE / "deployment.lock", on_wait=say):
        yield


def _context(target: Target) -> list[str]:
    return [argument for override in target.overrides for argument in ("-c", override)]


def _qualifier(target: Target) -> str | None:
    """Return the qualifier of the bootstrap that the CDK is told to use; None for its own."""
    given = dict(override.split("=", 1) for override in target.overrides)
    context: dict[str, str] = json.loads((ROOT / "cdk.json").read_text())["context"]
    return given.get(_QUALIFIER) or context.get(_QUALIFIER)


def _is_bootstrapped(target: Target, stack: str) -> bool:
    cloudformation = target.client("cloudformation")
    try:
        cloudformation.describe_stacks(StackName=stack)
    except ClientError as error:
        if "does not exist" in str(error):
            return False
        raise
    return True


def _cdk(target: Target, verb: str, *arguments: str, folder: Path = ROOT) -> None:
    command: Sequence[str] = ("cdk", verb, *arguments)
    path = f"{ROOT / '.venv' / 'bin'}{os.pathsep}{target.environment.get('PATH', '')}"
    environment = {**target.environment, "PATH": path}
    if target.cloud is None:
        # On AWS the CDK talks to the user directly: it asks for approval, and shows every resource.
        if subprocess.run(command, cwd=folder, env=environment, check=False).returncode != 0:  # noqa: S603
            raise CliError(f"`cdk {verb}` failed: fix what its message above says and try again")
        return

    result = subprocess.run(  # noqa: S603
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise CliError(
            control.silence(STATE)
            or f"`cdk {verb}` failed with exit status {result.returncode}; it printed:\n{result.stdout.strip()}"
        )
