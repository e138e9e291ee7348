"""A run's report: fetched from the bucket, opened in the browser."""

from __future__ import annotations

import webbrowser
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

import contract
from cli.errors import CliError
from infra.outputs import StackOutput

if TYPE_CHECKING:
    from cli.target import Target

__all__ = ["ReportPage", "fetch_report", "open_report", "report_uri"]


class ReportPage(StrEnum):
    """What can be looked at of a run."""

    REPORT = "report"
    PROFILE = "profile"


_FILES = {ReportPage.REPORT: contract.Artefact.REPORT, ReportPage.PROFILE: contract.Artefact.PROFILE_PAGE}


def fetch_report(target: Target, *, run: str, page: ReportPage, folder: Path) -> Path:
    """Download a page; returns its file, which needs no network to be looked at.

    Raises:
        CliError: the run wrote no such page.
    """
    bucket, key = target.output(StackOutput.DATA_BUCKET), _key(run, page)
    try:
        content: bytes = target.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("NoSuchKey", "404"):
            raise
        raise CliError(
            f"run {run} has no report at s3://{bucket}/{key}: it is written when the run ends, and "
            "`whippet status` lists the runs"
        ) from None
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{run}-{page}.html"
    file.write_bytes(content)
    return file


def open_report(file: Path) -> bool:
    """Show a page in the browser; False where there is none, as over SSH."""
    return webbrowser.open(file.resolve().as_uri())


def report_uri(target: Target, *, run: str) -> str | None:
    """Where the report lies; None where the run could not write one."""
    bucket, key = target.output(StackOutput.DATA_BUCKET), _key(run, ReportPage.REPORT)
    try:
        target.client("s3").head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return None
        raise
    return f"s3://{bucket}/{key}"


def _key(run: str, page: ReportPage) -> str:
    return f"runs/{run}/{_FILES[page]}"
