"""A package of the project's environment as files, for bundles of code that bring it along."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

__all__ = ["package_files"]

_LICENCES = ("LICENSE", "LICENSE-THIRD-PARTY", "LICENSE.txt", "NOTICE")


def package_files(name: str) -> dict[str, Path]:
    """The files of a pure Python package by their place in a bundle, its licences in its own folder; in order.

    Raises:
        RuntimeError: the package is not installed.
    """
    try:
        files = distribution(name).files or []
    except PackageNotFoundError:
        raise RuntimeError(f"{name} is not installed, but the jobs' code carries it; run `make setup`") from None
    found: dict[str, Path] = {}
    for file in files:
        place = file.as_posix()
        if file.name in _LICENCES and ".dist-info/" in place:
            place = f"{name}/{file.name}"
        elif not place.startswith(f"{name}/") or file.suffix in (".pyc", ".so"):
            continue
        found[place] = Path(str(file.locate()))
    return dict(sorted(found.items()))
