"""A run's report: fetched from the bucket and opened in the browser."""

from __future__ import annotations

import webbrowser
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

import contract
from cli import CliError
from cli.run import read_run_file, run_file

if TYPE_CHECKING:
    from cli.target import Target

__all__ = ["ReportPage", "fetch_report", "open_report", "report_uri"]


class ReportPage(StrEnum):
    """The pages that a run writes."""

    REPORT = "report"
    PROFILE = "profile"


_FILES = {ReportPage.REPORT: contract.Artefact.REPORT, ReportPage.PROFILE: contract.Artefact.PROFILE_PAGE}


def fetch_report(target: Target, *, run: str, page: ReportPage, folder: Path) -> Path:
    """Download a page into `folder` and return its file, which works without a network.

    Raises:
        CliError: the run wrote no such page.
    """
    content = read_run_file(target, run=run, name=_FILES[page])
    if content is None:
        bucket, key = run_file(target, run=run, name=_FILES[page])
        raise CliError(
            f"run {run} has no {page} at s3://{bucket}/{key}: a run writes it at its end; `whippet status` lists the "
            "runs and how they ended"
        )
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{run}-{page}.html"
    file.write_bytes(content)
    return file


def open_report(file: Path) -> bool:
    """Show a page in the browser; return False where there is none, as over SSH."""
    return webbrowser.open(file.resolve().as_uri())


def report_uri(target: Target, *, run: str) -> str | None:
    """Return the report's S3 URI, or None if the run could not write a report."""
    bucket, key = run_file(target, run=run, name=_FILES[ReportPage.REPORT])
    try:
        target.client("s3").head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return None
        raise
    return f"s3://{bucket}/{key}"
