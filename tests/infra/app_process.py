"""The app as a process of its own, as the CDK CLI runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

EVERY_FUNCTION = {
    "release.approval": "manual",
    "serving.mode": "realtime",
    "serving.pause_after_hours": "12",
    "scaling.max_instances": "4",
    "monitoring.alarms": "true",
    "monitoring.capture_percent": "100",
    "monitoring.dashboard": "true",
    "triggers.ready_object": "true",
    "triggers.schedule": "cron(0 3 ? * SUN *)",
    "triggers.drift": "true",
    "release.shadow_minutes": "30",
}
"""The settings with which the stack holds every Lambda function there is."""


def cdk_context() -> dict[str, Any]:
    """The context of cdk.json."""
    context: dict[str, Any] = json.loads((ROOT / "cdk.json").read_text())["context"]
    return context


def synth(
    outdir: Path, *, validation: bool = False, overrides: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`python app.py` with nothing of an account in its environment."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(outdir.parent),
        "CDK_OUTDIR": str(outdir),
        "CDK_CONTEXT_JSON": json.dumps(cdk_context() | dict(overrides or {})),
        "CDK_VALIDATION": "true" if validation else "false",
    }
    return subprocess.run(
        [sys.executable, "app.py"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def files_of(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
