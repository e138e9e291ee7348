"""JSON and headers that cost more than they ask."""

from __future__ import annotations

import base64
import json
import random
from typing import Final

from benchmarks.hostile.others import honest

__all__ = ["KINDS"]


def deep(rng: random.Random) -> bytes:
    """Lists in lists, or objects in objects."""
    begin, end = rng.choice([(b"[", b"]"), (b'{"a":', b"}")])
    depth = rng.choice([100, 900, 100_000, 2_000_000])
    return begin * depth + rng.choice([b"1" + end * depth, b""])


def wide(rng: random.Random) -> bytes:
    """Millions of small values, or of names."""
    one = rng.choice([b"{},", b"0,", b'"",', b"null,", b"[],"])
    return b'{"inputs": [' + one * (rng.choice([100, 6_000_000]) // len(one)) + b"0]}"


def names(rng: random.Random) -> bytes:
    """Names that nobody knows, of megabytes, or very many of them."""
    if rng.random() < 0.5:
        return b'{"inputs": "aGVsbG8=", "' + b"x" * rng.choice([10, 2_000_000]) + b'": 1}'
    return json.dumps({f"n{n}": n for n in range(rng.choice([10, 300, 100_000]))}).encode()


def texts(rng: random.Random) -> bytes:
    """Base64 that is none, or none of an image, or mostly white space."""
    image = base64.b64encode(honest("JPEG")).decode()
    text = rng.choice(
        [
            image[: rng.randrange(len(image))],
            "\\u0000" * rng.choice([1, 1_000_000]),
            "\\ud83d\\ude00" * rng.choice([1, 300_000]),
            "\\n".join(image),
            " " * 3_000_000,
            "A" * 8_000_000,
            "data:image/png;base64," + "=" * 1_000,
            "é" * 1_000_000,
        ]
    )
    return b'{"inputs": "' + text.encode() + b'"}'


def numbers(rng: random.Random) -> bytes:
    """Parameters of any kind and size."""
    value = rng.choice(["1" * 4_000, "9" * 100_000, "1e999", "-1", "NaN", "null", "true", '"5"', "[1]", "0.1"])
    name = rng.choice(["top_k", "coverage", "explain"])
    return f'{{"inputs": "aGVsbG8=", "parameters": {{"{name}": {value}}}}}'.encode()


KINDS: Final = (deep, wide, names, texts, numbers)
