"""Where a command acts, and what it reads of the stack that is deployed there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSRequest

from cli import CliError, target
from cli.target import Target, find_target, read_settings
from infra.outputs import StackOutput
from infra.settings import Settings
from local.control import Cloud
from tests.fakes.s3 import client_error


def test_a_profile_means_aws_and_nothing_of_the_local_cloud_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:4566")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    found = find_target(profile="work", region="eu-west-1", env="dev", overrides=())
    assert found.cloud is None
    assert found.endpoint_url is None
    assert [name for name in found.environment if name.startswith("AWS_ENDPOINT_URL")] == []
    assert "AWS_ACCESS_KEY_ID" not in found.environment
    assert (found.environment["AWS_PROFILE"], found.environment["AWS_REGION"]) == ("work", "eu-west-1")


def test_without_a_local_cloud_a_command_says_how_to_start_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(target, "STATE", tmp_path)
    with pytest.raises(CliError, match="whippet up"):
        find_target(profile=None, region=None, env="dev", overrides=())


def test_overrides_are_read_as_the_cdk_reads_them() -> None:
    assert read_settings("dev", ["training.epochs=7"]).training.epochs == 7


@pytest.mark.parametrize(
    ("override", "says"),
    [("training.epochs", "NAME=VALUE"), ("training.epochs=0", "greater than or equal to 1"), ("epochs=3", "unknown")],
)
def test_a_wrong_override_is_explained(override: str, says: str) -> None:
    with pytest.raises(CliError, match=says):
        read_settings("dev", [override])


def test_a_client_is_made_once() -> None:
    """A client takes a fifth of a second, and keeps its connections."""
    found = Target(settings=Settings(), overrides=(), environment={"AWS_REGION": "eu-west-1"}, cloud=None)
    assert found.client("logs") is found.client("logs")
    assert found.client("logs") is not found.client("s3")


class CloudFormation:
    """A stack with these outputs, or none."""

    def __init__(self, outputs: dict[str, str] | None) -> None:
        self.outputs = outputs

    def describe_stacks(self, *, StackName: str) -> dict[str, Any]:  # noqa: N803
        if self.outputs is None:
            raise client_error("ValidationError", f"Stack with id {StackName} does not exist")
        return {"Stacks": [{"Outputs": [{"OutputKey": k, "OutputValue": v} for k, v in self.outputs.items()]}]}


def deployed(monkeypatch: pytest.MonkeyPatch, outputs: dict[str, str] | None, *, cloud: Cloud | None = None) -> Target:
    environment = {"AWS_REGION": "eu-west-1", "AWS_PROFILE": "work"}
    found = Target(settings=Settings(), overrides=(), environment=environment, cloud=cloud)
    monkeypatch.setattr(Target, "client", lambda *_: CloudFormation(outputs))
    return found


def test_a_stack_that_is_not_deployed_is_named_with_the_place_and_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    found = deployed(monkeypatch, None)
    says = r"Whippet-dev is not deployed in eu-west-1 \(profile work\): deploy it with `whippet up`"
    with pytest.raises(CliError, match=says):
        found.output(StackOutput.API_URL)


def test_an_older_stack_without_an_output_is_to_be_updated(monkeypatch: pytest.MonkeyPatch) -> None:
    found = deployed(monkeypatch, {"ApiUrl": "https://a.execute-api.eu-west-1.amazonaws.com/prod/"})
    with pytest.raises(CliError, match=r"no output ApiKeyId.*update it with `whippet up`"):
        found.output(StackOutput.API_KEY_ID)


def test_a_request_to_an_api_without_keys_is_signed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cloud = Cloud(port=4567, pid=1, state=tmp_path, access_key="AKIAOFTHISSTART", secret_key="secret")
    environment = cloud.environment()
    found = Target(settings=Settings(), overrides=(), environment=environment, cloud=cloud)
    url = "https://abc.execute-api.us-east-1.amazonaws.com/prod/"
    monkeypatch.setattr(Target, "client", lambda *_: CloudFormation({"ApiUrl": url}))
    assert not found.takes_keys
    request = AWSRequest("POST", found.api_url, {"content-type": "image/png"}, b"pixels")
    found.sign(request)
    assert "Credential=AKIAOFTHISSTART/" in request.headers["Authorization"]
    assert f"/{environment['AWS_REGION']}/execute-api/aws4_request" in request.headers["Authorization"]
    with pytest.raises(CliError, match=r"takes no key: with api.auth=iam sign requests"):
        _ = found.api_key


def test_the_photos_are_where_the_stack_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert deployed(monkeypatch, {"DatasetUri": "s3://data/my/photos/"}).dataset == ("data", "my/photos/")


def test_the_api_of_a_local_stack_is_on_the_local_clouds_port(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    url = "https://abc.execute-api.us-east-1.amazonaws.com/prod/"
    assert deployed(monkeypatch, {"ApiUrl": url}).api_url == url
    cloud = Cloud(port=4567, pid=1, state=tmp_path, access_key="AKIAOFTHISSTART", secret_key="secret")
    assert deployed(monkeypatch, {"ApiUrl": url}, cloud=cloud).api_url == cloud.api_url("abc", "prod")
