"""Start, find and stop the local cloud, and make the environment that points AWS clients at it and nowhere else.

This module imports the standard library only, so that the command line can use it before anything else is installed.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import json
import os
import secrets
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from local.state_folder import (
    LOCK,
    LOOPBACK,
    CloudError,
    chosen_port,
    is_free,
    locked,
    remove_server_folders,
    usable,
    usual_port,
    write_privately,
)

__all__ = [
    "ACCOUNT_ID",
    "HEALTH_PATH",
    "IDENTITY_PATH",
    "LOOPBACK",
    "REGION",
    "Cloud",
    "CloudError",
    "RealAwsRefusedError",
    "died",
    "refuse_real_aws",
    "running",
    "silence",
    "start",
    "stop",
    "variables",
]

REGION: Final = "us-east-1"
ACCOUNT_ID: Final = "000000000000"

IDENTITY_PATH: Final = "/_whippet/cloud"
"""The path at which a server answers which cloud it is: its process and its state folder."""

HEALTH_PATH: Final = "/_ministack/health"
_RECORD: Final = "cloud.json"
_LOG: Final = "cloud.log"
_READ_AT_START: Final = {
    "WHIPPET_CLOCK_SPEED": "1",
    "WHIPPET_DEBUGGER_ACCESS": "false",
    "WHIPPET_LAMBDA_WORKERS": "",
    "WHIPPET_MOUNT_OPT_ML": "true",
    "WHIPPET_PERMISSION_LOG": "",
    "WHIPPET_START_TIMES": "none",
    "WHIPPET_STOP_GRACE": "3",
    "WHIPPET_STOP_SIGTERM": "false",
}
"""Variables that a server reads when it starts and never again, each with the value that counts where it is not set.

docs/local-cloud.md says what they do."""

_START_SECONDS: Final = 60.0
"""Seconds in which the server must answer after its start."""

_STOP_SECONDS: Final = 20.0
"""Seconds between SIGTERM and SIGKILL."""

_children: Final[list[subprocess.Popen[bytes]]] = []
"""Servers that this process started. Python warns of a Popen object that is deleted while its process runs."""


class RealAwsRefusedError(CloudError):
    """AWS clients would have reached something else than this machine."""


@dataclass(frozen=True)
class Cloud:
    """A running local cloud."""

    port: int
    pid: int
    state: Path
    access_key: str = field(repr=False)
    """Access key ID of the account's administrator: another at each start, and known to this user alone."""
    secret_key: str = field(repr=False)

    @property
    def endpoint_url(self) -> str:
        """The address of all of its AWS APIs."""
        return f"http://{LOOPBACK}:{self.port}"

    def api_url(self, api_id: str, stage: str) -> str:
        """Return the root URL of a REST API's stage, with a trailing slash."""
        return f"{self.endpoint_url}/_aws/execute-api/{api_id}/{stage}/"

    def environment(self) -> dict[str, str]:
        """Return the environment in which the CDK, boto3 and the AWS CLI reach this cloud.

        It is that of this process, without its AWS_ variables, so that no profile, key or endpoint of the user's leads
        elsewhere.
        """
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        loopback = f"{LOOPBACK},localhost"
        return kept | {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
            "CDK_DEFAULT_ACCOUNT": ACCOUNT_ID,
            "CDK_DEFAULT_REGION": REGION,
            "CDK_DISABLE_VERSION_CHECK": "1",
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
            "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "1",
            # proxies are used for loopback addresses, too
            "NO_PROXY": loopback,
            "no_proxy": loopback,
        }


def refuse_real_aws(environment: Mapping[str, str]) -> None:
    """Check that AWS clients with this environment reach this machine only.

    Raises:
        RealAwsRefusedError: AWS_ENDPOINT_URL is not set, an endpoint is not a loopback address, a profile is chosen, or
            configured endpoints are ignored.
    """
    if not environment.get("AWS_ENDPOINT_URL"):
        raise RealAwsRefusedError(
            "AWS_ENDPOINT_URL is not set, so AWS clients would talk to the real AWS; "
            "expected the local cloud's address, which `whippet up` starts and sets"
        )
    for name, value in environment.items():
        if name.startswith("AWS_ENDPOINT_URL") and not _is_loopback(value):
            raise RealAwsRefusedError(
                f"{name}={value} is not on this machine; expected http://127.0.0.1:PORT. "
                "This command works on the local cloud only: unset that variable"
            )
    if environment.get("AWS_PROFILE") or environment.get("AWS_DEFAULT_PROFILE"):
        raise RealAwsRefusedError("AWS_PROFILE is set, and a profile may lead to the real AWS; unset it for local use")
    if environment.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        raise RealAwsRefusedError("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true would lead to the real AWS; unset it")


def start(state: Path, port: int | None = None) -> Cloud:
    """Return the running cloud of this state folder, started if there is none.

    Without `port` or WHIPPET_PORT it serves on the port that it had at its last start, or on 4577 at its first; where
    somebody else has that one, on a free one. The server is detached: it goes on when this process ends. Two starts at
    once wait for each other.

    Raises:
        CloudError: it did not come up; the message ends with the server's log. Or it runs, but on another port, or was
            started with another value of a variable, such as WHIPPET_CLOCK_SPEED, than this process has; or the state
            folder cannot be used.
    """
    port = port if port is not None else chosen_port()
    state = usable(state)
    with locked(state / LOCK):
        found = running(state)
        if found:
            if port is not None and found.port != port:
                raise CloudError(
                    f"the local cloud of {state} runs on port {found.port}, not on {port}; "
                    "use that one or stop it first"
                )
            _check_variables(found)
            return found
        if port is not None:
            return _launch(state, port)
        usual = usual_port(state)
        try:
            return _launch(state, usual)
        except CloudError:
            # Another cloud, of another state folder, may have been quicker.
            if is_free(usual):
                raise
            return _launch(state, usual_port(state))


