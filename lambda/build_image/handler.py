"""BuildImage, a custom resource: builds the serving image with CodeBuild, and waits until it is there."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from shared.custom_resource import CustomResourceEvent, Deadline, OutOfTime, respond

if TYPE_CHECKING:
    from mypy_boto3_codebuild.type_defs import BuildTypeDef

__all__ = ["BuildFailed", "handler"]

logger = Logger()
codebuild = boto3.client("codebuild")
POLL_SECONDS = 5.0
"""Time between two looks at the build."""


class BuildFailed(Exception):
    """CodeBuild could not build the image; the message names the phase and the log."""


@logger.inject_lambda_context
def handler(event: CustomResourceEvent, context: LambdaContext) -> None:
    """Build the image `Tag` and answer with its `ImageUri`. On deletion the repository deletes its images itself."""
    properties = event["ResourceProperties"]
    image = f"{properties['RepositoryUri']}:{properties['Tag']}"

    def work(deadline: Deadline) -> Mapping[str, str]:
        if event["RequestType"] != "Delete":
            _build(properties["Project"], properties["Tag"], deadline)
        return {"ImageUri": image}

    respond(event, context, physical_id="serving-image", work=work)


def _build(project: str, tag: str, deadline: Deadline) -> None:
    build = codebuild.start_build(
        projectName=project,
        environmentVariablesOverride=[{"name": "IMAGE_TAG", "value": tag, "type": "PLAINTEXT"}],
    )["build"]
    logger.info("building", extra={"build": build["id"], "tag": tag})

    # wait; a build that takes too long is stopped, so that the next deployment starts a new one
    while build["buildStatus"] == "IN_PROGRESS":
        try:
            deadline.check(f"waiting for the build {build['id']}")
        except OutOfTime:
            codebuild.stop_build(id=build["id"])
            raise
        build = codebuild.batch_get_builds(ids=[build["id"]])["builds"][0]
        if build["buildStatus"] == "IN_PROGRESS":
            time.sleep(POLL_SECONDS)

    if build["buildStatus"] != "SUCCEEDED":
        raise BuildFailed(_explain(build))


def _explain(build: BuildTypeDef) -> str:
    for phase in build.get("phases", []):
        if phase.get("phaseStatus") not in (None, "SUCCEEDED"):
            messages = "; ".join(context.get("message", "") for context in phase.get("contexts", []))
            link = build.get("logs", {}).get("deepLink", "its log group")
            return f"the build {build['id']} failed in {phase.get('phaseType')}: {messages} See {link}"
    return f"the build {build['id']} ended with {build['buildStatus']}"
