"""What the server and its workers say to each other over a socket: a request, and its reply."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

__all__ = ["READY", "REPLY_HEADER", "REQUEST_HEADER", "Job", "Reply", "packed_job", "packed_reply"]

READY: Final = b"\x01"
"""The first byte that a worker sends, once its model has run."""

REQUEST_HEADER: Final = struct.Struct("!III")
"""Lengths of the content type, the attributes and the body, which follow."""

REPLY_HEADER: Final = struct.Struct("!Hdd?I")
"""Status, seconds of decoding, seconds of the model, whether the photo is unknown, and the length of the body, which
follows."""


@dataclass(frozen=True)
class Job:
    """A request to `/invocations`, as it came."""

    body: bytes
    content_type: str
    attributes: str


@dataclass(frozen=True)
class Reply:
    """An answer or a problem, as JSON, and what it took."""

    status: int
    body: bytes
    decode_seconds: float = 0.0
    model_seconds: float = 0.0
    unknown: bool = False
    """Whether the answer takes the photo for unlike those of training."""


def packed_job(job: Job) -> tuple[bytes, bytes]:
    """Return what a request is sent as: its header with the texts, and its body, which is not copied."""
    kind, attributes = job.content_type.encode(), job.attributes.encode()
    return REQUEST_HEADER.pack(len(kind), len(attributes), len(job.body)) + kind + attributes, job.body


def packed_reply(reply: Reply) -> bytes:
    """Return what a reply is sent as."""
    header = REPLY_HEADER.pack(reply.status, reply.decode_seconds, reply.model_seconds, reply.unknown, len(reply.body))
    return header + reply.body
