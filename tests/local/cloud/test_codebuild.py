"""A build succeeds where this machine has the program the image stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.local.cloud.conftest import Account


@pytest.fixture
def build(account: Account, name: str) -> Any:
    """Runs a build of a project with these environment variables; gives the build."""
    role = account.role(name, "codebuild.amazonaws.com")
    codebuild = account.client("codebuild")

    def run(**variables: str) -> dict[str, Any]:
        codebuild.create_project(
            name=name,
            serviceRole=role,
            source={"type": "NO_SOURCE", "buildspec": "{}"},
            artifacts={"type": "NO_ARTIFACTS"},
            environment={
                "type": "LINUX_CONTAINER",
                "image": "aws/codebuild/standard:7.0",
                "computeType": "BUILD_GENERAL1_SMALL",
                "environmentVariables": [{"name": key, "value": value} for key, value in variables.items()],
            },
        )
        started = codebuild.start_build(projectName=name)["build"]["id"]
        ended: dict[str, Any] = codebuild.batch_get_builds(ids=[started])["builds"][0]
        return ended

    return run


def test_the_serving_image_is_built_at_once(build: Any) -> None:
    ended = build(REPOSITORY_URI="000000000000.dkr.ecr.us-east-1.amazonaws.com/whippet-dev-serving")
    assert (ended["buildStatus"], ended["currentPhase"]) == ("SUCCEEDED", "COMPLETED")


def test_an_image_no_program_stands_for_fails_and_says_what_to_do(build: Any) -> None:
    ended = build(REPOSITORY_URI="000000000000.dkr.ecr.us-east-1.amazonaws.com/something-else")
    assert ended["buildStatus"] == "FAILED"
    assert "add it to local/cloud/images.py" in _why(ended)


def test_a_project_that_names_no_image_fails_and_says_so(build: Any) -> None:
    ended = build(OTHER="value")
    assert ended["buildStatus"] == "FAILED"
    assert "there is nothing to build" in _why(ended)


def _why(build: dict[str, Any]) -> str:
    (failed,) = [phase for phase in build["phases"] if phase.get("phaseStatus") == "FAILED"]
    return str(failed["contexts"][0]["message"])
