"""Test photos and what models say of them, joined by the photos' content.

All of it grows with the test split of the new run alone: manifests and tables are read as streams.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from contract import ImageRecord, content_of

__all__ = ["OldPhotos", "Prediction", "RunFiles", "contents_of", "predictions_in"]


class RunFiles(Protocol):
    """The long files that a run left."""

    @property
    def run(self) -> str:
        """The run."""

    def manifest(self) -> Iterator[ImageRecord] | None:
        """Return the photos that the run's model was trained and tested on, or None where no file says so any more."""

    def predictions(self) -> Iterator[str] | None:
        """Return the lines of `Artefact.PREDICTIONS`, or None where there is no such file."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """A row of `Artefact.PREDICTIONS` or `Artefact.IN_SERVICE_PREDICTIONS`."""

    path: str
    label: str
    predicted: str
    confidence: float


@dataclass(frozen=True)
class OldPhotos:
    """What the model in service had to do with the test photos of a new run, by their content."""

    learnt: set[str] = field(default_factory=set)
    """Photos that it was trained or validated on."""
    tested: dict[str, str] = field(default_factory=dict)
    """By the path at which it was tested on a photo: the photo's content."""

    @classmethod
    def among(cls, contents: Iterable[str], *, manifest: Iterable[ImageRecord]) -> OldPhotos:
        """Find these photos in the manifest of the run that trained the model in service."""
        wanted, found = set(contents), cls()
        for record in manifest:
            content = content_of(record)
            if content not in wanted:
                continue
            if record["split"] == "test":
                found.tested[record["path"]] = content
            else:
                found.learnt.add(content)
        return found


def predictions_in(lines: Iterable[str]) -> Iterator[Prediction]:
    """Read a table of predictions.

    Raises:
        ValueError: a column is missing, or a confidence is no number.
    """
    for row in csv.DictReader(lines):
        try:
            yield Prediction(row["path"], row["label"], row["predicted"], float(row["confidence"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"a row of the table lacks a column: {error}") from None


def contents_of(paths: Iterable[str], *, manifest: Iterable[ImageRecord]) -> dict[str, str]:
    """Return the path of each photo by its content; of copies in the test split, the path of the first."""
    wanted = set(paths)
    found: dict[str, str] = {}
    for record in manifest:
        if record["split"] == "test" and record["path"] in wanted:
            found.setdefault(content_of(record), record["path"])
    return found
