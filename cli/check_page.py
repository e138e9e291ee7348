"""The page of a check: the photos to look at, in one HTML file that needs no network and runs no script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import contract

__all__ = ["page"]

_FOLDER: Final = Path(__file__).parent / "templates"
_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(_FOLDER),
    autoescape=True,  # names of classes and files may hold anything
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(check: contract.DatasetCheck, *, thumbnails: Mapping[str, str], folder: Path) -> str:
    """Return the page.

    Args:
        check: what was found.
        thumbnails: JPEGs in base64 by the photo's path.
        folder: the data set's, for the title.
    """
    style = (_FOLDER / "check.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
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
    text = _TEMPLATES.get_template("check.html.jinja").render(
        folder=folder.resolve().name,
        check=check,
        suspected=len({finding["path"] for finding in findings}),
        sections=sections,
        thumbnails=thumbnails,
        style=Markup(style),  # noqa: S704 (our own file)
        style_hash=f"'sha256-{digest}'",
    )
    # a file's name may hold bytes that are no UTF-8
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
