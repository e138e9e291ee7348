"""Thumbnails of the photos that the run's report shows: wrong answers, suspected photos, and what is beside them."""

from __future__ import annotations

import base64
import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from PIL import Image

import contract
from training import preprocess
from training.data.manifest import in_order, read_photo
from training.preprocess import ImageError
from training.runtime.environment import write_json

__all__ = ["SIDE", "disputed_paths", "mistaken_paths", "photos_to_show", "previews", "thumbnail", "write_thumbnails"]

SIDE: Final = 128
"""Longest side of a thumbnail of the report, in pixels: one takes about 4 kB in base64."""

_PREVIEW: Final = 176
"""Longest side of a picture on the page of a review, in pixels."""

MAX_BYTES: Final = 1_500_000
"""Most bytes of all thumbnails together, in base64, so that the report opens at once wherever it is sent."""

MISTAKES: Final = 200
"""Most wrongly classified test photos that have a thumbnail."""

DISPUTED: Final = 60
"""Most photos that have a thumbnail since only one of this model and the one in service is right."""

_AHEAD: Final = 32


def thumbnail(data: bytes, *, side: int) -> str:
    """Return an upright JPEG in base64 whose longest side has at most so many pixels.

    Raises:
        ImageError: the photo cannot be read.
    """
    image = preprocess.decode(data, shorter_side=side)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=75)
    return base64.b64encode(file.getvalue()).decode("ascii")


def previews(folder: Path, paths: Iterable[str]) -> contract.Previews:
    """Return the thumbnails of photos that a person reviews, and why there is none of those that cannot be read."""
    found: contract.Previews = {"thumbnails": {}, "unreadable": {}}
    for path in paths:
        try:
            found["thumbnails"][path] = thumbnail(read_photo(folder, path), side=_PREVIEW)
        except (ImageError, OSError) as error:
            found["unreadable"][path] = str(error)
    return found


def write_thumbnails(folder: Path, paths: Iterable[str], *, photos: Path) -> None:
    """Write `Artefact.THUMBNAILS`: the thumbnails of the photos at these paths, as many as `MAX_BYTES` hold.

    A photo that cannot be read is left out, and named in the log.

    Args:
        folder: the job's output folder.
        paths: the photos, the most important first; one may stand there several times.
        photos: the dataset channel.
    """
    found: dict[str, str] = {}
    size = 0
    for path, made in in_order(
        lambda path: thumbnail(read_photo(photos, path), side=SIDE), dict.fromkeys(paths), ahead=_AHEAD
    ):
        if isinstance(made, ImageError):
            print(f"no thumbnail of {path}: {made}", flush=True)
            continue
        size += len(made)
        if size > MAX_BYTES:
            break
        found[path] = made
    write_json(folder / contract.Artefact.THUMBNAILS, found)


def photos_to_show(
    evaluation: contract.Evaluation,
    *,
    mistakes: Iterable[str],
    check: contract.DatasetCheck | None,
    summary: contract.DatasetSummary,
) -> Iterator[str]:
    """Yield the paths of the photos that the report shows, the most important first; some of them several times.

    Args:
        evaluation: the test results.
        mistakes: what `disputed_paths` and `mistaken_paths` return.
        check: what is suspected of the photos; None where they were not examined.
        summary: of the data set.
    """
    for mistake in evaluation["hardest_mistakes"]:
        yield mistake["path"]

    # the strongest suspicions of each kind, each beside the photo that it is like
    shown: Counter[str] = Counter()
    for finding in check["findings"] if check else []:
        shown[finding["kind"]] += 1
        if finding["kind"] != "unreadable" and shown[finding["kind"]] <= contract.REPORTED_FINDINGS[finding["kind"]]:
            yield finding["path"]
            if finding["other"] is not None:
                yield finding["other"]

    # what the test says of photos one by one
    near_copies, unknown = evaluation["near_copies"], evaluation["unknown"]
    for pair in near_copies["examples"] if near_copies else []:
        yield from (pair["path"], pair["trained"])
    for photo in unknown["oddest"] if unknown else []:
        yield photo["path"]
    for paths in summary.get("in_two_classes", []):
        yield paths[0]
    yield from mistakes


def mistaken_paths(folder: Path) -> list[str]:
    """Return the wrongly classified test photos, at most `MISTAKES`: of each confusion the most confident ones first.

    The second photo of a confusion thus comes after the first ones of all others, so that each of them has a picture.

    Args:
        folder: the job's output folder, with `Artefact.PREDICTIONS`.
    """
    wrong = _wrong(folder / contract.Artefact.PREDICTIONS)
    wrong.sort(key=lambda row: -float(row["confidence"]))
    seen: Counter[tuple[str, str]] = Counter()
    ranked = []
    for row in wrong:
        confusion = row["label"], row["predicted"]
        seen[confusion] += 1
        ranked.append((seen[confusion], row["path"]))
    ranked.sort(key=lambda entry: entry[0])  # stable: by confidence among equals
    return [path for _, path in ranked[:MISTAKES]]


def disputed_paths(folder: Path) -> list[str]:
    """Return test photos that only one of this model and the one in service classifies correctly, at most `DISPUTED`.

    Args:
        folder: the job's output folder, with `Artefact.IN_SERVICE_PREDICTIONS` where there is a model in service.
    """
    before = folder / contract.Artefact.IN_SERVICE_PREDICTIONS
    if not before.is_file():
        return []
    wrong = ({row["path"] for row in _wrong(file)} for file in (folder / contract.Artefact.PREDICTIONS, before))
    return sorted(set.symmetric_difference(*wrong))[:DISPUTED]


def _wrong(predictions: Path) -> list[dict[str, str]]:
    with predictions.open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["label"] != row["predicted"]]
