"""Which web pages' scripts may call the API, and which of its headers they may read (CORS, Fetch standard)."""

from __future__ import annotations

from typing import Final

from aws_lambda_powertools.event_handler import CORSConfig

from .model_headers import MODEL_HEADERS

__all__ = ["cross_origin"]

_PREFLIGHT_SECONDS: Final = 7200
"""How long a browser keeps the answer to a preflight: the longest that Chromium does."""

EXPOSED: Final = ("Retry-After", "X-Request-Id", *MODEL_HEADERS)


def cross_origin(origins: str) -> CORSConfig | None:
    """Return what Powertools answers preflights and marks answers by; None where no other origin may call.

    Args:
        origins: the setting `api.cors_origins`, its entries separated by spaces.
    """
    first, *others = origins.split() or [""]
    if not first:
        return None
    return CORSConfig(
        allow_origin=first, extra_origins=others, expose_headers=list(EXPOSED), max_age=_PREFLIGHT_SECONDS
    )
