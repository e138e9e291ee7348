"""Pictures for a judge that makes requests of an OpenAPI document, which can only say that a body is bytes."""

from __future__ import annotations

import io

import schemathesis.openapi
from hypothesis import strategies as st
from PIL import Image

__all__ = ["picture"]


def picture(form: str) -> bytes:
    """Return a small picture as a file of this format."""
    file = io.BytesIO()
    Image.linear_gradient("L").resize((64, 48)).convert("RGB").save(file, form)
    return file.getvalue()


# most bytes are no picture
schemathesis.openapi.media_type(
    "image/*", st.sampled_from([picture("PNG"), picture("JPEG")]) | st.binary(), aliases=["application/octet-stream"]
)
