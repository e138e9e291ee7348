"""The whole examination of a data set: every kind of finding, from features and pixels that are there already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import contract
from training.doctor import copies, quality
from training.doctor.labels import FEWEST, doubt_labels
from training.doctor.neighbours import Neighbours, nearest
from training.doctor.odd import odd_ones
from training.doctor.table import ReadRows, directions, standardised

__all__ = ["Photos", "examine", "finding_of"]

_IMBALANCE: Final = 10
"""How many times as many photos the largest class may have before a class is named as small."""

_NAMED: Final = 5
"""Classes that one remark names."""

_STRICTNESS: Final = {"test": 0, "validation": 1, "train": 2, None: 3}
"""Which of several copies stays: the one in the strictest split, as CheckDataset decides."""


@dataclass(frozen=True)
class Photos:
    """The photos that could be read; all lists are in the same order."""

    paths: Sequence[str]
    labels: NDArray[np.int64]
    splits: Sequence[contract.SplitName | None]
    contents: Sequence[str]
    """What tells files apart, such as a hash of their bytes."""
    pixels: NDArray[Any] | None
    """A record of `pixels.PIXELS` for each photo; None where only features are at hand."""


@dataclass(frozen=True)
class _Examination:
    photos: Photos
    near: Neighbours
    classes: Sequence[str]

    def finding(
        self, kind: contract.FindingKind, at: int, *, score: float, reason: str, **more: Any
    ) -> contract.PhotoFinding:
        """Return a finding on the photo at a position; `more` are the fields that are not None."""
        photos = self.photos
        return finding_of(
            kind,
            photos.paths[at],
            label=int(photos.labels[at]),
            split=photos.splits[at],
            score=score,
            reason=reason,
            **more,
        )


def examine(
    photos: Photos, *, read: ReadRows, levels: Sequence[int], classes: Sequence[str], image_size: int
) -> contract.DatasetCheck:
    """Return what is to be said about the photos; those that cannot be read are not among them.

    Args:
        photos: the photos.
        read: returns the features of the photos at given positions.
        levels: sizes of the parts of a feature vector; the last one tells which photos are alike.
        classes: names of the classes.
        image_size: side of the square that the network sees, in pixels.
    """
    findings: list[contract.PhotoFinding] = []
    count = len(photos.paths)
    if count >= 2:
        last = slice(sum(levels[:-1]), None)
        near = nearest(directions(lambda at: read(at)[:, last], photos=count))
        examination = _Examination(photos, near, classes)

        # a flaw of the pixels explains why a photo is odd, and both why it looks like another class
        flaws = [] if photos.pixels is None else quality.flaws(photos.pixels, image_size=image_size)
        flawed = {flaw.position for flaw in flaws}
        odd = {at: factor for at, factor in odd_ones(near) if at not in flawed}
        groups = _groups(photos, near)
        findings += [
            examination.finding(flaw.kind, flaw.position, score=flaw.score, reason=flaw.reason) for flaw in flaws
        ]
        findings += _odd(examination, odd)
        findings += _copies(examination, groups)
        findings += _labels(
            examination, rows=standardised(read, photos=count), groups=groups, explained=flawed | odd.keys()
        )

    kinds = list(contract.FINDING_KINDS)
    findings.sort(key=lambda finding: (kinds.index(finding["kind"]), finding["group"] or 0, -finding["score"]))
    return {
        "classes": list(classes),
        "photos": count,
        "findings": findings,
        "remarks": _remarks(photos, classes=classes, image_size=image_size),
    }


def finding_of(
    kind: contract.FindingKind,
    path: str,
    *,
    label: int,
    split: contract.SplitName | None,
    reason: str,
    score: float = 1.0,
    suggested: int | None = None,
    other: str | None = None,
    group: int | None = None,
) -> contract.PhotoFinding:
    """Return a finding, with None in the fields that its kind does not have."""
    return {
        "kind": kind,
        "path": path,
        "label": label,
        "split": split,
        "reason": reason,
        "score": round(float(score), 4),
        "suggested": suggested,
        "other": other,
        "group": group,
    }


def _odd(examination: _Examination, odd: dict[int, float]) -> list[contract.PhotoFinding]:
    nearest_of = examination.near.positions[:, 0]
    return [
        examination.finding(
            "odd",
            at,
            score=factor,
            reason=f"few photos are like it: its tenth most similar photo is {factor:.1f} times as far away as nine in "
            "ten photos' are",
            other=examination.photos.paths[nearest_of[at]],
        )
        for at, factor in odd.items()
    ]


def _groups(photos: Photos, near: Neighbours) -> list[copies.CopyGroup]:
    found = [copies.same_content(photos.contents)]
    if photos.pixels is None:
        found.append(copies.same_features(near))
    else:
        pixels = photos.pixels
        proportions = pixels["width"] / np.maximum(pixels["height"], 1)
        found.append(copies.same_pictures(near, thumbnails=pixels["thumbnail"], proportions=proportions))
    pairs, likeness = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return copies.group_copies(pairs, likeness)


def _copies(examination: _Examination, groups: Sequence[copies.CopyGroup]) -> list[contract.PhotoFinding]:
    """Return a finding for every copy but the one that may stay; for that one, too, if the copies' classes differ."""
    photos, findings = examination.photos, []
    for number, group in enumerate(groups):
        stays = min(
            group.members, key=lambda at: (_STRICTNESS[photos.splits[at]], -_area(photos, at), photos.paths[at])
        )
        others = [at for at in group.members if at != stays]
        disputed = len({int(photos.labels[at]) for at in group.members}) > 1
        for at in [stays, *others] if disputed else others:
            twin = stays if at != stays else next(o for o in others if photos.labels[o] != photos.labels[stays])
            same = photos.contents[at] == photos.contents[twin]
            reason = f"the same {'file' if same else 'picture'} as {photos.paths[twin]}"
            if photos.labels[at] != photos.labels[twin]:
                reason += f", which is in the class {examination.classes[photos.labels[twin]]}"
            if photos.splits[at] != photos.splits[twin]:
                reason += f", which is for {photos.splits[twin] or 'any split'}"
            findings.append(
                examination.finding(
                    "copy", at, score=group.likeness[at], reason=reason, other=photos.paths[twin], group=number
                )
            )
    return findings


