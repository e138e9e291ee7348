"""The log of a SageMaker job, as CloudWatch Logs holds it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

__all__ = ["TRAINING_LOG_GROUP", "JobLogs"]

TRAINING_LOG_GROUP = "/aws/sagemaker/TrainingJobs"


class JobLogs:
    """Reads a training job's log line by line; a second look gives only what is new.

    Lines of several hosts come stream by stream.
    """

    def __init__(self, logs: Any, job: str) -> None:
        self._logs = logs
        self._job = job
        self._tokens: dict[str, str] = {}

    def new_lines(self) -> Iterator[str]:
        """The lines since the last call; none while the job has not written any."""
        try:
            streams = self._logs.describe_log_streams(
                logGroupName=TRAINING_LOG_GROUP, logStreamNamePrefix=f"{self._job}/"
            )["logStreams"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return  # no job has ever written a log here
            raise
        for stream in streams:
            yield from self._stream(stream["logStreamName"])

    def _stream(self, name: str) -> Iterator[str]:
        while True:
            options = {"nextToken": self._tokens[name]} if name in self._tokens else {"startFromHead": True}
            answer = self._logs.get_log_events(logGroupName=TRAINING_LOG_GROUP, logStreamName=name, **options)
            yield from (event["message"].rstrip() for event in answer["events"])
            # The end of the stream gives the same token back (GetLogEvents).
            if answer["nextForwardToken"] == self._tokens.get(name) or not answer["events"]:
                self._tokens[name] = answer["nextForwardToken"]
                return
            self._tokens[name] = answer["nextForwardToken"]
