"""The page: one HTML file made from sections, which needs no network and no second file."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aws_lambda_powertools import Logger
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from .run_context import RunContext
from .run_files import Missing, if_present
from .wording import FILTERS

__all__ = ["Section", "render"]

logger = Logger(child=True)

_FOLDER = Path(__file__).parent / "templates"
_DRAWING = _FOLDER / "charts.js"
_TEMPLATES = Environment(
    loader=FileSystemLoader(_FOLDER),
    autoescape=True,  # names of classes and files may hold anything
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters.update(FILTERS)


@dataclass(frozen=True)
class Section:
    """A section of the page: its heading, and the content that the template `<name>.html.jinja` shows."""

    name: str
    title: str
    build: Callable[[RunContext], dict[str, Any]]
    """Returns the template's variables, and under `charts` the data of each chart by its name; raises Missing where
    there is nothing to show."""
    folded: bool = False
    """Whether the section is closed until a person opens it."""
    only_if: Callable[[RunContext], bool] = lambda _run: True
    """Whether the page has the section."""


def render(run: RunContext, sections: Sequence[Section], *, title: str, charting_library: str) -> str:
    """Return the page. A section that cannot be made is replaced by a line that says why.

    Args:
        run: The run that the page is about.
        sections: The sections in their order.
        title: The title of the page.
        charting_library: The content of echarts.min.js.
    """
    bodies: list[dict[str, Any]] = []
    charts: dict[str, Any] = {}
    for section in sections:
        if not section.only_if(run):
            continue
        content = _content(run, section)
        bodies.append({"name": section.name, "title": section.title, "folded": section.folded, **content})
        charts |= content["charts"]

    drawing = _DRAWING.read_text(encoding="utf-8")
    return _TEMPLATES.get_template("page.html.jinja").render(
        run=run,
        title=title,
        dataset=if_present(lambda: run.files.dataset),
        started=_started(run),
        sections=bodies,
        charts=_finite(charts),
        library=Markup(charting_library),  # noqa: S704 (our own file)
        drawing=Markup(drawing),  # noqa: S704 (our own file)
        script_hashes=[_hash(charting_library), _hash(drawing)],
    )


def _content(run: RunContext, section: Section) -> dict[str, Any]:
    """Return the section's HTML, `body`, and its `charts`; `empty` says that the body only tells why there is none."""
    template = _TEMPLATES.get_template(f"{section.name}.html.jinja")
    try:
        content = section.build(run)
        body = Markup(template.render(run=run, **content))  # noqa: S704 (escaped)
        return {"body": body, "charts": content.get("charts", {}), "empty": False}
    except Missing as missing:
        return {"body": _note(str(missing)), "charts": {}, "empty": True}
    except Exception as error:
        # A file of another version, or half written, may break a section in any way; the others are still useful.
        logger.exception("a section could not be made", extra={"section": section.name})
        note = _note(f"This section could not be made ({type(error).__name__}: {error}).")
        return {"body": note, "charts": {}, "empty": True}


def _started(run: RunContext) -> datetime | None:
    try:
        return datetime.fromisoformat(run.data["started"]).astimezone(UTC)
    except (KeyError, TypeError, ValueError):
        return None


def _note(text: str) -> Markup:
    return Markup('<p class="missing">{}</p>').format(text)


def _finite(value: Any) -> Any:
    """Replace NaN and infinity, which losses may be, by null: JSON has neither, and a curve has a gap there."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return value


def _hash(script: str) -> str:
    """Return a script's hash for the Content-Security-Policy, which lets only the page's own scripts run."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')}'"
