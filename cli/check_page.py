"""The page of a check: the photos to look at, in one HTML file that needs no network and runs no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import contract
from cli.review_page import render

__all__ = ["page"]

_LEFT_OUT: Final = 1_000
"""Files that were left out which the page names."""


def page(
    check: contract.DatasetCheck,
    *,
    thumbnails: Mapping[str, str],
    folder: Path,
    remarks: Sequence[str],
    left_out: Sequence[tuple[str, str]],
) -> str:
    """Return the page.

    Args:
        check: what was found.
        thumbnails: JPEGs in base64 by the photo's path.
        folder: the data set's, for the title.
        remarks: on its folders.
        left_out: path and reason of every file that is no photo of the data set.
    """
    # a section for each kind of finding that there is
    findings = check["findings"]
    sections = [
        {
            "kind": kind,
            "title": contract.FINDING_TITLES[kind],
            "meaning": meaning,
            "count": len(of_kind),
            "shown": of_kind[: contract.SHOWN_FINDINGS],
        }
        for kind, meaning in contract.FINDING_KINDS.items()
        if (of_kind := [finding for finding in findings if finding["kind"] == kind])
    ]

    return render(
        "check.html.jinja",
        folder=folder.resolve().name,
        check=check,
        suspected=len({finding["path"] for finding in findings}),
        sections=sections,
        remarks=[*remarks, *check["remarks"]],
        left_out=left_out[:_LEFT_OUT],
        left_out_count=len(left_out),
        thumbnails=thumbnails,
    )
