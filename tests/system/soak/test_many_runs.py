"""The same run ten times on one local cloud: no processes, memory or resources may accumulate."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from cli.digits import write_digits
from local import control
from tests.system.system import ENDPOINT, INPUT, System

RUNS = 10
WARM_UP = 3
"""Runs after which caches are full and superseded models have begun to be retired."""


def test_ten_runs_leave_no_more_behind_than_three(tmp_path: Path) -> None:
    system = System(tmp_path / "state")
    try:
        system.whippet("up")
        answers = write_digits(tmp_path, train=60, held_out=2)
        system.whippet("upload", str(tmp_path / "photos"))
        seen = []
        for number in range(RUNS):
            system.whippet("run", "--input", json.dumps({**INPUT, "seed": number}))
            system.whippet("classify", *map(str, answers))
            seen.append(_left(system))
            print(f"run {number + 1}: {seen[-1]}")
        warm, last = seen[WARM_UP - 1], seen[-1]
        assert last["processes"] == warm["processes"]
        assert last["models"] == warm["models"]
        assert last["endpoint configs"] == warm["endpoint configs"]
        assert last["memory MB"] < warm["memory MB"] * 1.2 + 50
    finally:
        control.stop(system.state)


def _left(system: System) -> dict[str, int]:
    """Count what a run leaves behind: the cloud's processes, their memory, and SageMaker's resources."""
    table = subprocess.run(["ps", "-eo", "pid,ppid,rss"], capture_output=True, text=True, check=True).stdout
    rows = [tuple(map(int, line.split())) for line in table.splitlines()[1:]]
    family = {system.cloud.pid}
    while children := {pid for pid, parent, _ in rows if parent in family} - family:
        family |= children
    sagemaker = system.client("sagemaker")
    assert sagemaker.describe_endpoint(EndpointName=ENDPOINT)["EndpointStatus"] == "InService"
    return {
        "processes": len(family),
        "memory MB": sum(rss for pid, _, rss in rows if pid in family) // 1024,
        "models": len(sagemaker.list_models()["Models"]),
        "endpoint configs": len(sagemaker.list_endpoint_configs()["EndpointConfigs"]),
    }
