"""An SNS topic in memory."""

from __future__ import annotations

__all__ = ["FakeTopic"]


class FakeTopic:
    """Keeps what is published to it, or refuses it with an error."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.published: list[dict[str, str]] = []

    def publish(self, **message: str) -> None:
        if self.error:
            raise self.error
        self.published.append(message)
