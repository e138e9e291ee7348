"""The local cloud's state folder: where its files are, on which port it serves, and what only its user may read.

Standard library only: the command line uses it before anything else is there.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

__all__ = [
    "LOCK",
    "LOOPBACK",
    "SERVER_FOLDERS",
    "CloudError",
    "chosen_port",
    "is_free",
    "locked",
    "remove_server_folders",
    "usable",
    "usual_port",
    "write_privately",
]

LOOPBACK: Final = "127.0.0.1"

LOCK: Final = "cloud.lock"
SERVER_FOLDERS: Final = ("objects", "records", "sagemaker", "tmp")
"""Folders that a server writes. They are removed at each start and stop, since ministack's records are in memory."""

_LAST_PORT: Final = "cloud.port"
_PORT: Final = "WHIPPET_PORT"
"""Variable that says which port of 127.0.0.1 the cloud serves on."""

_DEFAULT_PORT: Final = 4577
"""Of the first start of a state folder; later ones take the port they had, so that addresses stay."""


class CloudError(RuntimeError):
    """The local cloud could not be started or stopped; the message says why and what to do."""


def usable(state: Path) -> Path:
    """Return the state folder, made if need be.

    Raises:
        CloudError: it is no folder, or nothing can be written in it.
    """
    state = state.resolve()
    try:
        state.mkdir(parents=True, exist_ok=True)
        with (state / LOCK).open("w") as file:
            file.write("\n")
    except (FileExistsError, NotADirectoryError):
        raise CloudError(
            f"{state} is not a folder, but the local cloud keeps its state there; move it away, or name another place "
            "with WHIPPET_STATE"
        ) from None
    except OSError as error:
        raise CloudError(
            f"the local cloud cannot write to its state folder {state}: {error.strerror}; make room or give yourself "
            "the permission, or name another place with WHIPPET_STATE"
        ) from None
    return state


def chosen_port() -> int | None:
    """Return WHIPPET_PORT.

    Raises:
        CloudError: it is no port.
    """
    text = os.environ.get(_PORT)
    if not text:
        return None
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise CloudError(f"{_PORT}={text} is no port; give a number from 1 to 65535, such as {_DEFAULT_PORT}")
    return int(text)


def usual_port(state: Path) -> int:
    """Return the port of the last start, or the default one; a free one if somebody else has it."""
    try:
        usual = int((state / _LAST_PORT).read_text())
    except (OSError, ValueError):
        usual = _DEFAULT_PORT
    if not is_free(usual):
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            usual = probe.getsockname()[1]
    (state / _LAST_PORT).write_text(f"{usual}\n")
    return usual


def is_free(port: int) -> bool:
    """Tell whether a server could listen on the port now; connections of an earlier one that linger do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


@contextlib.contextmanager
def locked(file: Path, *, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock of a file, which one process at a time can hold; it ends with its process, too.

    Args:
        file: the file, which is made if need be.
        on_wait: called once if another process holds the lock.
    """
    with file.open("a") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(opened, fcntl.LOCK_EX)
        yield


def remove_server_folders(state: Path) -> None:
    """Remove what a server wrote, except for its log."""
    for name in SERVER_FOLDERS:
        shutil.rmtree(state / name, ignore_errors=True)


def write_privately(file: Path, record: Mapping[str, Any]) -> None:
    """Write a JSON file that only this user may read, from its first byte on."""
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(json.dumps(record) + "\n")
