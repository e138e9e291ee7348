"""Refuse renames and links between folders that are mounts of their own in SageMaker's containers.

Python imports this module at its start, where the local SageMaker puts its folder on PYTHONPATH. `WHIPPET_MOUNTS` holds
the folders.
"""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import Callable
from typing import Any

_MOUNTS = sorted(filter(None, os.environ.get("WHIPPET_MOUNTS", "").split(os.pathsep)), key=len, reverse=True)


def _mount_of(path: Any) -> str:
    absolute = os.path.abspath(os.fsdecode(path)) + os.sep  # noqa: PTH100 - as it is named, links and all
    return next((mount for mount in _MOUNTS if absolute.startswith(mount + os.sep)), "")


def _within_a_mount(function: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(function)
    def checked(source: Any, target: Any, **options: Any) -> None:
        if not options and _mount_of(source) != _mount_of(target):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), source, None, target)
        function(source, target, **options)

    return checked


for _name in ("rename", "replace", "link"):
    setattr(os, _name, _within_a_mount(getattr(os, _name)))
