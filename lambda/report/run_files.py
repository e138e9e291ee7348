"""The files that a run left in the bucket, each read when a section needs it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, NotRequired, TypedDict, TypeVar, cast, get_origin, get_type_hints

from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError
from shared.aws_errors import is_missing_object

import contract
from contract import Artefact

from .dataset_changes import DatasetChanges, find_changes
from .earlier_versions import complete
from .pictures import Pictures

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["Missing", "RunFiles", "WrongAnswer", "if_present"]

logger = Logger(child=True)

MAX_FILE_BYTES = 64 * 2**20
"""Largest file. The evaluation of a thousand classes takes some megabytes."""

Kind = TypeVar("Kind")


class WrongAnswer(TypedDict):
    """A test photo that was classified wrongly."""

    path: str
    label: str
    predicted: str
    confidence: float


class Missing(Exception):
    """The content of a section is not there; the message is shown in its place."""


def if_present(read: Callable[[], Kind]) -> Kind | None:
    """Return what `read` returns, or None where it raises Missing."""
    try:
        return read()
    except Missing:
        return None


class RunFiles:
    """The files of one run, below `runs/<run>/`. Reading one that is missing or broken raises Missing."""

    def __init__(self, s3: S3Client, *, bucket: str, run: str) -> None:
        self._s3 = s3
        self.bucket = bucket
        self.run = run
        self._pictures = Pictures(lambda key: if_present(lambda: self._json(key, dict)) or {})

    @cached_property
    def dataset(self) -> contract.DatasetSummary:
        """The summary of the data set."""
        return self._json(f"runs/{self.run}/manifest/{Artefact.DATASET_SUMMARY}", contract.DatasetSummary)

    @cached_property
    def dataset_changes(self) -> DatasetChanges | None:
        """Photos that were changed or removed since the run had listed them; None where that cannot be found out."""
        try:
            return find_changes(self._s3, bucket=self.bucket, run=self.run, prefix=self.dataset["prefix"])
        except ClientError as error:
            logger.warning("the data set could not be compared with the manifest", extra={"error": str(error)})
            return None

    @cached_property
    def decision(self) -> contract.Decision:
        """The decision of the verdict, with everything that it is based on."""
        return self.decision_of(self.run)

    @cached_property
    def evaluation(self) -> contract.Evaluation:
        """The scores of the model on the test photos."""
        return self.evaluation_of(self.run)

    @cached_property
    def check(self) -> contract.DatasetCheck:
        """What is suspected of the photos."""
        return self._json(self._result(Artefact.CHECK), contract.DatasetCheck)

    @cached_property
    def wrong_answers(self) -> list[WrongAnswer]:
        """The wrongly classified test photos, those with the highest confidence first."""
        key = self._result(Artefact.PREDICTIONS)
        try:
            wrong = [
                WrongAnswer(
                    path=row["path"],
                    label=row["label"],
                    predicted=row["predicted"],
                    confidence=float(row["confidence"]),
                )
                for row in csv.DictReader(io.StringIO(self._text(key)))
                if row["label"] != row["predicted"]
            ]
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            raise Missing(f"{_name(key)} cannot be read: {type(error).__name__}: {error}.") from None
        return sorted(wrong, key=lambda answer: -answer["confidence"])

    @cached_property
    def profile(self) -> contract.Profile:
        """The profile of the training."""
        return self._json(self._result(Artefact.PROFILE), contract.Profile)

    @cached_property
    def drift(self) -> contract.DriftCheck:
        """The newest check of captured answers, of the model that was in service then."""
        # a listing, since S3 answers 403 for a missing object where only prefixes may be listed
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=contract.DRIFT_LATEST)
        if not any(page.get("Contents") for page in pages):
            raise Missing("No check of captured answers has been made yet.")
        return self._json(contract.DRIFT_LATEST, contract.DriftCheck)

    @cached_property
    def hook(self) -> contract.HookReport:
        """The report of the debugger hook."""
        return self._json(self._result(Artefact.HOOK_REPORT), contract.HookReport)

    @cached_property
    def rules(self) -> contract.RulesReport:
        """The results of the rules that the run's own processing job evaluated."""
        return self._json(f"runs/{self.run}/rules/{Artefact.RULES}", contract.RulesReport)

    @cached_property
    def history(self) -> list[dict[str, str]]:
        """A row for each epoch, with the columns of `Artefact.HISTORY`."""
        key = self._result(Artefact.HISTORY)
        text = self._text(key)
        rows = [row for row in csv.DictReader(io.StringIO(text)) if None not in row]
        if not rows:
            raise Missing(f"{_name(key)} holds no epoch.")
        return cast("list[dict[str, str]]", rows)

    def decision_of(self, run: str) -> contract.Decision:
        """Return the decision on the model of this run or another."""
        return self._json(f"runs/{run}/{Artefact.DECISION}", contract.Decision)

    def evaluation_of(self, run: str) -> contract.Evaluation:
        """Return the scores of the model of this run or another."""
        return self._json(contract.result_key(run, Artefact.EVALUATION), contract.Evaluation)

    def picture(self, path: str, *, run: str | None = None) -> str | None:
        """Return the thumbnail that this run, or another, left of a photo, as a data: URI; None where there is none."""
        return self._pictures.uri(path, key=contract.result_key(run or self.run, Artefact.THUMBNAILS))

    def heat_map(self, path: str) -> str | None:
        """Return the picture of what the model looked at in a photo, as a data: URI; None where there is none."""
        return self._pictures.uri(path, key=self._result(Artefact.HEAT_MAPS))

    def _result(self, name: str) -> str:
        return contract.result_key(self.run, name)

    def _json(self, key: str, kind: type[Kind]) -> Kind:
        try:
            value = json.loads(self._bytes(key))
        except ValueError as error:
            raise Missing(f"{_name(key)} cannot be read: {error}.") from None
        if not isinstance(value, dict):
            raise Missing(f"{_name(key)} cannot be read: it holds no JSON object.")
        complete(value, kind)
        lacking = sorted(_required(kind) - set(value))
        if lacking:
            raise Missing(f"{_name(key)} cannot be read: it lacks {', '.join(lacking)}.")
        return cast(Kind, value)

    def _text(self, key: str) -> str:
        try:
            return self._bytes(key).decode("utf-8")
        except UnicodeDecodeError as error:
            raise Missing(f"{_name(key)} cannot be read: {error}.") from None

    def _bytes(self, key: str) -> bytes:
        try:
            content: bytes = self._s3.get_object(Bucket=self.bucket, Key=key)["Body"].read(MAX_FILE_BYTES + 1)
        except ClientError as error:
            if is_missing_object(error):
                raise Missing(f"The run left no {_name(key)}.") from None
            raise Missing(f"{_name(key)} cannot be read: {error}.") from None
        if len(content) > MAX_FILE_BYTES:
            raise Missing(f"{_name(key)} is not shown: it has more than {MAX_FILE_BYTES:,} bytes.")
        return content


def _required(kind: type) -> set[str]:
    """Return the required members of a TypedDict; its `__required_keys__` is wrong where annotations are text."""
    hints = get_type_hints(kind, include_extras=True)
    return {name for name, hint in hints.items() if get_origin(hint) is not NotRequired}


def _name(key: str) -> str:
    return key.split("/", 2)[-1]
