"""The endpoint's server: `python -m inference.serve`, started by the container's `serve` command.

Environment: `SM_MODEL_DIR` (default /opt/ml/model), `SAGEMAKER_BIND_TO_PORT` (8080), `SERVE_HOST` (127.0.0.1; the
container sets 0.0.0.0), `SAGEMAKER_MODEL_SERVER_WORKERS` (one for each core), `SERVE_USER` (none; the container sets
`serve`): the user that the server becomes if it is started as root; `contract.ServingVariable`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from granian import Granian
from granian.constants import Interfaces, Loops
from granian.log import LogLevels

from inference.classifier import Classifier, ModelError
from inference.environment import name_unknown, worker_count
from inference.privileges import drop_privileges

_SHUTDOWN_SECONDS = 20
"""Requests in flight may take this long after SIGTERM; SageMaker kills the container after 30 seconds."""


def main() -> None:
    """Become an unprivileged user, check the model, then serve it until SIGTERM or SIGINT."""
    # a model that cannot be served ends the container with one readable line
    folder = Path(os.environ.get("SM_MODEL_DIR", "/opt/ml/model"))
    try:
        readable = drop_privileges(folder, user=os.environ.get("SERVE_USER"))
        classifier = Classifier(readable, threads=1, name_unknown=name_unknown())
        workers = worker_count()
    except ModelError as error:
        print(f"cannot serve {folder}: {error}", file=sys.stderr, flush=True)
        sys.exit(1)

    port = int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))
    host = os.environ.get("SERVE_HOST", "127.0.0.1")
    print(
        f"serving {len(classifier.labels)} classes on {host}:{port} with {workers} worker(s): "
        f"{', '.join(classifier.labels)}",
        flush=True,
    )

    # one process receives, and starts the workers, each of which loads the model for itself
    del classifier
    os.environ["SM_MODEL_DIR"] = str(readable)
    Granian(
        "inference.app:create",
        factory=True,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        workers=1,
        workers_kill_timeout=_SHUTDOWN_SECONDS,
        respawn_failed_workers=True,
        log_level=LogLevels.warning,
        websockets=False,
        backlog=1024,
    ).serve()


if __name__ == "__main__":
    main()
