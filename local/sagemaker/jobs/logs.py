"""Log lines of jobs and endpoints, sent to CloudWatch Logs as they come."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from local.sagemaker.clients import logs_client

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_logs.type_defs import InputLogEventTypeDef

__all__ = ["LogStream"]

_LOGGER = logging.getLogger(__name__)
_INTERVAL = 1.0
"""Seconds between two batches."""
_MAX_LINE = 250_000
"""Characters kept of a line; an event holds 256 KB (CloudWatch Logs quota)."""
_MAX_BATCH_EVENTS = 5_000
_MAX_BATCH_BYTES = 900_000
"""A batch holds 10,000 events and 1 MB with 26 bytes an event (CloudWatch Logs quota)."""
_MAX_WAITING = 100_000
"""Lines kept while CloudWatch Logs does not answer; the oldest are dropped beyond it."""


class LogStream:
    """A log stream, written by a thread of its own under the role of a job or endpoint.

    Logging never fails a job: where the role may not write logs, that is said once in the service's own log, as on AWS
    the job runs and its log is missing.
    """

    def __init__(self, credentials: Mapping[str, str], *, group: str, stream: str) -> None:
        self.group = group
        self.stream = stream
        self._credentials = credentials
        self._waiting: deque[InputLogEventTypeDef] = deque(maxlen=_MAX_WAITING)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"logs {stream}", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Queue a line; empty ones are dropped, which CloudWatch Logs refuses."""
        if line:
            self._waiting.append({"timestamp": int(time.time() * 1000), "message": line[:_MAX_LINE]})

    def close(self) -> None:
        """Send what is left and end; waits for it, at most 20 seconds."""
        self._closed.set()
        self._thread.join(timeout=20)

    def _run(self) -> None:
        client: CloudWatchLogsClient | None = None
        try:
            client = logs_client(self._credentials)
            _create(client, self.group, self.stream)
            while not self._closed.wait(_INTERVAL):
                self._send(client)
            while self._waiting:
                self._send(client)
        except (BotoCoreError, ClientError) as error:
            _LOGGER.warning("no log lines for %s %s: %s", self.group, self.stream, error)

    def _send(self, client: CloudWatchLogsClient) -> None:
        events: list[InputLogEventTypeDef] = []
        size = 0
        while self._waiting and len(events) < _MAX_BATCH_EVENTS and size < _MAX_BATCH_BYTES:
            event = self._waiting[0]
            size += len(event["message"].encode()) + 26
            if events and size > _MAX_BATCH_BYTES:
                break
            events.append(self._waiting.popleft())
        if events:
            client.put_log_events(logGroupName=self.group, logStreamName=self.stream, logEvents=events)


def _create(client: CloudWatchLogsClient, group: str, stream: str) -> None:
    try:
        client.create_log_stream(logGroupName=group, logStreamName=stream)
    except client.exceptions.ResourceAlreadyExistsException:
        return
    except client.exceptions.ResourceNotFoundException:
        with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):  # another job was quicker
            client.create_log_group(logGroupName=group)
        client.create_log_stream(logGroupName=group, logStreamName=stream)
