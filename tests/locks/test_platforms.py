"""Every lock can be installed on every platform that the README promises, without a compiler. This asks the index."""

from __future__ import annotations

import itertools
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = ROOT / ".envs/tools/bin/uv"
LOCKS = sorted(file.stem for file in (ROOT / "locks").glob("*.txt"))
PYTHONS = ("3.11", "3.12", "3.13")

# Debian 10, Ubuntu 20.04, Amazon Linux 2023 and RHEL 8 have glibc 2.28 or a newer one.
PLATFORMS = ("x86_64-manylinux_2_28", "aarch64-manylinux_2_28", "aarch64-apple-darwin")
MACOS = "14.0"


def source_only() -> set[str]:
    """Return the packages that the Makefile lets uv build: the rest of a lock has to be wheels."""
    words = (ROOT / "Makefile").read_text(encoding="utf-8").split()
    return {after for word, after in itertools.pairwise(words) if word == "--no-binary"}


def without(lock: Path, names: set[str], copy: Path) -> Path:
    """Write the lock without these packages."""
    kept, keep = [], True
    for line in lock.read_text(encoding="utf-8").splitlines():
        if not line.startswith((" ", "#")):
            keep = line.partition("==")[0] not in names
        kept += [line] if keep else []
    copy.write_text("\n".join(kept) + "\n", encoding="utf-8")
    return copy


def dry_run(requirements: Path, platform: str, python: str) -> subprocess.CompletedProcess[str]:
    """Let uv choose a file of every package for a platform, and install none."""
    target = requirements.parent / "target"
    command: list[str | Path] = [
        UV,
        "pip",
        "sync",
        "--dry-run",
        "--require-hashes",
        "--only-binary",
        ":all:",
        requirements,
    ]
    return subprocess.run(
        [*command, "--target", target, "--python-platform", platform, "--python-version", python],
        env={**os.environ, "MACOSX_DEPLOYMENT_TARGET": MACOS},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_resolves_to_wheels(lock: str, platform: str, python: str, tmp_path: Path) -> None:
    requirements = without(ROOT / f"locks/{lock}.txt", source_only(), tmp_path / "lock.txt")

    result = dry_run(requirements, platform, python)

    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", sorted(source_only()))
def test_a_package_that_is_built_has_no_wheel(name: str, tmp_path: Path) -> None:
    lines = (ROOT / "locks/training.txt").read_text(encoding="utf-8").splitlines()
    others = {line.partition("==")[0] for line in lines if not line.startswith((" ", "#"))} - {name}
    requirements = without(ROOT / "locks/training.txt", others, tmp_path / "lock.txt")

    result = dry_run(requirements, PLATFORMS[0], PYTHONS[0])

    assert "has no usable wheels" in result.stderr
