"""The findings of the data doctor: what `whippet check` and the jobs say about photos before a bill comes of them."""

from __future__ import annotations

from typing import Final, Literal, TypedDict

from contract.dataset import SplitName

__all__ = [
    "FINDING_KINDS",
    "FINDING_TITLES",
    "MOST_EXAMINED_PHOTOS",
    "REPORTED_FINDINGS",
    "SHOWN_FINDINGS",
    "CheckRequest",
    "CheckedPhoto",
    "DatasetCheck",
    "FindingKind",
    "PhotoFinding",
    "Previews",
    "PreviewsRequest",
]

SHOWN_FINDINGS: Final = 100
"""Findings of each kind that have thumbnails on the page of `whippet check`; the list for a spreadsheet has all."""

FindingKind = Literal["unreadable", "label", "copy", "odd", "blurred", "dark", "bright", "tiny"]

FINDING_KINDS: Final[dict[FindingKind, str]] = {
    "unreadable": "cannot be read, so that no job learns from it",
    "label": "looks like another class than the one whose folder it is in",
    "copy": "the same picture as another photo: the same file, or resaved, resized or cropped",
    "odd": "unlike every other photo of the data set",
    "blurred": "far less sharp than the others",
    "dark": "so dark that little can be seen",
    "bright": "so bright that little can be seen",
    "tiny": "far fewer pixels than the network sees and than the other photos have",
}
"""What is suspected of a photo, by the kind of finding, in the order they are shown."""

MOST_EXAMINED_PHOTOS: Final = 100_000
"""Photos above which a training does not examine them, since comparing them all would take minutes: `whippet check`
does it beforehand."""

REPORTED_FINDINGS: Final[dict[FindingKind, int]] = {
    "unreadable": 50,
    "label": 24,
    "copy": 16,
    "odd": 12,
    "blurred": 6,
    "dark": 6,
    "bright": 6,
    "tiny": 6,
}
"""Findings of each kind that a run's report shows, the strongest ones."""


FINDING_TITLES: Final[dict[FindingKind, str]] = {
    "unreadable": "Unreadable",
    "label": "Suspected labels",
    "copy": "Copies",
    "odd": "Odd ones out",
    "blurred": "Blurred",
    "dark": "Dark",
    "bright": "Bright",
    "tiny": "Tiny",
}
"""What the photos of each kind stand under on a page."""


class PhotoFinding(TypedDict):
    """One thing that is suspected of one photo."""

    kind: FindingKind
    path: str
    """Path below the data set's folder."""
    label: int
    """Index into the classes, as the photo's folder says."""
    split: SplitName | None
    """None where the folders give no split."""
    reason: str
    """One sentence for people."""
    score: float
    """How strong the suspicion is; compares findings of the same kind only, the strongest first."""
    suggested: int | None
    """The label that the photo looks like, of findings of the kind `label`."""
    other: str | None
    """Path of the photo that this one is a copy of, or of the photo most like it."""
    group: int | None
    """Number of the group of copies that the photo belongs to, from 0."""


class DatasetCheck(TypedDict):
    """The content of `Artefact.CHECK`."""

    classes: list[str]
    photos: int
    """Number of photos that were checked, those that could not be read included."""
    findings: list[PhotoFinding]
    """By kind, in the order of `FINDING_KINDS`, and within a kind by falling score."""
    remarks: list[str]
    """Sentences on the data set as a whole, such as its imbalance and what could not be judged."""


class CheckedPhoto(TypedDict):
    """A photo that is to be checked."""

    path: str
    """Path below the folder."""
    label: int
    split: SplitName | None


class CheckRequest(TypedDict):
    """What `whippet check` asks of the training environment, in a JSON file."""

    folder: str
    classes: list[str]
    photos: list[CheckedPhoto]
    kept: str
    """Folder of what is known of photos already."""
    output: str
    """Folder for the results."""


class PreviewsRequest(TypedDict):
    """What `whippet feedback` asks of the training environment, in a JSON file."""

    folder: str
    photos: list[str]
    """Paths below the folder."""
    output: str
    """The file that the `Previews` are written to."""


class Previews(TypedDict):
    """Photos as a person sees them on a page."""

    thumbnails: dict[str, str]
    """Small JPEGs in base64 by the photo's path."""
    unreadable: dict[str, str]
    """Why there is none, by the photo's path."""
