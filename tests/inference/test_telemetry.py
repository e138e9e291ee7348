"""Nothing of an endpoint's use is kept or sent for ONNX Runtime's maker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("module", ["inference.classifier", "training"])
def test_onnx_runtime_leaves_no_device_id_and_no_events(tmp_path: Path, module: str) -> None:
    """By default it writes both to the user's cache folder when it is imported, and sends them (A-37)."""
    subprocess.run(
        [sys.executable, "-c", f"import {module}, onnxruntime"],
        cwd=ROOT,
        env={"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")},
        check=True,
    )
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
