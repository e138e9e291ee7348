"""What speaks against an update of the endpoint: a run that releases, or a configuration of another kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import contract
from cli import CliError
from cli.definition import Definition
from cli.run import running_executions

if TYPE_CHECKING:
    from cli.target import Target

__all__ = ["FIRST_OF_END", "FIRST_OF_RELEASE", "refuse_other_kind", "refuse_while_releasing"]

FIRST_OF_RELEASE: Final = "CreateModel"
FIRST_OF_END: Final = "Report"
"""The state with which a run's release begins, and the first one after it."""

_LOOKED_AT: Final = 100
"""Newest events of an execution among which the state that it is in is looked for."""


def refuse_while_releasing(target: Target) -> None:
    """Refuse to change the endpoint while a run is about to.

    Raises:
        CliError: a run is between its verdict and its report.
    """
    stepfunctions = target.client("stepfunctions")
    for execution in running_executions(target):
        arn = execution["executionArn"]
        state = _state_of(stepfunctions, arn)
        definition = Definition.of_execution(stepfunctions, arn)
        if state is not None and definition.is_between(state, first=FIRST_OF_RELEASE, end=FIRST_OF_END):
            run = contract.run_id(execution["name"], started=execution["startDate"])
            raise CliError(
                f"run {run} is releasing its model (state {state}): try again once it has ended, as `whippet status` "
                "shows, and name the run to put back"
            )


def refuse_other_kind(target: Target, *, old: str, new: str) -> None:
    """Refuse what SageMaker cannot do: make a real-time endpoint serverless.

    The other way goes (developer guide, "Serverless Inference", feature exclusions).

    Raises:
        CliError: `old` is real-time and `new` serverless.
    """
    if not _is_serverless(target, old) and _is_serverless(target, new):
        raise CliError(
            f"{new} is serverless and the endpoint real-time: SageMaker refuses that. Deploy with "
            "serving.mode=serverless and start a run, which replaces the endpoint"
        )


def _is_serverless(target: Target, config: str) -> bool:
    described: dict[str, Any] = target.client("sagemaker").describe_endpoint_config(EndpointConfigName=config)
    return "ServerlessConfig" in described["ProductionVariants"][0]


def _state_of(stepfunctions: Any, execution: str) -> str | None:
    """Return the state that an execution entered last; None where the newest events do not say."""
    events = stepfunctions.get_execution_history(
        executionArn=execution, reverseOrder=True, maxResults=_LOOKED_AT, includeExecutionData=False
    )["events"]
    names = (event["stateEnteredEventDetails"]["name"] for event in events if "stateEnteredEventDetails" in event)
    return next(names, None)
