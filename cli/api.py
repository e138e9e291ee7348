"""The client of the deployed API, which `whippet classify` and the demo use."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

import urllib3
from botocore.awsrequest import AWSRequest

from cli import CliError
from cli.photos import media_type
from cli.retries import ask_until_answered, reason_of
from cli.target import STATE, is_on_this_machine
from contract import MAX_IMAGE_BYTES, Answer, Upload
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
        """Classify one photo, again where the API asks to come back; one that is too large is uploaded first.

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
        path = "classify" + (f"?{urlencode(asked)}" if asked else "")
        call = _Call(self, photo, lambda sentence: say(f"{photo}: {sentence}"))
        if len(body) > MAX_IMAGE_BYTES:
            key = call.upload(body)
            return cast("Answer", call.post(path, json.dumps({"s3": key}).encode(), "application/json"))
        return cast("Answer", call.post(path, body, media_type(photo)))


@dataclass(frozen=True)
class _Call:
    """The requests for one photo."""

    api: Api
    photo: Path
    say: Callable[[str], None]

    def post(self, path: str, body: bytes, content_type: str) -> Any:
        """Return what the API answers to a POST, again where it asks to come back.

        Raises:
            CliError: the API cannot be reached, or answers with an error.
        """
        url = self.api.url + path
        response = self._ask(lambda: _send(url, body, self._headers(url, body, content_type)))
        if response.status != 200:
            reason = reason_of(response.data)
            raise CliError(f"the API did not classify {self.photo} (HTTP {response.status}): {reason}")
        return json.loads(response.data)

    def upload(self, body: bytes) -> str:
        """Upload a photo that is too large for a request, and return its key.

        Raises:
            CliError: it is too large for the endpoint, too, or S3 does not take it.
        """
        place: Upload = self.post("uploads", b"", "application/json")
        if len(body) > place["max_bytes"]:
            raise CliError(
                f"{self.photo} has {len(body) / 1e6:.1f} MB, and the endpoint takes {place['max_bytes'] / 1e6:.1f} MB: "
                "make it smaller, 1024 pixels a side lose nothing"
            )
        file = (self.photo.name, body)
        form, content_type = urllib3.encode_multipart_formdata([*place["fields"].items(), ("file", file)])
        response = self._ask(lambda: _send(place["url"], form, {"content-type": content_type}))
        if response.status >= 300:
            raise CliError(f"S3 did not take {self.photo} (HTTP {response.status}): {reason_of(response.data)}")
        return place["s3"]

    def _ask(self, send: Callable[[], urllib3.BaseHTTPResponse]) -> urllib3.BaseHTTPResponse:
        try:
            return ask_until_answered(send, say=self.say)
        except urllib3.exceptions.HTTPError as error:
            url = self.api.url
            raise CliError(
                (control.silence(STATE) if is_on_this_machine(url) else None)
                or f"the API at {url} did not answer ({error}): check with `whippet status` that the stack is "
                "deployed, and that the network reaches it"
            ) from None

    def _headers(self, url: str, body: bytes, content_type: str) -> dict[str, str]:
        headers = {"content-type": content_type}
        if self.api.key is not None:
            return {"x-api-key": self.api.key, **headers}
        request = AWSRequest("POST", url, headers, body)
        if self.api.sign is not None:
            self.api.sign(request)
        return dict(request.headers.items())


def _send(url: str, body: bytes, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
    return _POOL.request("POST", url, body=body, headers=headers, timeout=TIMEOUT)


def curl_command(api: Api, photo: Path) -> str:
    """Return the shell command that classifies a photo as `Api.classify` does; the shell asks whippet for the key."""
    url, media, data = map(shlex.quote, (f"{api.url}classify", f"content-type: {media_type(photo)}", f"@{photo}"))
    key = '-H "x-api-key: $(whippet key)"' if api.key is not None else _CURL_SIGNS
    return f"curl -X POST {url} {key} -H {media} --data-binary {data}"


_CURL_SIGNS = (
    '--aws-sigv4 "aws:amz:$AWS_REGION:execute-api" --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" '
    '-H "x-amz-security-token: $AWS_SESSION_TOKEN"'
)
