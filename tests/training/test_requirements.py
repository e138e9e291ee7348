"""What the jobs install on AWS is what is tested here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"^([a-z0-9-]+)==([^\s;\\]+)", re.MULTILINE)


def pins(file: str) -> dict[str, str]:
    return dict(PIN.findall((ROOT / file).read_text(encoding="utf-8")))


def test_every_requirement_is_pinned_to_the_locked_version() -> None:
    required, locked = pins("training/requirements.txt"), pins("locks/training.txt")
    assert required
    assert required == {name: locked.get(name) for name in required}


def test_no_requirement_is_unpinned() -> None:
    lines = (ROOT / "training/requirements.txt").read_text(encoding="utf-8").splitlines()
    assert all(PIN.match(line) for line in lines if line and not line.startswith("#"))


def test_what_the_aws_image_has_is_not_installed_again() -> None:
    assert not {"torch", "torchvision", "numpy"} & set(pins("training/requirements.txt"))


def test_a_job_downloads_nothing() -> None:
    """The toolkit runs this command at the start of every job, and the environment holds all that it asks for."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--no-index",
        "-r",
        str(ROOT / "training/requirements.txt"),
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "Would install" not in result.stdout
