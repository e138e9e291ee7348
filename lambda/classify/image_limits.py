"""How large an image of a request may be, by its way to the endpoint."""

from __future__ import annotations

from typing import Final

from contract import MAX_IMAGE_BYTES, MAX_JSON_IMAGE_BYTES, MAX_SERVERLESS_IMAGE_BYTES, ServingMode

from .problems import Problem

__all__ = ["check_size", "check_size_as_json", "too_large"]

_LARGEST: Final[dict[ServingMode, int]] = {
    "realtime": MAX_IMAGE_BYTES,
    "serverless": MAX_SERVERLESS_IMAGE_BYTES,
}


def check_size(size: int, *, mode: ServingMode) -> None:
    """Check an image that comes as bytes.

    Raises:
        Problem: it is too large.
    """
    if size > _LARGEST[mode]:
        raise too_large(size, _LARGEST[mode])


def check_size_as_json(size: int, *, mode: ServingMode) -> None:
    """Check the images of one JSON body, together.

    Raises:
        Problem: they are too large.
    """
    limit = min(_LARGEST[mode], MAX_JSON_IMAGE_BYTES)
    if size > limit:
        raise too_large(size, limit, f"as JSON ({_LARGEST[mode] / 1e6:.1f} MB if its bytes are sent)")


def too_large(size: int, limit: int, how: str = "") -> Problem:
    """Return the refusal of an image of `size` bytes, of which `limit` are accepted."""
    accepted = f"{limit / 1e6:.1f} MB are accepted {how}".rstrip()
    return Problem(
        413,
        "Image too large",
        f"The image has {size / 1e6:.1f} MB, but at most {accepted}; make it smaller: the model looks at a few hundred "
        "pixels a side, so that 1024 pixels lose nothing.",
    )
