"""From sections to one HTML file that needs nothing but itself: no network, no second file."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aws_lambda_powertools import Logger
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from .run_context import RunContext
from .run_files import Missing
from .wording import FILTERS

__all__ = ["Section", "render"]

logger = Logger(child=True)

_FOLDER = Path(__file__).parent / "templates"
_DRAWING = _FOLDER / "charts.js"
_TEMPLATES = Environment(
    loader=FileSystemLoader(_FOLDER),
    autoescape=True,  # names of classes and files are whatever somebody typed
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters.update(FILTERS)


@dataclass(frozen=True)
class Section:
    """A heading with what follows it; `<name>.html.jinja` renders what `build` returns."""

    name: str
    title: str
    build: Callable[[RunContext], dict[str, Any]]
    """Raises Missing where there is nothing to show. Its `charts` go to the page's script, by their names."""


def render(run: RunContext, sections: Sequence[Section], *, title: str, charting_library: str) -> str:
    """The page. A section that cannot be made is a line that says why: it never takes the others with it.

    Args:
        run: whose report it is.
        sections: in order.
        title: of the page.
        charting_library: the text of echarts.min.js.
    """
    bodies: list[dict[str, Any]] = []
    charts: dict[str, Any] = {}
    for section in sections:
        body, drawn = _body(run, section)
        bodies.append({"name": section.name, "title": section.title, "body": body})
        charts |= drawn
    drawing = _DRAWING.read_text(encoding="utf-8")
    return _TEMPLATES.get_template("page.html.jinja").render(
        run=run,
        title=title,
        sections=bodies,
        charts=_finite(charts),
        library=Markup(charting_library),  # noqa: S704 (our own file)
        drawing=Markup(drawing),  # noqa: S704 (our own file)
        script_hashes=[_hash(charting_library), _hash(drawing)],
    )


def _body(run: RunContext, section: Section) -> tuple[Markup, dict[str, Any]]:
    template = _TEMPLATES.get_template(f"{section.name}.html.jinja")
    try:
        content = section.build(run)
        return Markup(template.render(run=run, **content)), content.get("charts", {})  # noqa: S704 (escaped)
    except Missing as missing:
        return _note(str(missing)), {}
    except Exception as error:
        # Files of another version or half-written ones break in any way; the rest of the page is worth having.
        logger.exception("a section could not be made", extra={"section": section.name})
        return _note(f"This section could not be made ({type(error).__name__}: {error})."), {}


def _note(text: str) -> Markup:
    return Markup('<p class="missing">{}</p>').format(text)


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity, which losses may be: null, a gap in the curve."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return value


def _hash(script: str) -> str:
    """For the page's Content-Security-Policy: these scripts run and no others, whatever a name smuggles in."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')}'"
