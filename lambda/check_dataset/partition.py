"""Stratified splits: of each class the same share, and photos that belong together in one split.

Photos of the same content belong together, and photos of one group. Such units are ranked by a hash of what they are,
so that the order of the photos does not matter, and adding photos moves few others.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from contract import SplitName

from .listing import Photo

__all__ = ["SHARES", "partition"]

SHARES: Final[dict[SplitName, float]] = {"test": 0.15, "validation": 0.15}
"""Share of each class's different photos; the others are for training."""


@dataclass(frozen=True, slots=True)
class _Unit:
    """Photos that belong together."""

    rank: bytes
    paths: list[str]
    sizes: Counter[str]
    """Number of different photos of each class."""

    @property
    def size(self) -> int:
        return sum(self.sizes.values())


def partition(photos: Sequence[Photo], wanted: Mapping[SplitName, Iterable[str]]) -> dict[str, SplitName]:
    """Return the split of each path.

    Args:
        photos: The photos that may go into any split.
        wanted: The classes for which each split has to be taken from these photos; a split that is not wanted at all
            has photos of its own.
    """
    units = sorted(_units(photos), key=lambda unit: unit.rank)
    quotas = _quotas(units, {split: set(labels) for split, labels in wanted.items()})

    # the first units that are needed go to the test split, the next ones to the validation split
    splits: dict[SplitName, list[_Unit]] = {"test": [], "validation": [], "train": units}
    for split, quota in quotas.items():
        taken: Counter[str] = Counter()
        for unit in splits["train"]:
            need = sum(min(size, max(0, quota[label] - taken[label])) for label, size in unit.sizes.items())
            if 0 < unit.size <= 2 * need:  # nearer to its quota with the unit than without
                splits[split].append(unit)
                taken.update(unit.sizes)
        chosen = set(map(id, splits[split]))
        splits["train"] = [unit for unit in splits["train"] if id(unit) not in chosen]

    # large groups may have left a split without photos of a class
    for split, labels in [*((split, quota) for split, quota in quotas.items()), ("train", _totals(units))]:
        for label in sorted(set(labels) - set(_totals(splits[split]))):
            if not any(unit.sizes[label] for unit in splits[split]):  # one given before may have photos of it
                _give(splits, split, label)
    return {path: split for split, members in splits.items() for unit in members for path in unit.paths}


def _give(splits: dict[SplitName, list[_Unit]], split: SplitName, label: str) -> None:
    """Move the smallest unit with this class to a split, from one that keeps photos of all the unit's classes."""
    counts = {source: Counter(name for unit in units for name in unit.sizes) for source, units in splits.items()}
    spare = [
        (unit.size, source != "train", unit.rank, source, unit)
        for source, units in splits.items()
        for unit in units
        if source != split and unit.sizes[label] and all(counts[source][name] > 1 for name in unit.sizes)
    ]
    if spare:
        *_, source, unit = min(spare, key=lambda entry: entry[:3])
        splits[source] = [other for other in splits[source] if other is not unit]
        splits[split].append(unit)


def _quotas(units: Sequence[_Unit], wanted: Mapping[SplitName, set[str]]) -> dict[SplitName, Counter[str]]:
    """Return how many different photos of each class a split gets: its share, at least one, and one for training."""
    totals = _totals(units)
    quotas: dict[SplitName, Counter[str]] = {split: Counter() for split in SHARES if wanted.get(split)}
    for label, total in totals.items():
        # The photos of a given split are not among these, so that the missing ones take a greater share of them.
        whole = 1 - sum(share for split, share in SHARES.items() if label not in wanted.get(split, ()))
        spare = total - 1
        for split, quota in quotas.items():
            if label in wanted[split]:
                quota[label] = min(spare, max(1, int(total * SHARES[split] / whole + 0.5)))
                spare -= quota[label]
    return quotas


def _totals(units: Iterable[_Unit]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for unit in units:
        totals.update(unit.sizes)
    return totals


def _units(photos: Sequence[Photo]) -> Iterable[_Unit]:
    """Join the photos that have their content or their group in common, directly or through others."""
    parents: dict[tuple[str, str], tuple[str, str]] = {}

    def root(key: tuple[str, str]) -> tuple[str, str]:
        while parents.setdefault(key, key) != key:
            parents[key] = parents[parents[key]]
            key = parents[key]
        return key

    for photo in photos:
        keys = [("group", photo.group)] if photo.group else []
        first, *others = [root((kind, value)) for kind, value in [*keys, ("photo", photo.identity)]]
        for other in others:
            parents[max(first, other)] = min(first, other)  # groups before photos, so that a group names its unit

    members: dict[tuple[str, str], list[Photo]] = defaultdict(list)
    for photo in photos:
        members[root(("photo", photo.identity))].append(photo)
    for (_, name), together in members.items():
        different = {(photo.label, photo.identity) for photo in together}
        yield _Unit(
            rank=hashlib.sha256(name.encode()).digest(),
            paths=[photo.path for photo in together],
            sizes=Counter(label for label, _ in different),
        )
