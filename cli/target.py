"""Where a verb acts: the local cloud, or an AWS account."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from cli.errors import CliError
from infra.outputs import StackOutput
from infra.settings import Settings, SettingsError
from local import control

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ROOT", "STATE", "Target", "find_target", "read_settings"]

ROOT = Path(__file__).resolve().parents[1]
STATE = Path(os.environ.get("WHIPPET_STATE", ROOT / ".whippet"))
"""Where the local cloud keeps its state; the tests use another folder."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """One deployed (or to be deployed) environment of whippet in one cloud."""

    settings: Settings
    overrides: tuple[str, ...]
    """The `-c` overrides as given, for the CDK."""
    environment: Mapping[str, str] = field(repr=False)
    """Environment variables with which boto3 and the CDK reach this cloud and no other."""
    cloud: control.Cloud | None
    """The local cloud; None means AWS."""

    @cached_property
    def session(self) -> boto3.Session:
        """With this target's credentials only, whatever else the process's environment holds."""
        return boto3.Session(
            profile_name=self.environment.get("AWS_PROFILE"),
            region_name=self.environment.get("AWS_REGION"),
            aws_access_key_id=None if self.cloud is None else self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=None if self.cloud is None else self.environment["AWS_SECRET_ACCESS_KEY"],
        )

    def client(self, service: str) -> Any:
        """A boto3 client of this target. The service's type is lost: callers read few members of each answer."""
        return self.session.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.endpoint_url,
            config=Config(retries={"mode": "standard", "max_attempts": 4}, max_pool_connections=16),
        )

    @cached_property
    def outputs(self) -> dict[str, str]:
        """The stack's outputs, by `StackOutput`.

        Raises:
            CliError: the stack is not deployed there.
        """
        cloudformation = self.client("cloudformation")
        try:
            stack = cloudformation.describe_stacks(StackName=self.settings.stack_name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" in str(error):
                raise CliError(
                    f"{self.settings.stack_name} is not deployed {self.place}: run `whippet up` first"
                ) from None
            raise
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    def output(self, name: StackOutput) -> str:
        """One output of the stack.

        Raises:
            CliError: the stack that is deployed is an older one that lacks it.
        """
        try:
            return self.outputs[name]
        except KeyError:
            raise CliError(
                f"{self.settings.stack_name} has no output {name}: deploy it anew with `whippet up`"
            ) from None

    @property
    def dataset(self) -> tuple[str, str]:
        """Bucket and key prefix of the photos."""
        bucket, _, prefix = self.output(StackOutput.DATASET_URI).removeprefix("s3://").partition("/")
        return bucket, prefix

    @property
    def endpoint_url(self) -> str | None:
        """Where the cloud's APIs answer; None: at AWS's own addresses."""
        return None if self.cloud is None else self.cloud.endpoint_url

    @property
    def place(self) -> str:
        """For messages: `on this machine`, or the account's profile and region."""
        if self.cloud is not None:
            return "on this machine"
        region, profile = (self.environment.get(name) for name in ("AWS_REGION", "AWS_PROFILE"))
        return f"in {region or 'the default region'} (profile {profile or 'default'})"

    @property
    def api_url(self) -> str:
        """Base URL of the API, with a slash at its end.

        The template's URL is an amazonaws.com one; on this machine the same API answers on the local cloud's port.
        """
        url = self.output(StackOutput.API_URL)
        if self.cloud is None:
            return url
        host, _, stage = url.removeprefix("https://").rstrip("/").partition("/")
        return self.cloud.api_url(host.split(".")[0], stage)

    @cached_property
    def api_key(self) -> str:
        """The value of the API key that the stack made."""
        apigateway = self.client("apigateway")
        key: str = apigateway.get_api_key(apiKey=self.output(StackOutput.API_KEY_ID), includeValue=True)["value"]
        return key


def find_target(
    *, profile: str | None, region: str | None, env: str, overrides: Sequence[str], start: bool = False
) -> Target:
    """The target of a verb: AWS when a profile or a region is named, else the local cloud.

    Args:
        start: start the local cloud if it does not run.

    Raises:
        CliError: the settings are wrong, or the local cloud does not run.
    """
    settings = read_settings(env, overrides)
    given = (f"env={env}", *overrides)
    if profile is not None or region is not None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_ENDPOINT_URL")}
        if profile is not None:
            # A named profile must win over keys that happen to stand in the environment.
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
                environment.pop(name, None)
            environment["AWS_PROFILE"] = profile
        if region is not None:
            environment["AWS_REGION"] = environment["AWS_DEFAULT_REGION"] = region
        return Target(settings=settings, overrides=given, environment=environment, cloud=None)
    cloud = control.start(STATE) if start else control.running(STATE)
    if cloud is None:
        raise CliError(
            "the local cloud does not run: start it and deploy with `whippet up` "
            "(or name an AWS account with --profile/--region)"
        )
    return Target(settings=settings, overrides=given, environment=cloud.environment(), cloud=cloud)


def read_settings(env: str, overrides: Sequence[str]) -> Settings:
    """The settings of an environment of cdk.json with `-c` overrides, as the CDK app will read them.

    Raises:
        CliError: an override is not NAME=VALUE, or a setting is wrong.
    """
    context: dict[str, object] = json.loads((ROOT / "cdk.json").read_text())["context"] | {"env": env}
    for override in overrides:
        name, equals, value = override.partition("=")
        if not equals:
            raise CliError(f"-c {override} is not NAME=VALUE; give for example -c training.epochs=5")
        context[name] = value
    try:
        return Settings.from_context(context)
    except SettingsError as error:
        raise CliError(str(error)) from None
