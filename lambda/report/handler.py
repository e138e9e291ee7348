"""Report: writes the page about everything that a run did and decided, and a page about the training's profile alone.

The function's zip also holds `echarts.min.js` of the npm package echarts, and the packages jinja2 and markupsafe.
"""

from __future__ import annotations

import os
from pathlib import Path

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from shared.console_links import object_link

import contract

from .page import Section, render
from .run_context import RunContext
from .run_files import RunFiles
from .sections import cost, drift, mistakes, origins, outcome, photos, quality, training_checks, trend, trials, unknown

__all__ = ["PAGES", "handler"]

logger = Logger()
s3 = boto3.client("s3")
sagemaker = boto3.client("sagemaker")
stepfunctions = boto3.client("stepfunctions")

PAGES: dict[str, tuple[str, tuple[Section, ...]]] = {
    contract.Artefact.REPORT: (
        "Run",
        (
            Section("outcome", "Verdict", outcome.outcome),
            Section("photos", "Check your photos", photos.photos),
            Section("confusion", "Confusion matrix", mistakes.confusion),
            Section("mistakes", "Mistakes", mistakes.mistakes),
            Section("classes", "Classes", quality.classes),
            Section("comparison", "Compared with the model in service", outcome.comparison),
            Section("trend", "Over the runs", trend.trend),
            Section("unknown", "What it does not know", unknown.unknown),
            Section("dataset", "Data set", origins.dataset),
            Section("drift", "Drift of what is asked", drift.drift, only_if=lambda run: run.checks_drift),
            # for engineers
            Section("calibration", "Calibration", quality.calibration, folded=True),
            Section("serving", "The served model", quality.serving, folded=True),
            Section("tuning", "Tuning", trials.tuning, folded=True),
            Section("curves", "Training curves", quality.curves, folded=True),
            Section("rules", "Debugger rules", training_checks.rules, folded=True),
            Section("profile", "Profile of the training", training_checks.profile, folded=True),
            Section("cost", "Cost", cost.cost, folded=True),
            Section("provenance", "Provenance", origins.provenance, folded=True),
        ),
    ),
    contract.Artefact.PROFILE_PAGE: (
        "Profile of run",
        (Section("profile", "Profile of the training", training_checks.profile),),
    ),
}
"""The pages by file name: the title, which the run's name follows, and the sections."""

CHARTING_LIBRARY = Path(__file__).parent / "echarts.min.js"


@logger.inject_lambda_context
def handler(event: contract.EndInput, context: LambdaContext) -> contract.ReportLocation:
    """Write the pages about the run, and return where the report is."""
    bucket, execution = os.environ["BUCKET"], event["execution"]

    # A run that failed before its plan is named after its execution.
    plan = event["run"].get("plan")
    name = plan["run"] if plan else contract.run_id(execution.rsplit(":", 1)[-1], started=event["run"]["started"])
    run = RunContext(
        name=name,
        prefix=os.environ["NAME_PREFIX"],
        data=event["run"],
        execution=execution,
        state_machine=event["state_machine"],
        files=RunFiles(s3, bucket=bucket, run=name),
        sagemaker=sagemaker,
        stepfunctions=stepfunctions,
        checks_drift=os.environ["CHECKS_DRIFT"] == "true",
        pause_after_hours=int(os.environ["PAUSE_AFTER_HOURS"] or 0) or None,
    )

    library = CHARTING_LIBRARY.read_text(encoding="utf-8")
    for file, (title, sections) in PAGES.items():
        content = render(run, sections, title=f"{title} {name}", charting_library=library).encode()
        s3.put_object(Bucket=bucket, Key=f"runs/{name}/{file}", Body=content, ContentType="text/html; charset=utf-8")
        logger.info("page written", extra={"run": name, "page": file, "bytes": len(content)})

    key = f"runs/{name}/{contract.Artefact.REPORT}"
    link = object_link(bucket, key, beside=execution)
    return contract.ReportLocation(uri=f"s3://{bucket}/{key}", console=link)
