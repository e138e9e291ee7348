"""Answers that are no answers: RFC 9457's problem details."""

from __future__ import annotations

import json
from http import HTTPStatus

import contract

__all__ = ["problem_body"]


def problem_body(status: int, detail: str) -> bytes:
    """Return the problem as JSON."""
    problem: contract.ProblemDetails = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    return json.dumps(problem).encode()
