"""Where a command acts: on the local cloud, or in an AWS account."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from botocore.auth import SigV4Auth
from botocore.config import Config
from botocore.exceptions import ClientError

from cli import CliError
from infra.outputs import StackOutput
from infra.settings import Settings, SettingsError
from local import control

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botocore.awsrequest import AWSRequest

__all__ = ["ROOT", "STATE", "Target", "find_target", "is_on_this_machine", "read_settings"]

ROOT = Path(__file__).resolve().parents[1]
STATE = Path(os.environ.get("WHIPPET_STATE", ROOT / ".whippet"))
"""Folder of the local cloud's state; the tests choose another."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """An environment of `cdk.json` in one cloud, deployed or about to be."""

    settings: Settings
    overrides: tuple[str, ...]
    """The settings' overrides as the CDK's `-c` takes them, the environment's name included."""
    environment: Mapping[str, str] = field(repr=False)
    """Environment variables with which boto3 and the CDK reach this cloud, and no other."""
    cloud: control.Cloud | None
    """The local cloud; None stands for AWS."""
    _clients: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def session(self) -> boto3.Session:
        """A session with this target's credentials, whatever credentials the process's environment holds."""
        return boto3.Session(
            profile_name=self.environment.get("AWS_PROFILE"),
            region_name=self.environment.get("AWS_REGION"),
            aws_access_key_id=None if self.cloud is None else self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=None if self.cloud is None else self.environment["AWS_SECRET_ACCESS_KEY"],
        )

    def client(self, service: str) -> Any:
        """Return this target's boto3 client of a service, always the same one.

        It is untyped, since callers read only a few members of each answer.
        """
        if service not in self._clients:
            self._clients[service] = self.session.client(
                service,  # type: ignore[call-overload]
                endpoint_url=self.endpoint_url,
                config=Config(retries={"mode": "standard", "max_attempts": 4}, max_pool_connections=16),
            )
        return self._clients[service]

    @cached_property
    def outputs(self) -> dict[str, str]:
        """The stack's outputs, by `StackOutput`.

        Raises:
            CliError: the stack is not deployed.
        """
        found = self.read_outputs()
        if found is None:
            raise CliError(
                f"the stack {self.settings.stack_name} is not deployed {self.place}: deploy it with `whippet up`"
            )
        return found

    def read_outputs(self) -> dict[str, str] | None:
        """Return the stack's outputs as they are now, or None where it is not deployed."""
        cloudformation = self.client("cloudformation")
        try:
            stack = cloudformation.describe_stacks(StackName=self.settings.stack_name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    def output(self, name: StackOutput) -> str:
        """Return one output of the stack.

        Raises:
            CliError: the stack is not deployed, or an older one without this output is.
        """
        try:
            return self.outputs[name]
        except KeyError:
            raise CliError(
                f"the stack {self.settings.stack_name} has no output {name}, as an older version of it is deployed: "
                "update it with `whippet up`"
            ) from None

    @property
    def dataset(self) -> tuple[str, str]:
        """The bucket and the key prefix of the photos."""
        bucket, _, prefix = self.output(StackOutput.DATASET_URI).removeprefix("s3://").partition("/")
        return bucket, prefix

    @property
    def endpoint_url(self) -> str | None:
        """The address of the cloud's APIs; None stands for AWS's own."""
        return None if self.cloud is None else self.cloud.endpoint_url

    @property
    def region(self) -> str:
        """The region, such as `eu-west-1`."""
        return self.session.region_name or str(self.client("sagemaker").meta.region_name)

    @property
    def place(self) -> str:
        """The place as messages name it: `on this machine`, or the region and the profile."""
        if self.cloud is not None:
            return "on this machine"
        region, profile = (self.environment.get(name) for name in ("AWS_REGION", "AWS_PROFILE"))
        return f"in {region or 'the default region'} (profile {profile or 'default'})"

    @property
    def api_url(self) -> str:
        """The API's base URL, with a slash at its end.

        The stack's output is an amazonaws.com URL; the local cloud serves the same API on its own port.
        """
        url = self.output(StackOutput.API_URL)
        if self.cloud is None:
            return url
        host, _, stage = url.removeprefix("https://").rstrip("/").partition("/")
        return self.cloud.api_url(host.split(".")[0], stage)

    @property
    def takes_keys(self) -> bool:
        """Whether the stack's API takes keys (`api.auth`)."""
        return StackOutput.API_KEY_ID in self.outputs

    def sign(self, request: AWSRequest) -> None:
        """Sign a request to the API with this target's credentials.

        Raises:
            CliError: there are none.
        """
        credentials = self.session.get_credentials()
        if credentials is None:
            raise CliError(f"there are no credentials {self.place} to sign requests to the API with: log in first")
        region = self.session.region_name or str(self.client("apigateway").meta.region_name)
        SigV4Auth(credentials.get_frozen_credentials(), "execute-api", region).add_auth(request)

    @cached_property
    def api_key(self) -> str:
        """The value of the stack's API key.

        Raises:
            CliError: the API takes none.
        """
        if not self.takes_keys:
            raise CliError(
                f"the API {self.place} takes no key: with api.auth=iam sign requests as `whippet classify` does, with "
                "api.auth=none just send them"
            )
        apigateway = self.client("apigateway")
        key: str = apigateway.get_api_key(apiKey=self.output(StackOutput.API_KEY_ID), includeValue=True)["value"]
        return key


def find_target(
    *, profile: str | None, region: str | None, env: str, overrides: Sequence[str], start: bool = False
) -> Target:
    """Return the target of a command: AWS if a profile or a region is named, the local cloud otherwise.

    Args:
        profile: Profile of the AWS configuration.
        region: AWS region.
        env: Environment of `cdk.json`.
        overrides: Settings as NAME=VALUE.
        start: Start the local cloud if it is not running.

    Raises:
        CliError: the settings are wrong, or the local cloud is not running.
        CloudError: the local cloud did not start.
    """
    settings = read_settings(env, overrides)
    given = (f"env={env}", *overrides)

    if profile is not None or region is not None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_ENDPOINT_URL")}
        if profile is not None:
            # A named profile wins over keys that happen to be in the environment.
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
                environment.pop(name, None)
            environment["AWS_PROFILE"] = profile
        if region is not None:
            environment["AWS_REGION"] = environment["AWS_DEFAULT_REGION"] = region
        return Target(settings=settings, overrides=given, environment=environment, cloud=None)

    cloud = control.start(STATE) if start else control.running(STATE)
    if cloud is None:
        raise CliError(
            (control.silence(STATE) if control.died(STATE) else None)
            or "the local cloud is not running: start it and deploy the stack with `whippet up`, "
            "or name an AWS account with --profile or --region"
        )
    return Target(settings=settings, overrides=given, environment=cloud.environment(), cloud=cloud)


def is_on_this_machine(url: str) -> bool:
    """Tell whether an address is the local cloud's."""
    return urlsplit(url).hostname == control.LOOPBACK


def read_settings(env: str, overrides: Sequence[str]) -> Settings:
    """Read the settings of an environment of `cdk.json` with `-c` overrides, as the CDK app reads them.

    Raises:
        CliError: an override is not NAME=VALUE, or a setting's name or value is wrong.
    """
    context: dict[str, object] = json.loads((ROOT / "cdk.json").read_text())["context"] | {"env": env}
    for override in overrides:
        name, equals, value = override.partition("=")
        if not equals:
            raise CliError(f"-c {override} is not NAME=VALUE: give for example -c training.epochs=5")
        context[name] = value
    try:
        return Settings.from_context(context)
    except SettingsError as error:
        raise CliError(str(error)) from None
