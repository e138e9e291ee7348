from __future__ import annotations

from pathlib import Path

import pytest

from cli import CliError, target
from cli.target import find_target, read_settings


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


def test_without_a_local_cloud_every_other_verb_says_how_to_start_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
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
