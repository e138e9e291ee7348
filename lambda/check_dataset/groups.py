"""Groups of photos that must stay in one split: from `groups.csv` in the data set, or from the photos' paths."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from shared.first_few import first_few

from contract import GROUPS_FILE, counted

from .listing import BadDataset, Photo

__all__ = ["MAX_FILE_BYTES", "groups_of_file", "with_groups"]

MAX_FILE_BYTES = 64 * 2**20
"""Largest `groups.csv`; a row of 100 characters for each of 500,000 photos takes 50 MB."""

_FOUND = "burst "
"""Begins the names of groups that were found, so that none is one of a person's."""

_MATCH_SECONDS = 30
_MATCHER = """
import json, re, sys
pattern, paths = json.load(sys.stdin)
found = map(re.compile(pattern).search, paths)
json.dump([match and match[1] for match in found], sys.stdout)
"""


def with_groups(
    photos: Sequence[Photo], *, listed: dict[str, str], pattern: str | None, found: dict[str, str] | None = None
) -> tuple[list[Photo], list[str]]:
    """Return the photos with their groups, and remarks for the summary.

    Args:
        photos: all photos.
        listed: the groups in `GROUPS_FILE`, which count before all others.
        pattern: finds groups in the paths, which count next.
        found: the groups that `whippet upload` found; rows of photos that are gone do not matter.

    Raises:
        BadDataset: neither the file nor the pattern gives a group to any photo, or the pattern takes too long.
    """
    matched = _matched([photo.path for photo in photos], pattern) if pattern else {}
    said = {**matched, **listed}
    every = {**{path: _FOUND + group for path, group in (found or {}).items()}, **said}
    grouped = [
        replace(photo, group=every.get(photo.path), group_found=photo.path in every and photo.path not in said)
        for photo in photos
    ]

    paths = {photo.path for photo in photos}
    remarks = []
    if lost := sorted(listed.keys() - paths):
        if len(lost) == len(listed):
            raise BadDataset(
                f"no row of {GROUPS_FILE} names a photo of the data set, as {first_few(lost)}; give paths below the "
                f"data set's folder, such as {photos[0].path}"
            )
        remarks.append(f"{counted(len(lost), 'row')} of {GROUPS_FILE} without a photo: {first_few(lost)}.")
    if pattern and not matched:
        raise BadDataset(
            f"dataset.group_pattern={pattern!r} finds a group in no photo's path, such as {photos[0].path}; correct "
            "it, or leave it empty"
        )
    if (listed or pattern) and (alone := [photo.path for photo in photos if photo.path not in said]):
        remarks.append(f"{counted(len(alone), 'photo')} without a group, split one by one: {first_few(alone)}.")
    together = Counter(photo.group for photo in grouped if photo.group_found)
    if bursts := [count for count in together.values() if count > 1]:
        remarks.append(
            f"{sum(bursts):,} photos were taken in bursts ({len(bursts):,}), by the time and the camera in their "
            "files: a burst stays together wherever the splits are made here and not by folders."
        )
    return grouped, remarks


def groups_of_file(content: bytes, *, name: str = GROUPS_FILE) -> dict[str, str]:
    """Return the group of each path in such a file: columns `path` and `group`, separated by commas or semicolons.

    Raises:
        BadDataset: the file is no table, has other columns, or names a photo twice with different groups.
    """
    if len(content) > MAX_FILE_BYTES:
        raise BadDataset(f"{name} has more than {MAX_FILE_BYTES:,} bytes; leave out what is no photo's row")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadDataset(f"{name} is not UTF-8 ({error}); save it as UTF-8") from None

    first = text.split("\n", 1)[0]
    rows = csv.DictReader(io.StringIO(text), delimiter=";" if ";" in first else ",")
    try:
        return _groups_of_rows(rows, name=name, first=first)
    except csv.Error as error:
        raise BadDataset(
            f"{name} is no table from line {rows.line_num + 1} on ({error}); look for a quotation mark there that "
            "nothing closes"
        ) from None


def _groups_of_rows(rows: csv.DictReader[str], *, name: str, first: str) -> dict[str, str]:
    columns = [name.strip() for name in rows.fieldnames or ()]
    if not {"path", "group"} <= set(columns):
        raise BadDataset(
            f"the first line of {name} is {first.strip()!r}; expected the columns path and group, as in\n"
            "path,group\ncat/1.jpg,store 7"
        )
    rows.fieldnames = columns

    groups: dict[str, str] = {}
    for row in rows:
        path, group = (row["path"] or "").strip(), (row["group"] or "").strip()
        if not path or not group:
            continue
        if groups.setdefault(path, group) != group:
            raise BadDataset(
                f"{name} puts {path} into two groups, {groups[path]!r} and {group!r}; keep one of the rows"
            )
    return groups


def _matched(paths: list[str], pattern: str) -> dict[str, str]:
    """Return the group that the pattern finds in each path.

    A regular expression may take exponential time, and Python cannot stop one: another process does it, and is ended.
    """
    try:
        done = subprocess.run(  # noqa: S603 (this Python, with a program of ours)
            [sys.executable, "-I", "-c", _MATCHER],
            input=json.dumps([pattern, paths]).encode(),
            capture_output=True,
            timeout=_MATCH_SECONDS,
            check=True,
        )
    except subprocess.TimeoutExpired:
        raise BadDataset(
            f"dataset.group_pattern={pattern!r} took more than {_MATCH_SECONDS} s on {len(paths):,} paths; write it "
            "without a repetition in a repetition, for example [^/]+ in place of (.+)+"
        ) from None
    found: list[str | None] = json.loads(done.stdout)
    return {path: group for path, group in zip(paths, found, strict=True) if group}
