"""The code of the jobs as SageMaker takes it, a tar.gz or a zip: the same files give the same bytes."""

from __future__ import annotations

import gzip
import io
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

__all__ = ["SourceBundle", "package_files", "write_bundle", "write_program"]

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("contract", "training")
"""The folders below the project's root that the jobs run."""

_SKIPPED_FOLDERS = {"__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"}

DEBUGGER = "smdebug"
"""Package of the debugger's hook, which the training images no longer hold. Its dependencies are in the image, or are
replaced in training/debugger/smdebug_shim.py."""

_LICENCES = ("LICENSE", "LICENSE-THIRD-PARTY", "LICENSE.txt", "NOTICE")

_PROGRAM = b"""import sys

from training.evaluate_rules import main

if __name__ == "__main__":
    sys.exit(main())
"""


def write_bundle(target: Path, *, source: Path = ROOT, requirements: bool) -> None:
    """Write the `PACKAGES` below `source` into a gzipped tar without times, owners and caches.

    With `requirements`, the bundle also holds the debugger's package and, at its root, `training/requirements.txt`,
    which makes SageMaker's training toolkit run pip.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in _code(source):
            _add(tar, name, content)
        if requirements:
            _add(tar, "requirements.txt", (source / "training" / "requirements.txt").read_bytes())
            for name, path in package_files(DEBUGGER).items():
                _add(tar, name, path.read_bytes())

    # Neither the name nor the time of the inner file goes into gzip's header.
    with target.open("wb") as file, gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
        packed.write(buffer.getvalue())


def write_program(target: Path, *, source: Path = ROOT) -> None:
    """Write the program of the rules job, a zip that `python3` runs, with the debugger's package in it."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        _add_zipped(archive, "__main__.py", _PROGRAM)
        for name, content in _code(source):
            _add_zipped(archive, name, content)
        for name, path in package_files(DEBUGGER).items():
            _add_zipped(archive, name, path.read_bytes())


def package_files(name: str) -> dict[str, Path]:
    """Return the files of an installed pure Python package by their place in a bundle, in order.

    The package's licences are put into its own folder.

    Raises:
        RuntimeError: the package is not installed.
    """
    try:
        files = distribution(name).files or []
    except PackageNotFoundError:
        raise RuntimeError(f"{name} is not installed, but the code of the jobs carries it; run `make setup`") from None

    found: dict[str, Path] = {}
    for file in files:
        place = file.as_posix()
        if file.name in _LICENCES and ".dist-info/" in place:
            place = f"{name}/{file.name}"
        elif not place.startswith(f"{name}/") or file.suffix in (".pyc", ".so"):
            continue
        found[place] = Path(str(file.locate()))
    return dict(sorted(found.items()))


def _code(source: Path) -> Iterator[tuple[str, bytes]]:
    files = {
        path.relative_to(source).as_posix(): path
        for package in PACKAGES
        for path in (source / package).rglob("*")
        if path.is_file() and not _SKIPPED_FOLDERS & set(path.parts) and path.suffix != ".pyc"
    }
    for name, path in sorted(files.items()):
        yield name, path.read_bytes()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    info.mode = 0o644
    tar.addfile(info, io.BytesIO(content))


def _add_zipped(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(name)  # its time is 1980, where zip's clock begins
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    archive.writestr(info, content)


class SourceBundle(Construct):
    """The variants of the bundle as assets in the bootstrap bucket.

    `with_requirements` is for jobs that install what the AWS image lacks: the features job, the training, and trials
    of a fine-tuning. `bare` is for trials on features, which need no further package and so never wait for pip.
    `rules` is the program of the rules job.
    """

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        self.with_requirements = self._asset(
            "Source", "source.tar.gz", lambda path: write_bundle(path, requirements=True)
        )
        self.bare = self._asset("TrialSource", "source.tar.gz", lambda path: write_bundle(path, requirements=False))
        self.rules = self._asset("RulesProgram", "rules.zip", write_program)

    @property
    def all(self) -> list[s3_assets.Asset]:
        """Every variant, for the permission to read them."""
        return [self.with_requirements, self.bare, self.rules]

    def _asset(self, construct_id: str, name: str, write: Callable[[Path], None]) -> s3_assets.Asset:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            write(path)
            return s3_assets.Asset(self, construct_id, path=str(path))
