"""Clients of the cloud around the service, which act as the role of a job or endpoint."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client

__all__ = ["logs_client", "s3_client"]

_LOCK = threading.Lock()
"""A boto3 session must not make clients in two threads at once."""

_CONFIG = Config(
    connect_timeout=5,
    read_timeout=60,
    retries={"max_attempts": 4, "mode": "standard"},
    max_pool_connections=16,
    s3={"addressing_style": "path"},
)


@lru_cache(maxsize=1)
def _session() -> boto3.Session:
    return boto3.Session()


def s3_client(credentials: Mapping[str, str]) -> S3Client:
    """Return a client of S3 with the credentials, Region and endpoint of these `AWS_…` variables."""
    client: S3Client = _client("s3", credentials)
    return client


def logs_client(credentials: Mapping[str, str]) -> CloudWatchLogsClient:
    """Return a client of CloudWatch Logs with the credentials, Region and endpoint of these `AWS_…` variables."""
    client: CloudWatchLogsClient = _client("logs", credentials)
    return client


def _client(service: Any, credentials: Mapping[str, str]) -> Any:
    with _LOCK:
        return _session().client(
            service,
            endpoint_url=credentials.get("AWS_ENDPOINT_URL"),
            region_name=credentials.get("AWS_REGION"),
            aws_access_key_id=credentials.get("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=credentials.get("AWS_SECRET_ACCESS_KEY"),
            aws_session_token=credentials.get("AWS_SESSION_TOKEN") or None,
            config=_CONFIG,
        )
