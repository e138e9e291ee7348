"""The deployed API, as `whippet classify` and the demo call it."""

from __future__ import annotations

import json
import mimetypes
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import urllib3

from cli.errors import CliError
from contract import Prediction

if TYPE_CHECKING:
    from cli.target import Target

__all__ = ["Api", "curl_command"]

TIMEOUT = urllib3.Timeout(connect=5, read=35)
"""Seconds; API Gateway itself gives up after 29 (AWS quota)."""


@dataclass(frozen=True)
class Api:
    """Base URL (with its slash) and key of the deployed API."""

    url: str
    key: str

    @classmethod
    def of(cls, target: Target) -> Api:
        """The API of a deployed stack."""
        return cls(target.api_url, target.api_key)

    def classify(self, photo: Path) -> list[Prediction]:
        """POST one photo.

        Raises:
            CliError: the photo cannot be read, or the API refused it: with the API's own reason.
        """
        try:
            body = photo.read_bytes()
        except OSError as error:
            raise CliError(f"{photo} cannot be read: {error.strerror}") from None
        headers = {
            "x-api-key": self.key,
            "content-type": mimetypes.guess_type(photo.name)[0] or "application/octet-stream",
        }
        try:
            answer = _POOL.request("POST", f"{self.url}classify", body=body, headers=headers, timeout=TIMEOUT)
        except urllib3.exceptions.HTTPError as error:
            raise CliError(
                f"{self.url} did not answer ({error}): is the stack deployed and the cloud running?"
            ) from None
        if answer.status != 200:
            raise CliError(f"{photo}: {answer.status}: {_reason(answer.data)}")
        predictions: list[Prediction] = json.loads(answer.data)
        return predictions


_RETRY = urllib3.Retry(
    # None of a request's own errors is tried again, only the API's "later": throttled, or the endpoint is starting.
    total=6,
    connect=0,
    read=0,
    status_forcelist=(429, 503),
    allowed_methods=None,
    backoff_factor=0.2,
    raise_on_status=False,
)
_POOL = urllib3.PoolManager(retries=_RETRY)


def curl_command(api: Api, photo: Path) -> str:
    """The same call for a shell."""
    kind = mimetypes.guess_type(photo.name)[0] or "application/octet-stream"
    return f"curl -X POST {api.url}classify -H 'x-api-key: {api.key}' -H 'content-type: {kind}' --data-binary @{photo}"


def _reason(body: bytes) -> str:
    """The detail of a problem+json answer, or the beginning of whatever else came."""
    try:
        problem = json.loads(body)
        return str(problem.get("detail") or problem.get("message") or problem)
    except (ValueError, AttributeError):
        return body[:500].decode("utf-8", "replace")
