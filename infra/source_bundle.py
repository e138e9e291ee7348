"""The jobs' code as SageMaker wants it: a tar.gz or a zip, the same bytes for the same files."""

from __future__ import annotations

import gzip
import io
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from infra.vendored import package_files

__all__ = ["SourceBundle", "write_bundle", "write_program"]

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("contract", "training")
"""What the jobs run, by folder from the project's root."""

_SKIPPED_FOLDERS = {"__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"}

DEBUGGER = "smdebug"
"""The debugger hook's library, in no training image any more; its other dependencies are there or not needed
(training/debugger/smdebug_shim.py)."""

_PROGRAM = b"""import sys

from training.evaluate_rules import main

if __name__ == "__main__":
    sys.exit(main())
"""


def write_bundle(target: Path, *, source: Path = ROOT, requirements: bool) -> None:
    """Write the `PACKAGES` below `source` into a gzipped tar, without times, owners or caches.

    With `requirements`, `training/requirements.txt` also stands at the root, where the toolkit looks for it and runs
    pip, and the debugger's library beside it.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in _code(source):
            _add(tar, name, content)
        if requirements:
            _add(tar, "requirements.txt", (source / "training" / "requirements.txt").read_bytes())
            for name, path in package_files(DEBUGGER).items():
                _add(tar, name, path.read_bytes())
    with target.open("wb") as file, gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
        packed.write(buffer.getvalue())


def write_program(target: Path, *, source: Path = ROOT) -> None:
    """Write a zip that `python3` runs as a program: the rules' evaluation, with the debugger's library."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        _add_zipped(archive, "__main__.py", _PROGRAM)
        for name, content in _code(source):
            _add_zipped(archive, name, content)
        for name, path in package_files(DEBUGGER).items():
            _add_zipped(archive, name, path.read_bytes())


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
    info = zipfile.ZipInfo(name)  # its time is the format's zero, 1980
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    archive.writestr(info, content)


class SourceBundle(Construct):
    """The variants of the bundle as assets in the bootstrap bucket.

    Features and training jobs install what the AWS image lacks; a trial needs nothing of it and never runs pip; the
    rules' job runs a program that needs neither.
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
        """For the permission to read them."""
        return [self.with_requirements, self.bare, self.rules]

    def _asset(self, construct_id: str, name: str, write: Callable[[Path], None]) -> s3_assets.Asset:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            write(path)
            return s3_assets.Asset(self, construct_id, path=str(path))
