"""BuildImage, a custom resource: builds the serving image with CodeBuild, and waits until it is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import ClientError
from shared.aws_errors import is_denied
from shared.custom_resource import CustomResourceEvent, Deadline, OutOfTime, respond
from shared.patience import LONGEST_CALL_SECONDS, PATIENT, patiently

if TYPE_CHECKING:
    from mypy_boto3_codebuild.type_defs import BuildTypeDef

__all__ = ["BuildFailed", "handler"]

logger = Logger()
codebuild = boto3.client("codebuild", config=PATIENT)
POLL_SECONDS = 5.0
"""Time between two looks at the build."""

_ATTEMPTS = 6
_SPREADING_SECONDS = 20.0
"""Pause before the next attempt where IAM refuses a build: a new role's policy takes a minute or two to be known in the
whole region ("Troubleshoot IAM", changes that I make are not always immediately visible)."""

_FIRST_PHASES = ("SUBMITTED", "QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE")
"""Phases of a build before its own commands, which have attempts of their own."""

_REFUSED = ("ACCESS_DENIED", "AccessDenied", "Access Denied", "not authorized")


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

    respond(event, context, physical_id="serving-image", longest_call_seconds=LONGEST_CALL_SECONDS, work=work)


def _build(project: str, tag: str, deadline: Deadline) -> None:
    """Build the image; try again where the policies of the stack's new roles are not known everywhere yet."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            build = _finished_build(project, tag, deadline)
        except ClientError as error:
            if attempt == _ATTEMPTS or not is_denied(error):
                raise
            reason = str(error)
        else:
            if build["buildStatus"] == "SUCCEEDED":
                return
            reason = _explain(build)
            if attempt == _ATTEMPTS or not _was_refused(build):
                raise BuildFailed(reason)
        logger.warning("IAM refuses the build, perhaps not for long", extra={"attempt": attempt, "reason": reason})
        deadline.pause(_SPREADING_SECONDS, f"waiting for IAM to allow the build: {reason}")


def _finished_build(project: str, tag: str, deadline: Deadline) -> BuildTypeDef:
    build = patiently(
        lambda: codebuild.start_build(
            projectName=project,
            environmentVariablesOverride=[{"name": "IMAGE_TAG", "value": tag, "type": "PLAINTEXT"}],
        )["build"],
        deadline=deadline,
        doing=f"starting a build of {project}",
    )
    name = build["id"]
    logger.info("building", extra={"build": name, "tag": tag})

    # wait; a build that takes too long is stopped, so that the next deployment starts a new one
    while build["buildStatus"] == "IN_PROGRESS":
        waiting = f"waiting for the build {name}"
        try:
            deadline.pause(POLL_SECONDS, waiting)
            build = patiently(
                lambda: codebuild.batch_get_builds(ids=[name])["builds"][0], deadline=deadline, doing=waiting
            )
        except OutOfTime:
            codebuild.stop_build(id=name)
            raise
    return build


def _was_refused(build: BuildTypeDef) -> bool:
    """Return whether IAM refused the build something before its first command, such as its source or its log."""
    return any(
        refusal in f"{context.get('statusCode')} {context.get('message')}"
        for phase in build.get("phases", [])
        if phase.get("phaseType") in _FIRST_PHASES
        for context in phase.get("contexts", [])
        for refusal in _REFUSED
    )


def _explain(build: BuildTypeDef) -> str:
    for phase in build.get("phases", []):
        if phase.get("phaseStatus") not in (None, "SUCCEEDED"):
            messages = "; ".join(context.get("message", "") for context in phase.get("contexts", []))
            link = build.get("logs", {}).get("deepLink", "its log group")
            return f"the build {build['id']} failed in {phase.get('phaseType')}: {messages} See {link}"
    return f"the build {build['id']} ended with {build['buildStatus']}"
