"""Error responses as problem details (RFC 9457)."""

from __future__ import annotations

from contract import ProblemDetails

__all__ = ["Problem"]


class Problem(Exception):
    """A request that gets no prediction: the status, a title, and a detail that says what to do."""

    def __init__(self, status: int, title: str, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.status, self.title, self.detail = status, title, detail
        self.retry_after = retry_after
        """Seconds after which the same request may succeed; None where only another request can."""

    def details(self) -> ProblemDetails:
        """Return the body of the response, without the request's id."""
        details: ProblemDetails = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.retry_after is not None:
            details["retry_after"] = self.retry_after
        return details
