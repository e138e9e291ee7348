"""The environment of the local cloud's jobs, in which photos are decoded on the user's machine."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING

from cli import CliError
from cli.progress import progress_of
from cli.target import ROOT

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["run_in_training_environment"]


def run_in_training_environment(module: str, request: Mapping[str, object], *, what: str, console: Console) -> None:
    """Run a module of `training` with a request, and show its progress until it ends.

    Args:
        module: its name; it reads the request from the JSON file that its command line names, and prints its progress
            as a JSON object a line: `stage`, `done` and `total`.
        request: what it is asked, as `contract` declares it.
        what: what failed where it fails, such as `the check`.
        console: where the progress is shown.

    Raises:
        CliError: the environment is missing, or the module failed.
    """
    environments = Path(os.environ.get("WHIPPET_ENVIRONMENTS") or ROOT / ".envs")
    python = environments / "training" / "bin" / "python"
    if not python.exists():
        raise CliError(f"{python} does not exist: the training environment is missing; run `make setup`")

    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as errors:
        file = Path(folder, "request.json")
        file.write_text(json.dumps(request), encoding="ascii")
        with subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [str(python), "-m", module, str(file)],
            cwd=ROOT,
            env=_environment(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process:
            try:
                _follow(process, console=console)
            except BaseException:
                process.terminate()  # as after Ctrl+C; what was read so far is kept
                raise
        if process.returncode:
            raise CliError(f"{what} failed: {_last_lines(errors)}")


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the process, which has nothing to do with AWS."""
    kept = {name: value for name, value in environment.items() if not name.startswith(("AWS_", "SM_"))}
    # idle threads that spin would cost others their cores
    return {**kept, "PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}


def _follow(process: subprocess.Popen[str], *, console: Console) -> None:
    """Show a process's progress until it ends."""
    with progress_of(console, "starting") as progress:
        for line in process.stdout or ():
            try:
                said = json.loads(line)
                progress.enter(said["stage"], done=said["done"], total=said["total"] or None)
            except (ValueError, TypeError, KeyError):
                continue  # what a library says


def _last_lines(errors: IO[str]) -> str:
    errors.seek(0)
    lines = errors.read().strip().splitlines()
    return "\n".join(lines[-5:]).removeprefix("RuntimeError: ") or "it ended without a message"
