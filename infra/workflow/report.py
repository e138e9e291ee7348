"""Behind good and bad runs alike: the run's report, a page in the bucket."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.workflow.task import lambda_task

__all__ = ["report_phase"]


def report_phase(scope: Construct, *, function_arn: str, following: sfn.State) -> sfn.CustomState:
    """Report → `following`; `$.report.uri` is the page. Its own failure does not change how the run ended."""
    report = lambda_task(
        scope,
        "Report",
        function_arn=function_arn,
        payload={"run.$": "$", "execution.$": "$$.Execution.Id", "state_machine.$": "$$.StateMachine.Id"},
        result_path="$.report",
        timeout=cdk.Duration.minutes(6),
    )
    report.add_catch(following, errors=["States.ALL"], result_path="$.report")
    report.next(following)
    return report
