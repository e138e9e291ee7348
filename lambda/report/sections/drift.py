"""Whether what was asked of the model that served when the run began, or serves now, was like its test photos."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup
from shared.drift_page import drift_pictures, drift_table

from ..run_context import RunContext

__all__ = ["drift"]


def drift(run: RunContext) -> dict[str, Any]:
    """Return the newest check of captured answers, with its pictures."""
    check = run.files.drift
    return {
        "check": check,
        # both escape what they show
        "table": Markup(drift_table(check)),  # noqa: S704
        "pictures": Markup(drift_pictures(check)),  # noqa: S704
        "charts": {},
    }