def variables() -> dict[str, str]:
    """Return the variables of this process's environment that a server reads when it starts, with their defaults."""
    return {name: os.environ.get(name) or default for name, default in _READ_AT_START.items()}


def _check_variables(cloud: Cloud) -> None:
    """Check that the running cloud was started with the variables that this process sets, if it sets any."""
    started_with = (_ask(cloud.port, IDENTITY_PATH) or {}).get("variables", {})
    for name, wanted in variables().items():
        found = started_with.get(name, "")
        if os.environ.get(name) and wanted != found:
            raise CloudError(
                f"{name} is {wanted}, but the local cloud of {cloud.state} was started with {found or 'no value'}; "
                "stop it first with `whippet stop`"
            )


def running(state: Path) -> Cloud | None:
    """Return the cloud of this state folder if its server answers, else None."""
    state = state.resolve()
    try:
        record: dict[str, Any] = json.loads((state / _RECORD).read_text())
        port, pid = int(record["port"]), int(record["pid"])
        access_key, secret_key = str(record["access_key"]), str(record["secret_key"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    identity = _ask(port, IDENTITY_PATH)
    # another process may have the port or the process id of a server that died
    if identity is None or identity.get("pid") != pid or identity.get("state") != str(state):
        return None
    return Cloud(port=port, pid=pid, state=state, access_key=access_key, secret_key=secret_key)


def died(state: Path) -> bool:
    """Tell whether the cloud of this state folder ended without being stopped."""
    return (state / _RECORD).exists() and running(state) is None


def silence(state: Path) -> str | None:
    """Return what to tell about a request that this folder's cloud did not answer; None if the cloud is there."""
    if running(state) is not None:
        return None
    return (
        f"the local cloud does not answer any more: its log, {state / _LOG}, may tell why; start it and deploy the "
        "stack again with `whippet up`"
    )


def stop(state: Path) -> bool:
    """Stop the cloud of this state folder and every process that it started.

    Returns:
        Whether there was one.

    Raises:
        CloudError: the server runs on after SIGKILL.
    """
    state = state.resolve()
    if not state.is_dir():
        return False
    with locked(state / LOCK):
        cloud = running(state)
        if cloud is None:
            (state / _RECORD).unlink(missing_ok=True)
            remove_server_folders(state)
            return False

        _signal(cloud.pid, signal.SIGTERM)
        if not _ends(cloud.pid, _STOP_SECONDS):
            # the server leads a session of its own, so the group holds what it started
            with contextlib.suppress(ProcessLookupError):
                os.killpg(cloud.pid, signal.SIGKILL)
            if not _ends(cloud.pid, 5.0):
                raise CloudError(f"process {cloud.pid} of the local cloud does not end; kill it by hand")

        (state / _RECORD).unlink(missing_ok=True)
        # the server does so itself, unless it was killed
        remove_server_folders(state)
        return True


def _launch(state: Path, port: int) -> Cloud:
    root = Path(__file__).resolve().parents[1]
    python = Path(os.environ.get("WHIPPET_ENVIRONMENTS") or root / ".envs") / "cloud" / "bin" / "python"
    if not python.exists():
        raise CloudError(f"{python} does not exist: the local cloud's environment is missing; run `make setup`")

    # start the server, detached from this process
    log = state / _LOG
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    # A key for this start alone; a server's environment can be read by its own user only.
    access_key, secret_key = f"AKIA{secrets.token_hex(8).upper()}", secrets.token_hex(20)
    environment |= {"WHIPPET_ACCESS_KEY_ID": access_key, "WHIPPET_SECRET_ACCESS_KEY": secret_key}
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [str(python), "-m", "local.cloud", "--port", str(port), "--state", str(state)],
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _children.append(process)
    keys = {"access_key": access_key, "secret_key": secret_key}
    write_privately(state / _RECORD, {"port": port, "pid": process.pid, "started": time.time(), **keys})

    # wait until it answers
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            (state / _RECORD).unlink(missing_ok=True)
            raise CloudError(f"the local cloud ended with status {process.returncode} while starting:\n{_tail(log)}")
        if running(state) and _ask(port, HEALTH_PATH) is not None:
            return Cloud(port=port, pid=process.pid, state=state, access_key=access_key, secret_key=secret_key)
        time.sleep(0.05)

    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (state / _RECORD).unlink(missing_ok=True)
    raise CloudError(f"the local cloud did not answer within {_START_SECONDS:.0f} s:\n{_tail(log)}")


def _ask(port: int, path: str) -> dict[str, Any] | None:
    """Return the server's JSON answer; None if there is none, or another program answers."""
    # without the proxies of the environment
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{LOOPBACK}:{port}{path}", timeout=5) as answer:
            value = json.load(answer)
    except (OSError, ValueError, urllib.error.URLError):
        return None
    return value if isinstance(value, dict) else None


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _ends(pid: int, seconds: float) -> bool:
    """Return whether the process ends within this time, and reap it if it is a child."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG)[0] == pid:
                return True
        try:
            os.kill(pid, 0)
        except OSError as error:
            if error.errno == errno.ESRCH:
                return True
            raise
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)


def _tail(log: Path, lines: int = 30) -> str:
    try:
        text = log.read_text(errors="replace").strip()
    except OSError:
        return "(no log)"
    return "\n".join(text.splitlines()[-lines:]) or "(the log is empty)"
