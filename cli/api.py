"""The client of the deployed API, which `whippet classify` and the demo use."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import urllib3
from botocore.awsrequest import AWSRequest

from cli import CliError
from cli.photos import media_type
from cli.retries import ask_until_answered, reason_of
from cli.target import STATE, is_on_this_machine
from contract import Answer
from local import control

if TYPE_CHECKING:
    from cli.target import Target

__all__ = ["Api", "curl_command"]

TIMEOUT = urllib3.Timeout(connect=5, read=35)
"""Seconds. API Gateway itself gives up after 29 (AWS quota "Maximum integration timeout")."""

_POOL = urllib3.PoolManager(retries=False)


def _say_on_stderr(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Api:
    """The deployed API: its base URL, with a slash at the end, and its key."""

    url: str
    key: str | None = field(repr=False)
    """None where the API takes none: requests are signed then, which an API open to all leaves alone."""
    sign: Callable[[AWSRequest], None] | None = field(default=None, repr=False)

    @classmethod
    def of(cls, target: Target) -> Api:
        """Return the API of a deployed stack."""
        return cls(target.api_url, target.api_key if target.takes_keys else None, target.sign)

    def classify(
        self,
        photo: Path,
        *,
        top: int | None = None,
        coverage: float | None = None,
        explain: bool = False,
        say: Callable[[str], None] = _say_on_stderr,
    ) -> Answer:
        """Classify one photo, again where the API asks to come back.

        Args:
            photo: its file.
            top: number of predictions; None: what the endpoint gives unasked.
            coverage: probability with which the answer's `labels` is to hold the right one; None: no such set.
            explain: whether the answer is to have a heat map.
            say: is told what is waited for, in a sentence: a model that wakes, an endpoint that is made, a slow answer.

        Raises:
            CliError: the photo cannot be read, the API cannot be reached, or it answers with an error.
        """
        try:
            body = photo.read_bytes()
        except OSError as error:
            raise CliError(f"{photo} cannot be read ({error.strerror}): give the path of a photo") from None

        wanted = {"top_k": top, "coverage": coverage, "explain": 1 if explain else None}
        asked = {name: value for name, value in wanted.items() if value is not None}
        url = f"{self.url}classify" + (f"?{urlencode(asked)}" if asked else "")
        try:
            response = ask_until_answered(
                lambda: _POOL.request("POST", url, body=body, headers=self._headers(url, photo, body), timeout=TIMEOUT),
                say=lambda sentence: say(f"{photo}: {sentence}"),
            )
        except urllib3.exceptions.HTTPError as error:
            raise CliError(
                (control.silence(STATE) if is_on_this_machine(self.url) else None)
                or f"the API at {self.url} did not answer ({error}): check with `whippet status` that the stack is "
                "deployed, and that the network reaches it"
            ) from None

        if response.status != 200:
            raise CliError(f"the API did not classify {photo} (HTTP {response.status}): {reason_of(response.data)}")
        answer: Answer = json.loads(response.data)
        return answer

    def _headers(self, url: str, photo: Path, body: bytes) -> dict[str, str]:
        headers = {"content-type": media_type(photo)}
        if self.key is not None:
            return {"x-api-key": self.key, **headers}
        request = AWSRequest("POST", url, headers, body)
        if self.sign is not None:
            self.sign(request)
        return dict(request.headers.items())


def curl_command(api: Api, photo: Path) -> str:
    """Return the shell command that classifies a photo as `Api.classify` does; the shell asks whippet for the key."""
    url, media, data = map(shlex.quote, (f"{api.url}classify", f"content-type: {media_type(photo)}", f"@{photo}"))
    key = '-H "x-api-key: $(whippet key)"' if api.key is not None else _CURL_SIGNS
    return f"curl -X POST {url} {key} -H {media} --data-binary {data}"


_CURL_SIGNS = (
    '--aws-sigv4 "aws:amz:$AWS_REGION:execute-api" --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" '
    '-H "x-amz-security-token: $AWS_SESSION_TOKEN"'
)
