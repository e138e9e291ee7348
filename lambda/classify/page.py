"""The page for people: one HTML file that is put together from static/, and headers that let nothing else into it."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["Page", "page"]

_FOLDER = Path(__file__).parent / "static"

_SCRIPTS = ("kept.js", "photo.js", "api.js", "feedback.js", "answer.js", "model.js", "main.js")
"""They become one script in this order, and share its scope."""


@dataclass(frozen=True)
class Page:
    """The page and the headers that it is served with."""

    html: str
    headers: dict[str, str]


@cache
def page(*, feedback_days: int) -> Page:
    """Return the page.

    Args:
        feedback_days: days for which photos are kept that people say are answered wrongly; 0 where none are.

    It is a single file, since each file more would be another invocation of the function and would need the path of
    API Gateway's stage, which the page's address may lack the last slash of.
    """
    style = _text("style.css")
    script = "\n".join(_text(name) for name in _SCRIPTS)
    html = _text("index.html").replace("{feedback-days}", str(feedback_days))
    html = html.replace("/* style */", style).replace("/* script */", script)
    policy = {
        "default-src": "'none'",
        "script-src": _hash(script),
        "style-src": _hash(style),
        "img-src": "blob: data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        # The browser itself refuses to make HTML of text, so that a class may be named anything.
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return Page(
        html,
        {
            "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            # A page of an earlier deployment would not fit the API.
            "Cache-Control": "no-cache",
        },
    )


def _text(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    """Return the hash of an element's content for the Content-Security-Policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode('ascii')}'"
