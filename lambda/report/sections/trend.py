"""The accuracy of the last runs of this state machine, beside this one's."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

import contract

from ..run_context import RunContext
from ..run_files import Missing, if_present

__all__ = ["trend"]

RUNS_SHOWN: Final = 20
EXECUTIONS_READ: Final = 60
"""Executions that are looked at: those that failed left no decision."""


def trend(run: RunContext) -> dict[str, Any]:
    """Return accuracy and interval of the last runs that came to a decision, the oldest first."""
    try:
        answer = run.stepfunctions.list_executions(stateMachineArn=run.state_machine, maxResults=EXECUTIONS_READ)
    except (ClientError, BotoCoreError) as error:
        raise Missing(f"The runs could not be listed: {error}.") from None

    # the runs that came to a decision, the newest first
    runs: list[dict[str, Any]] = []
    for execution in answer["executions"]:
        name = contract.run_id(execution["name"], started=execution["startDate"])
        decision = if_present(partial(run.files.decision_of, name))
        if decision is None:
            continue
        evaluation = if_present(partial(run.files.evaluation_of, name))
        runs.append(
            {
                "run": name,
                "started": execution["startDate"],
                "accuracy": decision["test_accuracy"],
                "interval": evaluation["test_accuracy_interval"] if evaluation else None,
                "images": decision["test_images"],
                "accepted": decision["accepted"],
                "test_fingerprint": decision["test_fingerprint"],
            }
        )
        if len(runs) == RUNS_SHOWN:
            break
    if len(runs) < 2:
        raise Missing("There is no earlier run to compare this one with.")

    # the oldest first, beside this one
    runs.reverse()
    this = next((entry for entry in runs if entry["run"] == run.name), runs[-1])
    for entry in runs:
        entry["same_photos"] = entry["test_fingerprint"] == this["test_fingerprint"]
    return {
        "runs": runs,
        "this": run.name,
        "charts": {
            "trend": [
                {key: entry[key] for key in ("run", "accuracy", "interval", "accepted", "same_photos")}
                | {"date": f"{entry['started']:%d %b %H:%M}", "this": entry["run"] == run.name}
                for entry in runs
            ]
        },
    }
