"""The logs of SageMaker jobs, as CloudWatch Logs holds it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

import contract
from cli.errors import CliError

if TYPE_CHECKING:
    from cli.target import Target

__all__ = ["PROCESSING_LOG_GROUP", "TRAINING_LOG_GROUP", "JobLogs", "run_lines"]

TRAINING_LOG_GROUP = "/aws/sagemaker/TrainingJobs"
PROCESSING_LOG_GROUP = "/aws/sagemaker/ProcessingJobs"


class JobLogs:
    """Reads a job's log line by line; a second look gives only what is new.

    Lines of several hosts come stream by stream.
    """

    def __init__(self, logs: Any, job: str, *, group: str = TRAINING_LOG_GROUP) -> None:
        self._logs = logs
        self._job = job
        self._group = group
        self._tokens: dict[str, str] = {}

    def new_lines(self) -> Iterator[str]:
        """The lines since the last call; none while the job has not written any."""
        try:
            streams = self._logs.describe_log_streams(logGroupName=self._group, logStreamNamePrefix=f"{self._job}/")[
                "logStreams"
            ]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return  # no job has ever written a log here
            raise
        for stream in streams:
            yield from self._stream(stream["logStreamName"])

    def _stream(self, name: str) -> Iterator[str]:
        while True:
            options = {"nextToken": self._tokens[name]} if name in self._tokens else {"startFromHead": True}
            answer = self._logs.get_log_events(logGroupName=self._group, logStreamName=name, **options)
            yield from (event["message"].rstrip() for event in answer["events"])
            # The end of the stream gives the same token back (GetLogEvents).
            if answer["nextForwardToken"] == self._tokens.get(name) or not answer["events"]:
                self._tokens[name] = answer["nextForwardToken"]
                return
            self._tokens[name] = answer["nextForwardToken"]


def run_lines(target: Target, *, run: str) -> Iterator[tuple[str, str]]:
    """Job and line of everything a run's jobs have written: the training jobs in order, then the rules' job.

    Raises:
        CliError: the run has no jobs.
    """
    prefix = contract.job_prefix(target.settings.prefix, run)
    pages = (
        target.client("sagemaker")
        .get_paginator("list_training_jobs")
        .paginate(NameContains=prefix, SortBy="CreationTime", SortOrder="Ascending")
    )
    names = [job["TrainingJobName"] for page in pages for job in page["TrainingJobSummaries"]]
    if not names:
        raise CliError(f"run {run} has no jobs {target.place}: `whippet status` lists the runs")
    client = target.client("logs")
    rules = contract.rules_job_name(target.settings.prefix, run)
    jobs = [*((name, TRAINING_LOG_GROUP) for name in names), (rules, PROCESSING_LOG_GROUP)]
    for name, group in jobs:
        for line in JobLogs(client, name, group=group).new_lines():
            yield name, line
