"""The logs of SageMaker jobs, read from CloudWatch Logs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

import contract
from cli import CliError

if TYPE_CHECKING:
    from cli.target import Target

__all__ = ["PROCESSING_LOG_GROUP", "TRAINING_LOG_GROUP", "JobLogs", "run_lines"]

TRAINING_LOG_GROUP = "/aws/sagemaker/TrainingJobs"
PROCESSING_LOG_GROUP = "/aws/sagemaker/ProcessingJobs"


class JobLogs:
    """A job's log, read line by line; every line is given once.

    The lines of a job on several machines come machine by machine.
    """

    def __init__(self, logs: Any, job: str, *, group: str = TRAINING_LOG_GROUP) -> None:
        self._logs = logs
        self._job = job
        self._group = group
        self._tokens: dict[str, str] = {}

    def new_lines(self) -> Iterator[str]:
        """Yield the lines since the last call; none as long as the job has not written any."""
        try:
            answer = self._logs.describe_log_streams(logGroupName=self._group, logStreamNamePrefix=f"{self._job}/")
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return  # no job has written to this log group yet
            raise
        for stream in answer["logStreams"]:
            yield from self._stream(stream["logStreamName"])

    def _stream(self, name: str) -> Iterator[str]:
        while True:
            options = {"nextToken": self._tokens[name]} if name in self._tokens else {"startFromHead": True}
            answer = self._logs.get_log_events(logGroupName=self._group, logStreamName=name, **options)
            yield from (event["message"].rstrip() for event in answer["events"])
            # At the end of the stream, GetLogEvents returns the token it was given.
            ended = answer["nextForwardToken"] == self._tokens.get(name) or not answer["events"]
            self._tokens[name] = answer["nextForwardToken"]
            if ended:
                return


def run_lines(target: Target, *, run: str) -> Iterator[tuple[str, str]]:
    """Yield a job's name and a line for all that a run's jobs have written.

    The training jobs come first, in the order they were created, then the job that evaluates the rules.

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
        raise CliError(f"run {run} has started no jobs {target.place}: `whippet status` lists the runs")

    client = target.client("logs")
    rules = contract.rules_job_name(target.settings.prefix, run)
    jobs = [*((name, TRAINING_LOG_GROUP) for name in names), (rules, PROCESSING_LOG_GROUP)]
    for name, group in jobs:
        for line in JobLogs(client, name, group=group).new_lines():
            yield name, line
