"""CodeBuild without Docker: the build of an image succeeds if this machine has a program that stands for it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from local.cloud import seam
from local.sagemaker import Image

__all__ = ["apply", "judge"]

_REPOSITORY: Final = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.[a-z.]+/[a-z0-9._/-]+(?::[\w.-]+)?")


def judge(project: Mapping[str, Any], images: Sequence[Image]) -> tuple[bool, str]:
    """Return whether a build of the project succeeds, and the line of its log that says why.

    The image is taken from the project's environment variables: the URI of its repository, with or without a tag.
    """
    named = list(_repositories(project))
    if not named:
        return False, (
            "The local cloud runs no build commands; it only knows images. No environment variable of this project "
            "names an ECR repository (as 123456789012.dkr.ecr.REGION.amazonaws.com/NAME), so there is nothing to build."
        )

    for uri in named:
        # an image's pattern may need a tag
        tagged = uri if ":" in uri.rpartition("/")[2] else f"{uri}:latest"
        image = next((image for image in images if re.search(image.pattern, tagged)), None)
        if image is None:
            return False, f"No program on this machine stands for {uri}; add it to local/cloud/images.py"
        if image.train is None and image.serve is None:
            return False, f"The program that stands for {uri} is not installed; run `make setup`"
    return True, f"Nothing to build: a program on this machine stands for {', '.join(named)}"


def apply(images: Sequence[Image]) -> None:
    """Let every build end at once with the result of `judge`; in ministack, every build succeeds."""
    codebuild = seam.module("services.codebuild")
    make = seam.expect(codebuild, "_make_build_record", "project", "build_id", "source_version")
    log = seam.expect(codebuild, "_log_sink", "build")

    def make_build_record(project: dict[str, Any], build_id: str, source_version: str | None = None) -> dict[str, Any]:
        build: dict[str, Any] = make(project, build_id, source_version)
        succeeded, why = judge(project, images)
        if not succeeded:
            build["buildStatus"] = "FAILED"
            for phase in build["phases"]:
                if phase["phaseType"] == "BUILD":
                    phase["phaseStatus"] = "FAILED"
                    phase["contexts"] = [{"statusCode": "COMMAND_EXECUTION_ERROR", "message": why}]
        log(build)(why)
        return build

    codebuild._make_build_record = make_build_record


def _repositories(project: Mapping[str, Any]) -> Iterator[str]:
    for variable in (project.get("environment") or {}).get("environmentVariables") or []:
        yield from _REPOSITORY.findall(str(variable.get("value", "")))
