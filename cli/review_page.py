"""Pages of photos to look at: one HTML file each that needs no network and runs no script."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

__all__ = ["render"]

_FOLDER: Final = Path(__file__).parent / "templates"
_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(_FOLDER),
    autoescape=True,  # names of classes and files may hold anything
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, **values: object) -> str:
    """Return the page of a template in cli/templates/ that extends `review.html.jinja`."""
    style = (_FOLDER / "review.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    text = _TEMPLATES.get_template(template).render(
        **values,
        style=Markup(style),  # noqa: S704 (our own file)
        style_hash=f"'sha256-{digest}'",
    )
    # a file's name may hold bytes that are no UTF-8
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
