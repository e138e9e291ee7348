"""`whippet status`: the deployed stack, the model in service and the newest runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.table import Table

import contract
from cli.endpoint import describe_endpoint, sleeping_model
from cli.run import read_run_file
from infra.outputs import StackOutput

if TYPE_CHECKING:
    from rich.console import Console

    from cli.target import Target

__all__ = ["show"]

RUNS_SHOWN = 5


def show(target: Target, *, console: Console) -> None:
    """Print the stack's addresses, the model in service and the newest runs."""
    facts = {
        "stack": f"{target.settings.stack_name}, deployed {target.place}",
        "photos": target.output(StackOutput.DATASET_URI),
        "API": target.api_url,
        "endpoint": _endpoint(target),
    }
    if target.cloud is not None:
        facts["local cloud"] = f'{target.endpoint_url} (for other AWS clients: eval "$(whippet env)")'
    for name, fact in facts.items():
        # Not in a table, which would cut what a user wants to copy.
        console.print(f"{name:<12} {fact}", highlight=False, markup=False, soft_wrap=True)
    console.print(_runs(target), highlight=False)


def _endpoint(target: Target) -> str:
    name, described = target.output(StackOutput.ENDPOINT_NAME), describe_endpoint(target)
    status = described["EndpointStatus"] if described else None
    if described is not None and contract.has_model(status):
        return f"{name}: {status}, {_model(target, described['EndpointConfigName'])}"

    # no endpoint, or a broken one
    failed = f"failed ({described.get('FailureReason', 'SageMaker gives no reason')}), " if described else ""
    if (sleeping := sleeping_model(target)) is not None:
        since = sleeping.since.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        return (
            f"{name}: {failed}asleep since {since}, {_model(target, sleeping.config)}; a request or `whippet wake` "
            "wakes it"
        )
    if described is not None:
        return f"{name}: {failed}{_model(target, described['EndpointConfigName'])}"
    return f"{name}: not created yet, as no run has released a model"


def _model(target: Target, config: str) -> str:
    run = contract.shadowed_config(config).removeprefix(contract.job_prefix(target.settings.prefix, ""))
    shadow = contract.shadow_of(config)
    decision = _decision(target, run)
    quality = f", test accuracy {decision['test_accuracy']:.4f}" if decision else ""
    beside = f", and that of run {shadow} gets copies of the requests as its shadow" if shadow else ""
    return f"model of run {run}{quality}{beside}"


def _decision(target: Target, run: str) -> dict[str, Any] | None:
    content = read_run_file(target, run=run, name=contract.Artefact.DECISION)
    if content is None:
        return None
    decision: dict[str, Any] = json.loads(content)
    return decision


def _runs(target: Target) -> Table:
    table = Table("run", "status", "started", "by", "took", "error", box=None, padding=(0, 2, 0, 0))
    stepfunctions = target.client("stepfunctions")
    executions = stepfunctions.list_executions(
        stateMachineArn=target.output(StackOutput.STATE_MACHINE_ARN), maxResults=RUNS_SHOWN
    )["executions"]
    for execution in executions:
        ended = execution.get("stopDate")
        took = f"{(ended - execution['startDate']).total_seconds():.0f} s" if ended else ""
        error = ""
        if execution["status"] == "FAILED":
            described = stepfunctions.describe_execution(executionArn=execution["executionArn"])
            error = described.get("error", "")
        started = execution["startDate"].astimezone().strftime("%Y-%m-%d %H:%M:%S")
        run = contract.run_id(execution["name"], started=execution["startDate"])
        table.add_row(run, execution["status"], started, contract.trigger_of(execution["name"]) or "", took, error)
    return table
