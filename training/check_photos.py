"""Entry point of `whippet check`: examine a folder's photos, and write what is suspected of them.

It runs on the user's machine, in the environment of the local cloud's jobs: `python -m training.check_photos REQUEST`.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

import contract
from training.doctor.examine import Photos, examine, finding_of
from training.doctor.kept import KeptPhotos
from training.doctor.reading import IMAGE_SIZE, Backbone, read_photos
from training.evaluation.thumbnails import previews
from training.preprocess import ImageError
from training.runtime.environment import run_job


def main() -> None:
    """Read the request that the command line names, and write `check.json` and `thumbnails.json` into its output."""
    request: contract.CheckRequest = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder, output = Path(request["folder"]), Path(request["output"])
    records = request["photos"]

    # read what is not known yet
    _say("loading the network", 0, 0)
    backbone = Backbone.load()
    with KeptPhotos.open(
        Path(request["kept"], f"{backbone.key}.photos"), dim=sum(backbone.levels), precision=backbone.embedder.precision
    ) as kept:
        contents = read_photos(
            folder,
            [record["path"] for record in records],
            kept=kept,
            embedder=backbone.embedder,
            on_progress=lambda done: _say("reading photos", done, len(records)),
        )
        _say("comparing photos", 0, 0)
        check = _examined(request, contents, kept=kept, levels=backbone.levels)

    # what people look at
    thumbnails = previews(folder, _shown(check["findings"]))["thumbnails"]
    for name, content in ((contract.Artefact.CHECK, check), (contract.Artefact.THUMBNAILS, thumbnails)):
        # in ASCII: a file's name may hold bytes that are no UTF-8
        (output / name).write_text(json.dumps(content, indent=1), encoding="ascii")


def _examined(
    request: contract.CheckRequest, contents: list[bytes | ImageError], *, kept: KeptPhotos, levels: list[int]
) -> contract.DatasetCheck:
    # apart: the photos that cannot be read
    records = list(zip(request["photos"], contents, strict=True))
    damaged = [
        finding_of("unreadable", record["path"], label=record["label"], split=record["split"], reason=f"{content}")
        for record, content in records
        if isinstance(content, ImageError)
    ]
    whole = [(record, content) for record, content in records if isinstance(content, bytes)]
    known = [content for _, content in whole]

    # all others beside one another
    check = examine(
        Photos(
            paths=[record["path"] for record, _ in whole],
            labels=np.array([record["label"] for record, _ in whole], dtype=np.int64),
            splits=[record["split"] for record, _ in whole],
            contents=[content.hex() for content in known],
            pixels=kept.pixels(known),
        ),
        read=lambda positions: kept.features([known[at] for at in positions]),
        levels=levels,
        classes=request["classes"],
        image_size=IMAGE_SIZE,
    )
    return {**check, "photos": len(records), "findings": damaged + check["findings"]}


def _shown(findings: Iterable[contract.PhotoFinding]) -> list[str]:
    """Return the paths of the photos that the page shows: of each kind, the first ones and the photos beside them."""
    counts: Counter[str] = Counter()
    paths: dict[str, None] = {}
    for finding in findings:
        counts[finding["kind"]] += 1
        if counts[finding["kind"]] <= contract.SHOWN_FINDINGS:
            paths |= {path: None for path in (finding["path"], finding["other"]) if path is not None}
    return list(paths)


def _say(stage: str, done: int, total: int) -> None:
    """Print the progress for `whippet check`: one JSON object a line."""
    print(json.dumps({"stage": stage, "done": done, "total": total}), flush=True)


if __name__ == "__main__":
    run_job(main)
