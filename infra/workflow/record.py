"""The records of who served when: the run writes one as its model comes into service, and one if it is taken back."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn

import contract
from infra.permissions import OBJECTS, Permission
from infra.python_function import PythonFunction
from infra.workflow.payloads import RunParts
from infra.workflow.task import ANY_ERROR, RunScope, lambda_task

__all__ = ["record_function", "record_task"]


def record_function(scope: RunScope, parts: RunParts) -> PythonFunction:
    """Make the function that writes a record."""
    return scope.function(
        "RecordRelease",
        name="record_release",
        description="Writes down which model came into service, and why",
        permissions=[
            Permission(
                actions=["s3:PutObject"],
                resources=[parts.dataset.arn(f"{contract.RELEASES_PREFIX}*")],
                reason=OBJECTS,
            )
        ],
        timeout=cdk.Duration.minutes(1),
    )


def record_task(
    scope: RunScope,
    name: str,
    *,
    function: PythonFunction,
    kind: contract.ChangeKind,
    config: str,
    replaced: str,
    why: str,
    following: sfn.IChainable,
) -> sfn.CustomState:
    """Return a state that writes a record → `following`, also where it cannot: the release counts, not its record.

    Args:
        scope: The scope of the run's states.
        name: Name of the state.
        function: What `record_function` made.
        kind: What happened.
        config: JSONPath of the configuration in service from now on.
        replaced: JSONPath of the one before.
        why: JSONPath of the reason.
        following: The state after it.
    """
    # what changed, when, and by which run
    record = lambda_task(
        scope,
        function,
        name=name,
        payload={
            "at.$": "$$.State.EnteredTime",
            "kind": kind,
            "config.$": config,
            "replaced.$": replaced,
            "execution.$": "$$.Execution.Id",
            "overrides.$": "$.overrides",
            "why.$": why,
            "verdict.$": "$.verdict",
        },
        result_path="$.recorded",
    )

    # a record that cannot be written keeps nothing from going on
    record.add_catch(following, errors=ANY_ERROR, result_path="$.recorded")
    record.next(following)
    return record