def _labels(
    examination: _Examination, *, rows: NDArray[np.float32], groups: Sequence[copies.CopyGroup], explained: set[int]
) -> list[contract.PhotoFinding]:
    photos, classes = examination.photos, examination.classes
    together = np.arange(len(photos.paths))
    for group in groups:
        together[group.members] = group.members[0]
    doubts = doubt_labels(rows, photos.labels, classes=len(classes), together=together)

    findings = []
    for at in map(int, doubts.suspects()):
        if at in explained:
            continue
        label, suggested = int(photos.labels[at]), int(doubts.suggested[at])
        likely, given = doubts.probabilities[at, suggested], doubts.probabilities[at, label]
        alike = [o for o in examination.near.positions[at].tolist() if photos.labels[o] == suggested]
        findings.append(
            examination.finding(
                "label",
                at,
                score=float(doubts.scores[at]),
                reason=f"looks like {classes[suggested]} ({likely:.0%}), not like {classes[label]} ({given:.1%})",
                suggested=suggested,
                other=photos.paths[alike[0]] if alike else None,
            )
        )
    return findings


def _remarks(photos: Photos, *, classes: Sequence[str], image_size: int) -> list[str]:
    counts = np.bincount(photos.labels, minlength=len(classes))
    remarks = []

    largest = int(counts.argmax()) if len(counts) else 0
    small = [at for at in np.argsort(counts, kind="stable").tolist() if counts[at] * _IMBALANCE < counts[largest]]
    if small:
        named = ", ".join(f"{classes[at]} ({counts[at]:,})" for at in small[:_NAMED])
        more = f" and {len(small) - _NAMED} more" if len(small) > _NAMED else ""
        remarks.append(
            f"The classes are out of balance: {classes[largest]} has {counts[largest]:,} photos, and these have fewer "
            f"than a tenth of that: {named}{more}. Add photos to them, or the model will rarely name them."
        )

    few = [classes[at] for at in np.flatnonzero((counts > 0) & (counts < FEWEST)).tolist()]
    if few:
        remarks.append(
            f"Labels were not judged in classes of fewer than {FEWEST} photos: {', '.join(few[:_NAMED])}"
            f"{f' and {len(few) - _NAMED} more' if len(few) > _NAMED else ''}."
        )

    if photos.pixels is not None and len(photos.pixels):
        side = float(np.median(np.minimum(photos.pixels["width"], photos.pixels["height"])))
        if side < image_size:
            remarks.append(
                f"Half of the photos have a shorter side of no more than {side:.0f} pixels, and the network sees "
                f"{image_size}: take larger ones if there are any, or lower the setting training.image_size."
            )
    return remarks


def _area(photos: Photos, at: int) -> int:
    return 0 if photos.pixels is None else int(photos.pixels["width"][at]) * int(photos.pixels["height"][at])
