"""Hostile requests by number: the same number is the same request on every machine."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from benchmarks.hostile import bodies, jpegs, others, pngs, tiffs

__all__ = ["HostileRequest", "hostile_request"]

_DEAR: Final = frozenset({jpegs.large, pngs.bomb, pngs.interlaced, tiffs.strip, tiffs.strips, others.webp, others.avif})
"""Kinds with pictures as large as is allowed, of which one in ten is asked for."""

_FILES: Final = (*jpegs.KINDS, *pngs.KINDS, *tiffs.KINDS, *others.KINDS)
_TYPES: Final = (
    "image/jpeg",
    "image/png",
    "application/octet-stream",
    "application/x-image",
    "",
    "image/x-" + "y" * 500,
)
_ATTRIBUTES: Final = (
    "",
    "",
    "",
    "top_k=3",
    "explain=1",
    "coverage=0.9",
    "coverage=9",
    "top_k=" + "9" * 2_000,
    ";=" * 500,
)


@dataclass(frozen=True)
class HostileRequest:
    """One request, and the name of its kind."""

    kind: str
    body: bytes
    content_type: str
    attributes: str


def hostile_request(number: int) -> HostileRequest:
    """Return the request of a number."""
    rng = random.Random(number)
    is_json = rng.random() < 0.15
    kinds: tuple[Callable[[random.Random], bytes], ...] = bodies.KINDS if is_json else _FILES
    kind = rng.choice(kinds)
    if kind in _DEAR and rng.random() < 0.9:
        kind = others.flipped
    content_type = "application/json" if is_json else rng.choice(_TYPES)
    name = f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"
    return HostileRequest(name, kind(rng), content_type, rng.choice(_ATTRIBUTES))
