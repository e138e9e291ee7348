"""The training code as the SageMaker toolkit wants it: a tar.gz, the same bytes for the same files."""

from __future__ import annotations

import gzip
import io
import tarfile
import tempfile
from pathlib import Path

from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

__all__ = ["SourceBundle", "write_bundle"]

ROOT = Path(__file__).resolve().parent.parent
TRAINING = ROOT / "training"
_SKIPPED_FOLDERS = {"__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"}


def write_bundle(target: Path, *, source: Path = TRAINING, requirements: bool) -> None:
    """Write `source` as a folder `training/` into a gzipped tar, without times, owners or caches.

    With `requirements`, `requirements.txt` also stands at the root, where the toolkit looks for it and runs pip.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(source.rglob("*"), key=lambda path: path.relative_to(source).as_posix()):
            if path.is_file() and not _SKIPPED_FOLDERS & set(path.parts) and path.suffix != ".pyc":
                _add(tar, f"training/{path.relative_to(source).as_posix()}", path.read_bytes())
        if requirements:
            _add(tar, "requirements.txt", (source / "requirements.txt").read_bytes())
    with target.open("wb") as file, gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
        packed.write(buffer.getvalue())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    info.mode = 0o644
    tar.addfile(info, io.BytesIO(content))


class SourceBundle(Construct):
    """Both variants of the bundle as assets in the bootstrap bucket.

    Features and training jobs install what the AWS image lacks; a trial needs nothing of it and never runs pip.
    """

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        self.with_requirements = self._asset("Source", requirements=True)
        self.bare = self._asset("TrialSource", requirements=False)

    def _asset(self, construct_id: str, *, requirements: bool) -> s3_assets.Asset:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "source.tar.gz"
            write_bundle(path, requirements=requirements)
            return s3_assets.Asset(self, construct_id, path=str(path))
