"""Send the log lines of jobs and endpoints to CloudWatch Logs while they run."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from local import clock
from local.sagemaker.clients import logs_client

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_logs.type_defs import InputLogEventTypeDef

__all__ = ["LogStream"]

_LOGGER = logging.getLogger(__name__)
_INTERVAL = 1.0
"""Seconds between two batches."""

_MAX_LINE = 250_000
"""Characters of a line that are kept. An event may have 256 KB (CloudWatch Logs quota)."""

_MAX_BATCH_EVENTS = 5_000
_MAX_BATCH_BYTES = 900_000
"""A batch may have 10,000 events and 1 MB, with 26 bytes added for each event (API reference, PutLogEvents)."""

_MAX_WAITING = 100_000
"""Lines kept while CloudWatch Logs does not answer; beyond that the oldest are dropped."""


class LogStream:
    """A log stream, written by a thread of its own with the role of a job or endpoint.

    Logging never fails a job. As on AWS, the job of a role that may not write logs runs without a log; here the
    service's own log says so once. The log group is made again with the next line after it was deleted, as on AWS, if
    the role has logs:CreateLogGroup.
    """

    def __init__(self, credentials: Mapping[str, str], *, group: str, stream: str) -> None:
        self.group = group
        self.stream = stream
        self._credentials = credentials
        self._waiting: deque[InputLogEventTypeDef] = deque(maxlen=_MAX_WAITING)
        self._exists = False
        self._refused = False
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"logs {stream}", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Queue a line. Empty lines are dropped, which CloudWatch Logs refuses."""
        if line:
            self._waiting.append({"timestamp": int(clock.time() * 1000), "message": line[:_MAX_LINE]})

    def close(self) -> None:
        """Send the lines that are left, and end. Wait at most 20 seconds for that."""
        self._closed.set()
        self._thread.join(timeout=20)

    def _run(self) -> None:
        client = logs_client(self._credentials)
        self._write(client)
        while not self._closed.wait(_INTERVAL):
            self._write(client)
        self._write(client)

    def _write(self, client: CloudWatchLogsClient) -> None:
        """Send the lines that wait, and make the stream and its group if they do not exist.

        Lines that cannot be written wait for the next time.
        """
        try:
            if not self._exists:
                _create(client, self.group, self.stream)
                self._exists = True
            while self._waiting:
                try:
                    self._send(client)
                except client.exceptions.ResourceNotFoundException:
                    # somebody deleted the group or the stream
                    _create(client, self.group, self.stream)
        except (BotoCoreError, ClientError) as error:
            if not self._refused:
                _LOGGER.warning("log stream %s %s cannot be written: %s", self.group, self.stream, error)
            self._refused = True
        else:
            self._refused = False

    def _send(self, client: CloudWatchLogsClient) -> None:
        # take as many lines as fit into a batch
        events: list[InputLogEventTypeDef] = []
        size = 0
        for event in tuple(self._waiting):
            size += len(event["message"].encode()) + 26
            if events and (len(events) == _MAX_BATCH_EVENTS or size > _MAX_BATCH_BYTES):
                break
            events.append(event)
        client.put_log_events(logGroupName=self.group, logStreamName=self.stream, logEvents=events)

        # they wait no more; of a full queue, the oldest have gone by themselves
        for event in events:
            if self._waiting and self._waiting[0] is event:
                self._waiting.popleft()


def _create(client: CloudWatchLogsClient, group: str, stream: str) -> None:
    try:
        client.create_log_stream(logGroupName=group, logStreamName=stream)
    except client.exceptions.ResourceAlreadyExistsException:
        return
    except client.exceptions.ResourceNotFoundException:
        with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):  # another job just made it
            client.create_log_group(logGroupName=group)
        client.create_log_stream(logGroupName=group, logStreamName=stream)
