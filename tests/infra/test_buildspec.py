"""The build of the serving image: the template's buildspec, run with a `docker` and an `aws` that record."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.serving import stage_context
from tests.infra.template import Template

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.index.v1+json"

_DOCKER = """#!/usr/bin/env bash
echo "docker $*" >> "$CALLS"
[ "$1" = login ] && cat > /dev/null
[ "$1" = push ] || exit 0
left=$(cat "$WORLD/failing_pushes")
echo $((left - 1)) > "$WORLD/failing_pushes"
[ "$left" -gt 0 ] && { echo 'received unexpected HTTP status: 500' >&2; exit 1; }
touch "$WORLD/image"
"""

_AWS = """#!/usr/bin/env bash
echo "aws $*" >> "$CALLS"
case "$1 $2" in
  'ecr-public get-login-password') [ -e "$WORLD/public" ] && echo password || exit 254;;
  'ecr get-login-password') echo password;;
  'ecr describe-images')
    [ -e "$WORLD/image" ] || { echo 'ImageNotFoundException' >&2; exit 254; }
    cat "$WORLD/manifest";;
esac
"""


@dataclass(frozen=True)
class Build:
    """What a build did."""

    status: int
    calls: list[str]
    output: str

    def count(self, start: str) -> int:
        return sum(call.startswith(start) for call in self.calls)


@pytest.fixture
def build(synthesise: Callable[..., Template], tmp_path: Path) -> Callable[..., Build]:
    """Run the buildspec in its context; each command is a script of its own, as CodeBuild's version 0.1 has it."""
    project = synthesise().of_type("AWS::CodeBuild::Project")
    (properties,) = [resource["Properties"] for resource in project.values()]
    spec = json.loads(properties["Source"]["BuildSpec"])
    given = {variable["Name"] for variable in properties["Environment"]["EnvironmentVariables"]}
    assert given == {"REPOSITORY", "REPOSITORY_URI"}

    def run(
        *, there: bool = False, failing_pushes: int = 0, manifest: str = DOCKER_MANIFEST, public: bool = True
    ) -> Build:
        programs, world, context = tmp_path / "bin", tmp_path / "world", tmp_path / "context"
        for folder in (programs, world):
            folder.mkdir()
        stage_context(context)

        # the programs that record, and the world that they see
        for name, text in (("docker", _DOCKER), ("aws", _AWS)):
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        (world / "failing_pushes").write_text(str(failing_pushes))
        (world / "manifest").write_text(f"{manifest}\n")
        for name, wanted in (("image", there), ("public", public)):
            if wanted:
                (world / name).touch()

        # the environment that CodeBuild gives
        environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "CALLS": str(tmp_path / "calls"),
            "WORLD": str(world),
            "REPOSITORY": "whippet-dev-serving",
            "REPOSITORY_URI": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/whippet-dev-serving",
            "IMAGE_TAG": "c0ffee",
            "RETRY_SECONDS": "0",
        }

        # every command of every phase
        output, status = "", 0
        for phase in spec["phases"].values():
            for command in phase["commands"]:
                done = subprocess.run(
                    ["bash", "-c", command],
                    cwd=context,
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=60,
                )
                output += done.stdout + done.stderr
                status = status or done.returncode

        calls = (tmp_path / "calls").read_text().splitlines() if (tmp_path / "calls").exists() else []
        return Build(status, calls, output)

    return run


def test_an_image_that_is_there_is_neither_built_nor_pushed(build: Callable[..., Build]) -> None:
    """As when an update is rolled back: the repository's tags are immutable, and a push would be refused (A-04)."""
    done = build(there=True)
    assert done.status == 0, done.output
    assert done.count("docker") == 0, done.calls


def test_an_image_is_built_once_for_the_processors_of_the_endpoint_and_pushed(build: Callable[..., Build]) -> None:
    done = build()
    assert done.status == 0, done.output
    assert done.count("docker buildx build --platform linux/amd64") == 1
    assert done.count("docker push 123456789012.dkr.ecr.eu-west-1.amazonaws.com/whippet-dev-serving:c0ffee") == 1


def test_no_attestation_makes_an_index_of_the_image(build: Callable[..., Build]) -> None:
    """SageMaker refuses OCI manifests at CreateModel, after a whole run (A-24)."""
    (command,) = [call for call in build().calls if "buildx" in call]
    assert {"--provenance=false", "--sbom=false", "type=docker"} <= set(command.split())


def test_an_image_of_another_manifest_fails_the_build(build: Callable[..., Build]) -> None:
    done = build(manifest=OCI_MANIFEST)
    assert done.status != 0
    assert f"pushed as {OCI_MANIFEST}" in done.output


@pytest.mark.parametrize("failures", [1, 2])
def test_a_passing_fault_is_tried_again(build: Callable[..., Build], failures: int) -> None:
    """A throttled pull, package index or push would roll the whole first deploy back (A-12)."""
    done = build(failing_pushes=failures)
    assert done.status == 0, done.output
    assert done.count("docker push") == failures + 1


def test_a_lasting_fault_fails_the_build_after_three_attempts(build: Callable[..., Build]) -> None:
    done = build(failing_pushes=9)
    assert done.status != 0
    assert done.count("docker push") == 3
    assert "attempt 3 of 3" in done.output


def test_the_base_image_is_pulled_with_a_login(build: Callable[..., Build]) -> None:
    assert build().count("docker login --username AWS --password-stdin public.ecr.aws") == 1


def test_a_region_without_the_public_registry_pulls_without_a_login(build: Callable[..., Build]) -> None:
    done = build(public=False)
    assert done.status == 0, done.output
    assert "pulling the base image without one" in done.output


def test_the_build_may_ask_for_what_it_asks_for(synthesise: Callable[..., Template]) -> None:
    allowed = {
        action
        for policy in synthesise().of_type("AWS::IAM::Policy").values()
        if any("BuildRole" in role["Ref"] for role in policy["Properties"]["Roles"])
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }
    assert {"ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken", "ecr:DescribeImages"} <= allowed
