"""Downloads of pretrained weights, which fail soon and with advice where there is no internet."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from training.runtime.environment import JobError

__all__ = ["download"]

_TIMEOUT_SECONDS: Final = 60.0
"""A job in a VPC without internet would otherwise wait for many minutes before it fails."""


@contextmanager
def download(name: str, *, file: str, source: str, key: str) -> Iterator[None]:
    """Say what is downloaded, and turn the errors of doing it into advice.

    Args:
        name: the backbone.
        file: the file that is downloaded.
        source: where from, in words.
        key: a key in the data bucket for the file.

    Raises:
        JobError: there is no connection, or the file that came is damaged.
    """
    print(f"weights: {file} from {source}", flush=True)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT_SECONDS)
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:  # no connection; a hash that differs; no such repository
        reason = " ".join(str(error).split())[:300]
        raise JobError(
            f"the weights of {name} could not be downloaded ({reason}); put the file {file} of {source} into the data "
            f"bucket, for instance as {key}, and set training.weights to that key"
        ) from error
    finally:
        socket.setdefaulttimeout(before)
