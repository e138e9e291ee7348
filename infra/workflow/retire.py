"""After a release: models and endpoint configurations that nothing can fall back to any more are deleted."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.workflow.task import lambda_task

__all__ = ["retire_phase"]


def retire_phase(scope: Construct, *, function_arn: str, following: sfn.State) -> sfn.CustomState:
    """Retire → `following`; a failure does not undo the release, the notification mentions it."""
    retire = lambda_task(
        scope,
        "Retire",
        function_arn=function_arn,
        payload={"current.$": "$.plan.name", "previous.$": "$.before.config"},
        result_path="$.retired",
        timeout=cdk.Duration.minutes(6),
    )
    retire.add_catch(following, errors=["States.ALL"], result_path="$.retired")
    retire.next(following)
    return retire
