"""Entry point of `whippet feedback`: thumbnails of photos that strangers sent, by the decoder of the jobs.

It runs on the user's machine, in the environment of the local cloud's jobs: `python -m training.preview_photos FILE`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import contract
from training.evaluation.thumbnails import previews
from training.runtime.environment import run_job


def main() -> None:
    """Read the request that the command line names, and write the previews that it asks for."""
    request: contract.PreviewsRequest = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print(json.dumps({"stage": "making thumbnails", "done": 0, "total": 0}), flush=True)
    made = previews(Path(request["folder"]), request["photos"])
    Path(request["output"]).write_text(json.dumps(made), encoding="ascii")


if __name__ == "__main__":
    run_job(main)
