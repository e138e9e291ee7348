"""Phase 6a: an update that SageMaker rolled back: say why, and take the model's approval back.

ExplainRollout → RolledBack → RejectRolledBack → …failed
"""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn

from infra.endpoint_alarms import alarm_names
from infra.permissions import Permission
from infra.workflow.payloads import RunParts
from infra.workflow.task import ANY_ERROR, FailureRoute, RunScope, lambda_task, sagemaker_task

__all__ = ["explain_rollout", "reject_after_rollout"]


def reject_after_rollout(scope: RunScope, name: str, *, said: str, failure: FailureRoute) -> sfn.CustomState:
    """Return the state that takes the approval back which the registry shows → …failed; `said` is its reason."""
    reject = sagemaker_task(
        scope,
        name,
        call="updateModelPackage",
        payload={
            "ModelPackageArn.$": "$.package.arn",
            "ModelApprovalStatus": "Rejected",
            "ApprovalDescription": said,
        },
    )
    failure.catch(reject)
    reject.next(failure.handler)
    return reject


def explain_rollout(
    scope: RunScope, parts: RunParts, failure: FailureRoute, *, unexplained: sfn.IChainable
) -> sfn.CustomState:
    """ExplainRollout → … → failed, or `unexplained` where the alarms could not be asked; return ExplainRollout."""
    reject = reject_after_rollout(
        scope, "RejectRolledBack", said="It was taken back during its rollout.", failure=failure
    )

    # the run's failure stands before one of the registry
    rolled_back = sfn.Pass(
        scope,
        "RolledBack",
        parameters={"Error.$": "$.rollout.error", "Cause.$": "$.rollout.cause"},
        result_path="$.failure.RolledBack",
    )
    rolled_back.next(reject)

    alarms = alarm_names(parts.settings, parts.names)
    function = scope.function(
        "ExplainRollout",
        name="explain_rollout",
        description="Says why SageMaker took a new model back during its rollout",
        environment={"ALARMS": ",".join(alarms)},
        permissions=[
            Permission(
                actions=["cloudwatch:DescribeAlarmHistory"],
                resources=[parts.names.alarm_arn(name) for name in alarms],
            )
        ],
        timeout=cdk.Duration.minutes(5),
    )
    explain = lambda_task(
        scope,
        function,
        payload={"endpoint.$": "$.endpoint", "begun.$": "$.before.at"},
        result_path="$.rollout",
    )
    explain.add_catch(unexplained, errors=ANY_ERROR, result_path="$.lookup")
    explain.next(rolled_back)
    return explain
