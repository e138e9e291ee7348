"""Processes on several hosts find each other, whatever their hosts' names resolve to."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from torch import distributed as dist

from training.runtime.distributed import ALONE, Agreement, joined

ROOT = Path(__file__).parents[3]

WORKER = """
import os
import torch
from training.runtime.distributed import joined
with joined() as group:
    total = group.sum(torch.tensor(float(group.rank + 1))).item()
    os.write(1, f"sum of ranks: {total}\\n".encode())  # in one piece: both hosts write into one pipe
"""

TWO_HOSTS = """
set -e
hostname algo-1.invalid
ip link set lo up
unshare -n -u sh -c '
    hostname algo-2.invalid
    ip link set lo up
    tries=0
    until ip link show data1 > /dev/null 2>&1; do
        tries=$((tries + 1)); [ $tries -lt 100 ] || exit 1; sleep 0.1
    done
    ip addr add 10.11.12.2/24 dev data1
    ip link set data1 up
    RANK=1 SM_NETWORK_INTERFACE_NAME=data1 exec "$@"' - "$@" &
other=$!
ip link add data0 type veth peer name data1
sleep 0.5  # the other host has its own network by now
ip link set data1 netns $other
ip addr add 10.11.12.1/24 dev data0
ip link set data0 up
RANK=0 SM_NETWORK_INTERFACE_NAME=data0 "$@"
wait $other
"""
"""Two hosts with a cable between them, whose names resolve to nothing."""


def may_make_hosts() -> bool:
    """Return whether this machine lets the test make hosts of their own names and networks."""
    if not (shutil.which("unshare") and shutil.which("ip")):
        return False
    trial = "hostname a && ip link add data0 type veth peer name data1"
    made = subprocess.run(["unshare", "-U", "-r", "-n", "-u", "sh", "-c", trial], capture_output=True, timeout=60)
    return made.returncode == 0


def said_by(command: list[str], *, variables: dict[str, str], seconds: float) -> str:
    """Return what a command and its processes say, which must succeed; end all of them after these seconds."""
    process = subprocess.Popen(
        command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        said, _ = process.communicate(timeout=seconds)
    finally:
        with suppress(ProcessLookupError):  # all of them have ended
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, said
    return said


def test_hosts_whose_names_resolve_to_nothing_train_together() -> None:
    if not may_make_hosts():
        pytest.skip("this machine lets no test make network namespaces, which the two hosts are")
    said = said_by(
        ["unshare", "-U", "-r", "-n", "-u", "sh", "-c", TWO_HOSTS, "-", sys.executable, "-c", WORKER],
        variables={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "MASTER_ADDR": "10.11.12.1",
            "MASTER_PORT": "29611",
            "WORLD_SIZE": "2",
            "LOCAL_RANK": "0",
        },
        seconds=90,
    )
    assert said.count("sum of ranks: 3.0") == 2


def test_a_network_interface_that_the_user_names_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    named: list[str | None] = []
    for variable, value in {"WORLD_SIZE": "2", "SM_NETWORK_INTERFACE_NAME": "of-the-job"}.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(dist, "init_process_group", lambda _: named.append(os.environ.get("GLOO_SOCKET_IFNAME")))
    monkeypatch.setattr(dist, "get_rank", lambda: 0)
    monkeypatch.setattr(dist, "destroy_process_group", lambda: None)
    for users in ("of-the-user", None):
        monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
        if users:
            monkeypatch.setenv("GLOO_SOCKET_IFNAME", users)
        with joined():
            pass
    assert named == ["of-the-user", "of-the-job"]


LEAVING = """
import os
import torch
from torch import distributed as dist, nn
from training.runtime.distributed import joined

with joined() as group:
    network = group.wrap(nn.Linear(4, 2))
    network(torch.ones(2, 4)).sum().backward()
    for _ in range(20):  # each is freed by the thread that ends it
        last = dist.all_reduce(torch.ones(1_000_000), async_op=True)
last.wait()
owners = [name for name in ("reducer", "logger") if hasattr(network, name)]
os.write(1, f"owners: {owners}\\n".encode())  # in one piece: both processes write into one pipe
os._exit(0)  # a thread that still frees something would abort an interpreter that ends
"""


def test_a_group_is_left_while_its_threads_still_free_what_was_exchanged(tmp_path: Path) -> None:
    """What a wrapped network owns of the group would destroy it with the interpreter held, which those threads need."""
    script = tmp_path / "leaving.py"
    script.write_text(LEAVING)
    said = said_by(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)],
        variables={**os.environ, "PYTHONPATH": str(ROOT), "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"},
        seconds=240,
    )
    assert said.splitlines().count("owners: []") == 2, said


AGREEING = """
import sys
import torch
from torch import distributed as dist
from training.runtime.distributed import Agreement, Group

rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method=sys.argv[2], rank=rank, world_size=2)
agreed = Agreement(Group(rank=rank, size=2, device=torch.device("cpu")))
print([agreed(rank == 1 and step == 2) for step in range(5)], flush=True)
dist.destroy_process_group()
"""


def test_processes_stop_at_the_same_step_whichever_of_them_was_asked_to(tmp_path: Path) -> None:
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", AGREEING, str(rank), f"file://{tmp_path}/meeting"],
            env={**os.environ, "PYTHONPATH": str(ROOT), "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [worker.communicate(timeout=120)[0].strip() for worker in workers]
    # the exchange of step 2 is read at step 3, so that no process waits for another
    assert said == ["[False, False, False, True, False]"] * 2


def test_a_process_alone_agrees_with_itself_at_once() -> None:
    agreed = Agreement(ALONE)
    assert [agreed(flag) for flag in (False, True, False)] == [False, True, False]
