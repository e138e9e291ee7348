"""Phase 5: is the model good enough to be released? The registry keeps it with the answer."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.workflow.task import FailureRoute, lambda_task

__all__ = ["accepted", "verdict_phase"]


def verdict_phase(
    scope: Construct, *, function_arn: str, failure: FailureRoute, following: sfn.IChainable
) -> sfn.CustomState:
    """Verdict → `following`; `$.verdict.accepted` says what was decided."""
    verdict = lambda_task(
        scope,
        "Verdict",
        function_arn=function_arn,
        payload={
            "run.$": "$.plan.run",
            "training_job.$": "$.training.job",
            "model.$": "$.training.model",
            "mode.$": "$.plan.hyperparameters.mode",
            "debugger.$": "$.debugger.evaluator",
        },
        result_path="$.verdict",
        timeout=cdk.Duration.minutes(11),
    )
    failure.catch(verdict)
    verdict.next(following)
    return verdict


def accepted(scope: Construct, *, failure: FailureRoute, following: sfn.IChainable) -> sfn.Choice:
    """Accepted? → `following`; a rejected model ends the run as `ModelRejected`, the one in service is left alone."""
    rejected = failure.fail(scope, "ModelRejected", error="ModelRejected", cause="$.verdict.cause")
    choice = sfn.Choice(scope, "Accepted?")
    choice.when(sfn.Condition.boolean_equals("$.verdict.accepted", True), following)
    choice.otherwise(rejected)
    return choice
