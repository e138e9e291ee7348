"""Refusals as RFC 9457 problem details."""

from __future__ import annotations

from contract import ProblemDetails

__all__ = ["Problem"]


class Problem(Exception):
    """An answer that is no prediction: status, title, and a detail that says what to do."""

    def __init__(self, status: int, title: str, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.status, self.title, self.detail = status, title, detail
        self.retry_after = retry_after
        """Seconds after which trying again makes sense; None: only a changed request does."""

    def details(self) -> ProblemDetails:
        """The body of the answer."""
        return {"type": "about:blank", "title": self.title, "status": self.status, "detail": self.detail}
