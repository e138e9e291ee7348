"""What is staged for Lambda and for the serving image can be read by every user."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.python_function import stage_function
from infra.serving import stage_context


@pytest.fixture(params=[0o022, 0o027, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    """The umask of whoever deploys."""
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_functions_and_the_image_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    """Under 077 the deployed functions could not be imported, and the container could not start (A-11)."""
    tmp_path.chmod(0o755)
    (tmp_path / "function").mkdir()
    stage_function("verdict", tmp_path / "function")
    stage_context(tmp_path / "context")
    for path in (*(tmp_path / "function").rglob("*"), *(tmp_path / "context").rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode in ((0o755,) if path.is_dir() else (0o644, 0o755)), path
    assert stat.S_IMODE((tmp_path / "context" / "inference" / "serve").stat().st_mode) == 0o755
