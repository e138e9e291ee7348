"""How the other modules of this package take hold of ministack.

ministack has no plug-in interface, so its functions are replaced one by one. Every such touch goes through `expect`,
which verifies at start that the name is still there and takes the arguments it took in the tested version: a mismatch
stops the start and names it, instead of surfacing as a strange answer in the middle of a run.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
from typing import Any, Final

__all__ = ["VERSION", "SeamError", "check_version", "expect", "module"]

VERSION: Final = "1.5.33"
"""The only ministack this package was written for and tested with."""


class SeamError(RuntimeError):
    """ministack is not what this package expects; the message names the difference."""


def check_version() -> None:
    """Raises SeamError for any other ministack than `VERSION`, or none."""
    try:
        installed = importlib.metadata.version("ministack")
    except importlib.metadata.PackageNotFoundError:
        raise SeamError(
            "ministack is not installed in this Python; start the local cloud with .envs/cloud/bin/python "
            "(`make setup` makes that environment)"
        ) from None
    if installed != VERSION:
        raise SeamError(
            f"ministack {installed} is installed, but local/cloud was written for {VERSION} and replaces its "
            "internals; run `make setup` to install the locked version"
        )


def module(name: str) -> Any:
    """A module of ministack, such as `services.s3`.

    Imported by name because ministack is untyped and installed only where the local cloud runs.
    """
    try:
        return importlib.import_module(f"ministack.{name}")
    except ImportError as error:
        raise SeamError(f"ministack.{name} cannot be imported ({error}); local/cloud expects {VERSION}") from error


def expect(owner: Any, name: str, *parameters: str) -> Any:
    """The attribute `name` of a ministack module or class, verified.

    With `parameters` it must be callable and begin with exactly those parameter names.

    Raises:
        SeamError: naming the attribute and how it differs.
    """
    where = f"{getattr(owner, '__name__', type(owner).__name__)}.{name}"
    if not hasattr(owner, name):
        raise SeamError(f"{where} does not exist; local/cloud expects ministack {VERSION}")
    found = getattr(owner, name)
    if parameters:
        if not callable(found):
            raise SeamError(f"{where} is not callable; local/cloud expects ministack {VERSION}")
        actual = tuple(inspect.signature(found).parameters)[: len(parameters)]
        if actual != parameters:
            raise SeamError(
                f"{where} takes ({', '.join(actual)}), expected ({', '.join(parameters)}); "
                f"local/cloud expects ministack {VERSION}"
            )
    return found
