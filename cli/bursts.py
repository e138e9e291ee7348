"""Bursts: photos that one camera took within seconds, by what it wrote into their files; they stay in one split.

Only the beginning of each file is read, no picture is decoded. `whippet upload` sends the result as a file of its own,
which CheckDataset reads like `groups.csv`.
"""

from __future__ import annotations

import csv
import io
import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError
from PIL import ExifTags, Image

from cli.aws_errors import read_object
from cli.photos import Photos
from cli.progress import progress_of
from contract import FOUND_GROUPS_FILE

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["SECONDS", "find_bursts", "groups_file", "rows_in_bucket"]

SECONDS: Final = 3
"""Longest pause between two photos of a burst; EXIF's times are whole seconds."""

_THREADS: Final = 8

_Taken = tuple[str, datetime]
"""A camera and a time."""


def find_bursts(photos: Photos, *, console: Console) -> dict[str, str]:
    """Return the burst of each photo that is in one, by its path: camera and time of the burst's first photo.

    A photo that follows another within `SECONDS` on the same camera (maker, model and, where it is told, serial number)
    is of the same burst, so that a burst is a chain of any length. Photos without these are in none.
    """
    of_camera: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
    with (
        progress_of(console, "looking for bursts", total=len(photos.paths)) as progress,
        ThreadPoolExecutor(_THREADS) as threads,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # of Pillow, on damaged and very large files
        files = (photos.folder / path for path in photos.paths)
        for path, taken in zip(photos.paths, threads.map(_taken, files), strict=True):
            progress.advance()
            if taken:
                camera, time = taken
                of_camera[camera].append((time, path.as_posix()))

    # a chain of photos that follow one another
    bursts: dict[str, list[str]] = {}
    for camera, shots in of_camera.items():
        name, last = "", datetime.min
        for time, shot in sorted(shots):
            if time - last > timedelta(seconds=SECONDS):
                name = f"{time:%Y-%m-%d %H:%M:%S} {camera}"
            bursts.setdefault(name, []).append(shot)
            last = time
    return {path: name for name, members in sorted(bursts.items()) if len(members) > 1 for path in members}


def groups_file(groups: Mapping[str, str]) -> dict[Path, bytes]:
    """Return the file that an upload sends for these groups, none where there are no groups."""
    if not groups:
        return {}
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("path", "group"))
    writer.writerows(sorted(groups.items()))
    return {Path(FOUND_GROUPS_FILE): table.getvalue().encode()}


def rows_in_bucket(s3: Any, *, bucket: str, prefix: str, without: Iterable[str]) -> dict[str, str]:
    """Return the groups of earlier uploads to a data set, but for the photos that are uploaded now."""
    try:
        body = read_object(s3, bucket=bucket, key=prefix + FOUND_GROUPS_FILE)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
            return {}
        raise
    now = set(without)
    rows = csv.DictReader(io.StringIO(body.decode("utf-8", "replace")))
    return {row["path"]: row["group"] for row in rows if row.get("group") and row.get("path") not in now}


def _taken(file: Path) -> _Taken | None:
    """Return what a file says of its camera and its time; None where it does not, or cannot be read."""
    with suppress(Exception):  # whatever is wrong with a damaged file, the jobs name it
        with Image.open(file) as image:
            # of a PNG, `getexif` decodes the whole picture where no EXIF data precede it
            exif = image.getexif() if image.format != "PNG" or "exif" in image.info else Image.Exif()
        more = exif.get_ifd(ExifTags.IFD.Exif)
        tags = (
            exif.get(ExifTags.Base.Make),
            exif.get(ExifTags.Base.Model),
            more.get(ExifTags.Base.BodySerialNumber),
        )
        camera = " ".join(" ".join(str(tag).replace("\0", " ").split()) for tag in tags if tag)
        time = datetime.strptime(str(more[ExifTags.Base.DateTimeOriginal]).strip("\0 "), "%Y:%m:%d %H:%M:%S")
        if camera:
            return camera, time
    return None
