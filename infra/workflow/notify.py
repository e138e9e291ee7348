"""The last phase, of good and bad runs alike: say how it went, and end the execution accordingly."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.workflow.task import lambda_task

__all__ = ["notify_phase"]


def notify_phase(scope: Construct, *, function_arn: str) -> sfn.CustomState:
    """Notify → Outcome? → Result → Succeeded, or Failed; returns the first."""
    notify = lambda_task(
        scope,
        "Notify",
        function_arn=function_arn,
        payload={
            "execution.$": "$$.Execution.Id",
            "state_machine.$": "$$.StateMachine.Id",
            "run.$": "$",
        },
        result_path="$.outcome",
        timeout=cdk.Duration.minutes(2),
    )
    failed = sfn.Fail(scope, "Failed", error_path="$.outcome.error", cause_path="$.outcome.cause")
    not_notified = sfn.Fail(
        scope,
        "NotNotified",
        comment="The notification itself broke: a fault of this system, to be read in its log.",
        error_path="$.notification.Error",
        cause_path="$.notification.Cause",
    )
    notify.add_catch(not_notified, errors=["States.ALL"], result_path="$.notification")
    outcome = sfn.Choice(scope, "Outcome?")
    result = sfn.Pass(
        scope,
        "Result",
        comment="What a caller of the execution wants to know; the rest stands in its history.",
        parameters={
            "run.$": "$.plan.run",
            "endpoint.$": "$.smoke_test.endpoint",
            "test_accuracy.$": "$.verdict.test_accuracy",
            "test_images.$": "$.verdict.test_images",
            "decision.$": "$.verdict.decision",
            "model_package.$": "$.package.arn",
            "report.$": "$.outcome.report",
        },
    )
    result.next(sfn.Succeed(scope, "Succeeded"))
    outcome.when(sfn.Condition.string_equals("$.outcome.status", "succeeded"), result)
    outcome.otherwise(failed)
    notify.next(outcome)
    return notify
