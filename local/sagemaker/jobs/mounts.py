"""A job's folders and host name as its container would have them, in namespaces of the job's own.

An ordinary user cannot make /opt/ml, but on Linux a process can have a user and a mount namespace in which it may: the
job's folder is mounted at /opt/ml, and within it the model, the output, its data, the checkpoints and every channel are
mounts of their own, as in SageMaker's containers, so that a rename from one to another fails with EXDEV here, too.
There its host name also resolves to no address: AWS's images try to repair theirs with a program that they lack (the
start script of aws/deep-learning-containers), and what needs an address has to name its network interface. A job with
network isolation also has a network namespace, in which only the loopback interface is up.

Where that is not to be had (macOS, systems without user namespaces for users), paths below /opt/ml in a job's arguments
and variables are rewritten to its folder (`container.localised`), and Python programs find such renames refused
(`rename_guard/sitecustomize.py`). A program that names /opt/ml in its own text then finds nothing there.
"""

from __future__ import annotations

import functools
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

__all__ = ["ML_ROOT", "base_dir", "guard", "mounted", "rewritten", "supported"]

ML_ROOT: Final = "/opt/ml"

_SWITCH: Final = "WHIPPET_MOUNT_OPT_ML"
"""Environment variable: `false` for the way of machines without user namespaces."""

_HOST_NAME: Final = "instance.invalid"
"""A name that resolves nowhere (RFC 2606), except on machines whose resolver answers for their own host name."""

_GUARD: Final = Path(__file__).parent / "rename_guard"

_NAMESPACES: Final = ("--user", "--map-root-user", "--mount", "--uts")

# $1 is the host name, $2 the job's folder, $3 the number of its mounts, whose names follow; then comes the program.
_LOOPBACK: Final = """
import fcntl, socket, struct

request = struct.pack("16sh", b"lo", 0)
with socket.socket() as any_socket:
    (_, flags) = struct.unpack("16sh", fcntl.ioctl(any_socket, 0x8913, request))  # SIOCGIFFLAGS
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh", b"lo", flags | 1))  # SIOCSIFFLAGS, IFF_UP
"""
"""Brings the loopback interface of a new network namespace up, as in a container; `ip` is not on every machine."""

_SCRIPT: Final = """
hostname "$1" 2> /dev/null || :  # not every machine has the command
base=$2 count=$3
shift 3

# Make room for /opt/ml: an empty /opt in which everything that was there is mounted again.
beside=$base/.opt
mkdir -p "$beside"
mount --rbind /opt "$beside"
mount -t tmpfs tmpfs /opt
for entry in "$beside"/* "$beside"/.[!.]*; do
  [ -e "$entry" ] && [ "${entry##*/}" != ml ] || continue
  name=/opt/${entry##*/}
  if [ -d "$entry" ]; then mkdir "$name"; else : > "$name"; fi
  mount --rbind "$entry" "$name"
done

# Make each folder a mount, then all of them at /opt/ml.
while [ "$count" -gt 0 ]; do
  mount --bind "$base/$1" "$base/$1"
  shift
  count=$((count - 1))
done
mkdir /opt/ml
mount --rbind "$base" /opt/ml
exec "$@"
"""


@functools.cache
def supported() -> bool:
    """Tell whether jobs on this machine can have namespaces of their own; it is tried out once."""
    unshare = shutil.which("unshare")
    if unshare is None or os.environ.get(_SWITCH, "true") == "false" or not Path("/opt").is_dir():
        return False
    tried = subprocess.run(  # noqa: S603 - a fixed command
        [unshare, *_NAMESPACES, "/bin/sh", "-ec", "mount -t tmpfs tmpfs /opt"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return tried.returncode == 0


def mounted(argv: Sequence[str], *, base: Path, folders: Sequence[str], isolated: bool = False) -> list[str]:
    """Return the command that runs `argv` with `base` at /opt/ml; `argv` itself where that is not supported.

    Args:
        argv: the program and its arguments.
        base: the job's folder.
        folders: its folders that are mounts of their own, relative to it, each after those that hold it.
        isolated: whether the job has no network but loopback (EnableNetworkIsolation).
    """
    if not supported():
        return list(argv)
    unshare = shutil.which("unshare") or "unshare"
    network, prepare = ("--net",), f"{shlex.quote(sys.executable)} -c {shlex.quote(_LOOPBACK)}\n"
    namespaces = [unshare, *_NAMESPACES, *(network if isolated else ()), "/bin/sh", "-ec"]
    namespaces += [(prepare if isolated else "") + _SCRIPT, "mounts"]
    return [*namespaces, _HOST_NAME, str(base), str(len(folders)), *folders, *argv]


def base_dir(base: Path) -> str:
    """Return where the job's program finds `base`."""
    return ML_ROOT if supported() else str(base)


def rewritten(base: Path) -> list[tuple[str, Path]]:
    """Return the container's paths that have to be rewritten for the job's program: none where they are mounted."""
    return [] if supported() else [(ML_ROOT, base)]


def guard(base: Path, folders: Sequence[str]) -> dict[str, str]:
    """Return the variables with which Python refuses renames between `folders`, where they are no mounts."""
    if supported():
        return {}
    return {
        "PYTHONPATH": str(_GUARD),
        "WHIPPET_MOUNTS": os.pathsep.join(str(base / folder) for folder in folders),
    }
