"""Phase 5: is the model good enough to be released?"""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.workflow.task import FailureRoute, lambda_task

__all__ = ["verdict_phase"]


def verdict_phase(scope: Construct, *, function_arn: str, failure: FailureRoute) -> sfn.CustomState:
    """Verdict; a rejected model fails the state with `ModelRejected` and leaves the one in service alone."""
    verdict = lambda_task(
        scope,
        "Verdict",
        function_arn=function_arn,
        payload={"run.$": "$.plan.run", "training_job.$": "$.training.job", "model.$": "$.training.model"},
        result_path="$.verdict",
        timeout=cdk.Duration.minutes(6),
    )
    failure.catch(verdict)
    return verdict
