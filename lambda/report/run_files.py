"""The files a run left in the bucket, each read when it is asked for; what is missing or broken says so in words."""

from __future__ import annotations

import csv
import io
import json
from functools import cached_property
from typing import TYPE_CHECKING, NotRequired, TypeVar, cast, get_origin, get_type_hints

from botocore.exceptions import ClientError

import contract
from contract import Artefact

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["Missing", "RunFiles"]

MAX_FILE_BYTES = 64 * 2**20
"""A thousand classes' evaluation takes some megabytes; more is none of ours."""
MAX_PICTURE_BYTES = 64 * 2**10
"""A thumbnail of 192 pixels takes about 8 kB."""


Kind = TypeVar("Kind")


class Missing(Exception):
    """What a section would show is not there; the message is the line that stands in its place."""


class RunFiles:
    """Of one run, below `runs/<run>/`."""

    def __init__(self, s3: S3Client, *, bucket: str, run: str) -> None:
        self._s3 = s3
        self.bucket = bucket
        self.run = run

    @cached_property
    def dataset(self) -> contract.DatasetSummary:
        """What CheckDataset found.

        Raises:
            Missing: it is not there or cannot be read; so do all others of this class.
        """
        return self._json(f"runs/{self.run}/manifest/{Artefact.DATASET_SUMMARY}", contract.DatasetSummary)

    @cached_property
    def decision(self) -> contract.Decision:
        """The verdict, with all it was decided on."""
        return self._json(f"runs/{self.run}/{Artefact.DECISION}", contract.Decision)

    @cached_property
    def evaluation(self) -> contract.Evaluation:
        """How good the model is on the test photos."""
        return self._json(self._result(Artefact.EVALUATION), contract.Evaluation)

    @cached_property
    def profile(self) -> contract.Profile:
        """Where the training's time went."""
        return self._json(self._result(Artefact.PROFILE), contract.Profile)

    @cached_property
    def hook(self) -> contract.HookReport:
        """What the debugger hook saved."""
        return self._json(self._result(Artefact.HOOK_REPORT), contract.HookReport)

    @cached_property
    def rules(self) -> contract.RulesReport:
        """What the rules' job of ours found."""
        return self._json(f"runs/{self.run}/rules/{Artefact.RULES}", contract.RulesReport)

    @cached_property
    def history(self) -> list[dict[str, str]]:
        """A row an epoch: epoch, train_loss, validation_loss, validation_accuracy."""
        key = self._result(Artefact.HISTORY)
        text = self._text(key)
        rows = [row for row in csv.DictReader(io.StringIO(text)) if None not in row]
        if not rows:
            raise Missing(f"{_name(key)} holds no epoch.")
        return cast("list[dict[str, str]]", rows)

    def thumbnail(self, place: int) -> bytes:
        """The JPEG of a place in `Evaluation.hardest_mistakes`."""
        return self._bytes(self._result(f"{Artefact.HARDEST_MISTAKES}/{place:02}.jpg"), limit=MAX_PICTURE_BYTES)

    def _result(self, name: str) -> str:
        return contract.result_key(self.run, name)

    def _json(self, key: str, kind: type[Kind]) -> Kind:
        try:
            value = json.loads(self._bytes(key))
        except ValueError as error:
            raise Missing(f"{_name(key)} cannot be read: {error}.") from None
        if not isinstance(value, dict):
            raise Missing(f"{_name(key)} cannot be read: it holds no JSON object.")
        lacking = sorted(_required(kind) - set(value))
        if lacking:
            raise Missing(f"{_name(key)} cannot be read: it lacks {', '.join(lacking)}.")
        return cast(Kind, value)

    def _text(self, key: str) -> str:
        try:
            return self._bytes(key).decode("utf-8")
        except UnicodeDecodeError as error:
            raise Missing(f"{_name(key)} cannot be read: {error}.") from None

    def _bytes(self, key: str, *, limit: int = MAX_FILE_BYTES) -> bytes:
        try:
            content: bytes = self._s3.get_object(Bucket=self.bucket, Key=key)["Body"].read(limit + 1)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                raise Missing(f"The run left no {_name(key)}.") from None
            raise Missing(f"{_name(key)} cannot be read: {error}.") from None
        if len(content) > limit:
            raise Missing(f"{_name(key)} is not shown: it has more than {limit:,} bytes.")
        return content


def _required(kind: type) -> set[str]:
    """Members of a TypedDict; its own `__required_keys__` cannot tell where annotations are text."""
    hints = get_type_hints(kind, include_extras=True)
    return {name for name, hint in hints.items() if get_origin(hint) is not NotRequired}


def _name(key: str) -> str:
    return key.split("/", 2)[-1]
