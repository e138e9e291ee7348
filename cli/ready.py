"""The object READY, whose upload starts a run (`triggers.ready_object`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli import CliError
from infra.outputs import StackOutput

if TYPE_CHECKING:
    from cli.target import Target

__all__ = ["put_ready", "ready_object"]


def ready_object(target: Target) -> str:
    """Return the S3 URI of the object.

    Raises:
        CliError: the stack is not deployed, or its uploads start no run.
    """
    place = target.outputs.get(StackOutput.READY_OBJECT)
    if place is None:
        raise CliError(
            "--ready has no effect, as no upload starts a run here: deploy with -c triggers.ready_object=true, or "
            "start one with `whippet run` after the upload"
        )
    return place


def put_ready(target: Target, place: str) -> None:
    """Upload the object, which is empty; each upload starts a run."""
    bucket, _, key = place.removeprefix("s3://").partition("/")
    target.client("s3").put_object(Bucket=bucket, Key=key, Body=b"")
