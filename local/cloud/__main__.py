"""Run the local cloud in the foreground, with the Python of .envs/cloud: `python -m local.cloud --port N --state DIR`.

Variables of its environment say how it plays AWS; docs/local-cloud.md lists them. The key of the account's
administrator is WHIPPET_ACCESS_KEY_ID and WHIPPET_SECRET_ACCESS_KEY; without them it makes one and prints it.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from pathlib import Path

from local.sagemaker import DebuggerAccess, StopPolicy


def main() -> int:
    """Run until SIGTERM or SIGINT.

    Returns:
        The exit status: 0, or 1 with the reason on stderr if the cloud cannot start.
    """
    parser = argparse.ArgumentParser(prog="python -m local.cloud", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1")
    parser.add_argument("--state", type=Path, required=True, help="folder for its files; emptied at every start")
    arguments = parser.parse_args()

    access = os.environ.get("WHIPPET_DEBUGGER_ACCESS") or DebuggerAccess.REFUSED
    if access not in list(DebuggerAccess):
        parser.error(f"WHIPPET_DEBUGGER_ACCESS={access}; expected one of {', '.join(DebuggerAccess)}")

    access_key = os.environ.pop("WHIPPET_ACCESS_KEY_ID", "")
    secret_key = os.environ.pop("WHIPPET_SECRET_ACCESS_KEY", "")
    if not (access_key and secret_key):
        access_key, secret_key = f"AKIA{secrets.token_hex(8).upper()}", secrets.token_hex(20)
        print(f"AWS_ACCESS_KEY_ID={access_key}\nAWS_SECRET_ACCESS_KEY={secret_key}", flush=True)

    # ministack reads its settings when it is imported, so `prepare` must set them first
    from local import clock
    from local.cloud.lambda_workers import limit
    from local.cloud.seam import SeamError
    from local.cloud.server import prepare, serve
    from local.sagemaker.account import DocumentError
    from local.sagemaker.start_times import are_played

    try:
        stopping, workers = StopPolicy.of(os.environ), limit(os.environ)
        clock.set_speed(clock.chosen_speed())
        are_played()
    except ValueError as error:
        parser.error(str(error))

    prepare(port=arguments.port, state=arguments.state, access_key=access_key, secret_key=secret_key)
    try:
        serve(
            port=arguments.port,
            state=arguments.state,
            workers=workers,
            debugger_access=DebuggerAccess(access),
            stopping=stopping,
        )
    except (SeamError, DocumentError) as error:
        print(f"local cloud: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"local cloud: cannot serve on 127.0.0.1:{arguments.port}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # exit at once: threads of ministack may still wait, but every process was ended
    os._exit(status)
