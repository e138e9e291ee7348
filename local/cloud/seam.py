"""The seam between this package and ministack: import its modules, and check what is replaced in them.

ministack has no plug-in interface, so the other modules replace its functions one by one. For each, `expect` checks at
start that the name exists and takes the same arguments as in the tested version. A difference stops the start and is
named, instead of causing a wrong answer in the middle of a run.
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
    """The installed ministack is not the one that this package expects; the message names the difference."""


def check_version() -> None:
    """Check that ministack is installed in the tested version.

    Raises:
        SeamError: it is not.
    """
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
    """Return a module of ministack, such as `services.s3`.

    It is imported by name because ministack has no types and is installed only in the local cloud's environment.

    Raises:
        SeamError: there is no such module.
    """
    try:
        return importlib.import_module(f"ministack.{name}")
    except ImportError as error:
        raise SeamError(f"ministack.{name} cannot be imported ({error}); local/cloud expects {VERSION}") from error


def expect(owner: Any, name: str, *parameters: str) -> Any:
    """Return the attribute `name` of a module or class of ministack, after checking it.

    Args:
        owner: the module or class.
        name: the attribute.
        parameters: names of the first parameters that the attribute, a function, must have.

    Raises:
        SeamError: the attribute does not exist or takes other parameters; the message says which.
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
