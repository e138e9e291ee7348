"""The bill on a local cloud: a run above the ceiling makes no job, and one below it is billed by its records."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.digits import write_digits
from local import control
from tests.system.system import INPUT, System

SETTINGS = {"budget.ceiling": "20", "notifications.email": "ml@example.org", "tuning.max_minutes": "30"}
"""Two trials; a run of them costs 24 dollars at worst."""
SHORTER = {**SETTINGS, "training.max_minutes": "60"}
"""9 dollars at worst."""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    state = tmp_path_factory.mktemp("bill")
    system = System(state)
    try:
        system.whippet("up", settings=SETTINGS)
        write_digits(state / "digits", train=30, held_out=1)
        system.whippet("upload", str(state / "digits" / "photos"), settings=SETTINGS)
        yield system
    finally:
        control.stop(state)
        shutil.rmtree(state, ignore_errors=True)


def planned(system: System, settings: dict[str, str]) -> Any:
    return json.loads(system.whippet("cost", "--json", settings=settings).stdout)


def test_a_run_above_the_ceiling_ends_before_its_first_job(system: System) -> None:
    found = planned(system, SETTINGS)
    assert found["worst_usd"] > 20
    assert "above budget.ceiling=20" in found["month"]["refusal"]
    result = system.whippet("run", "--input", json.dumps(INPUT), check=False, settings=SETTINGS)
    assert result.returncode == 1
    assert "CeilingReached" in result.stderr
    assert "above budget.ceiling=20" in " ".join(result.stderr.split())
    assert system.client("sagemaker").list_training_jobs()["TrainingJobSummaries"] == []


def test_one_below_it_runs_and_is_billed_by_its_records(system: System, tmp_path: Path) -> None:
    system.whippet("up", settings=SHORTER)
    planned_before = planned(system, SHORTER)
    assert planned_before["month"]["refusal"] is None
    assert planned_before["photos"] == 300
    system.whippet("run", "--plan", settings=SHORTER)
    system.whippet("run", "--input", json.dumps(INPUT), settings=SHORTER)

    run = next(line.split()[0] for line in system.whippet("status").stdout.splitlines() if " SUCCEEDED " in line)
    billed = json.loads(system.whippet("cost", run, "--json", settings=SHORTER).stdout)
    assert 0 < billed["usd"] < planned_before["worst_usd"]
    assert len(billed["jobs"]) == 5
    assert planned(system, SHORTER)["month"]["jobs"] == pytest.approx(billed["usd"])
