"""Photos that the model does not know: what it answers when it may stay silent, and what its sets of labels promise."""

from __future__ import annotations

from typing import Any

from ..run_context import RunContext
from ..run_files import Missing

__all__ = ["unknown"]


def unknown(run: RunContext) -> dict[str, Any]:
    """Return the curve of accuracy against the share answered, the coverage of label sets, and the oddest photos."""
    evaluation = run.files.evaluation
    found, coverage = evaluation["unknown"], evaluation["coverage"]
    if found is None and not coverage:
        raise Missing("The training did not measure what the model knows.")
    return {
        "unknown": found,
        "coverage": coverage,
        "images": evaluation["test_images"],
        "oddest": [{**photo, "picture": run.files.picture(photo["path"])} for photo in found["oddest"]]
        if found
        else [],
        "charts": {"answered": {"curve": found["curve"], "accuracy": evaluation["test_accuracy"]}}
        if found and found["curve"]
        else {},
    }
