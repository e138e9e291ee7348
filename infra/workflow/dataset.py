"""Phase 1: look at the photos, split them, and plan the run."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.workflow.jobs import JobParts
from infra.workflow.task import FailureRoute, lambda_task

__all__ = ["dataset_phase"]


def dataset_phase(
    scope: Construct, *, parts: JobParts, function_arn: str, failure: FailureRoute
) -> tuple[sfn.Pass, sfn.CustomState]:
    """Start → CheckDataset; afterwards `$.plan` holds everything that is not known before the run.

    Returns the first and the last state.
    """
    start = sfn.Pass(
        scope,
        "Start",
        comment="Whatever the execution was given are overrides of the settings.",
        parameters={"overrides.$": "$", "execution.$": "$$.Execution.Name", "failure": {}},
    )
    check = lambda_task(
        scope,
        "CheckDataset",
        function_arn=function_arn,
        payload={
            "overrides.$": "$.overrides",
            "execution.$": "$.execution",
            "trial": {"image": parts.tuning_image, "source": parts.trial_source_uri},
        },
        result_path="$.plan",
        timeout=cdk.Duration.minutes(16),
    )
    failure.catch(check)
    start.next(check)
    return start, check
