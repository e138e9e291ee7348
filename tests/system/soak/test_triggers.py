"""A deployed stack whose runs an upload and drift start, with the roles, rules and policies of its template."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import contract
from infra.outputs import StackOutput
from local import control
from tests.local.cloud.conftest import until
from tests.system.system import System

TRIGGERS = {"triggers.ready_object": "true", "triggers.drift": "true", "triggers.schedule": "rate(1 hour)"}


def ended(system: System, count: int) -> list[dict[str, Any]]:
    """The executions, the newest first, once so many have ended."""
    machine = system.output(StackOutput.STATE_MACHINE_ARN)
    states = system.client("stepfunctions")
    seen = until(
        lambda: states.list_executions(stateMachineArn=machine),
        lambda found: sum(each["status"] != "RUNNING" for each in found["executions"]) >= count,
    )
    executions: list[dict[str, Any]] = seen["executions"]
    return executions


def test_events_start_runs_and_nothing_of_it_stays(tmp_path: Path) -> None:
    """There are no photos, so that each run ends in CheckDataset, which costs nothing."""
    system = System(tmp_path / "state")
    try:
        system.whippet("up", settings=TRIGGERS)
        bucket, _, key = system.output(StackOutput.READY_OBJECT).removeprefix("s3://").partition("/")
        system.client("s3").put_object(Bucket=bucket, Key=key, Body=b"")
        (by_ready,) = ended(system, 1)
        assert (contract.trigger_of(by_ready["name"]), by_ready["status"]) == ("ready", "FAILED")

        event = {
            "Source": contract.EVENT_SOURCE,
            "DetailType": contract.DRIFT_DETAIL_TYPE,
            "Detail": json.dumps({"environment": "dev"}),
        }
        system.client("events").put_events(Entries=[event])
        assert contract.trigger_of(ended(system, 2)[0]["name"]) == "drift"
        status = system.whippet("status", settings=TRIGGERS).stdout
        assert {"ready", "drift"} <= set(status.split())

        system.destroy()
        assert system.client("scheduler").list_schedules()["Schedules"] == []
        rules = [rule["Name"] for rule in system.client("events").list_rules()["Rules"]]
        assert not [name for name in rules if name.startswith("whippet-dev")]
    finally:
        control.stop(system.state)
