"""The error of a training's output that cannot be judged."""

from __future__ import annotations

__all__ = ["UnreadableOutput"]


class UnreadableOutput(Exception):
    """The output of the training job is missing, damaged or without an evaluation."""
