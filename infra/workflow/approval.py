"""Phase 5b, with `release.approval=manual`: a person decides whether an accepted model goes into service.

AskApproval ─ an answer → Approved? ─ yes → `following`  (the run's turn, and then ApproveModel)
    ├ ModelRejected, or any other error → RejectModel → …failed  (an answer other than yes: NotApproved → RejectModel)
    └ no answer in time → ExpireApproval → ApprovalTimedOut → …failed
"""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn

import contract
from infra.permissions import OBJECTS, Permission
from infra.python_function import PythonFunction
from infra.workflow.payloads import RunParts
from infra.workflow.task import FailureRoute, RunScope, callback_task, sagemaker_task, text_key

__all__ = ["approval_phase", "approve_model", "reject_model"]


def approval_phase(
    scope: RunScope, *, parts: RunParts, failure: FailureRoute, reject: sfn.State, following: sfn.IChainable
) -> sfn.CustomState:
    """Ask, and wait for SendTaskSuccess (yes) or SendTaskFailure with the error ModelRejected (no, and why).

    Only `{"approved": true}` is a yes: whoever sends the token by hand may send anything.
    """
    hours = parts.settings.release.approval_hours
    ask = callback_task(
        scope,
        _function(scope, parts),
        payload={
            "token.$": "$$.Task.Token",
            "run.$": "$.plan.run",
            "execution.$": "$$.Execution.Id",
            "verdict.$": "$.verdict",
            "package.$": "$.package.arn",
        },
        result_path="$.approval",
        timeout=cdk.Duration.hours(hours),
    )

    # an answer
    other = FailureRoute(reject).fail(
        scope, "NotApproved", error="ModelRejected", cause='The answer that was sent is not {"approved": true}.'
    )
    answer = sfn.Choice(scope, "Approved?")
    answer.when(sfn.Condition.is_not_present("$.approval.approved"), other)
    answer.when(sfn.Condition.boolean_equals("$.approval.approved", True), following)
    answer.otherwise(other)
    ask.next(answer)

    # no answer in time
    unanswered = f"Nobody answered within {hours} hours (setting release.approval_hours)."
    expire = _update(scope, "ExpireApproval", status="Rejected", failure=failure, description=unanswered)
    expire.next(
        failure.fail(
            scope,
            "ApprovalTimedOut",
            error="ApprovalTimedOut",
            cause=f"{unanswered} The model was not released, the one in service stays.",
        )
    )
    ask.add_catch(expire, errors=["States.Timeout"], result_path="$.approval")

    # ModelRejected is a person's no. After any other error nobody will answer: no package is left waiting for it.
    FailureRoute(reject).catch(ask)
    return ask


def approve_model(scope: RunScope, *, failure: FailureRoute, following: sfn.IChainable) -> sfn.CustomState:
    """ApproveModel → `following`; return ApproveModel, which the registry then shows."""
    approve = _update(scope, "ApproveModel", status="Approved", failure=failure)
    approve.next(following)
    return approve


def reject_model(scope: RunScope, *, failure: FailureRoute) -> sfn.CustomState:
    """RejectModel → …failed; return RejectModel, which takes back the approval that the verdict gave."""
    said = "States.Format('Run {} did not release it: its report says why.', $.plan.run)"
    reject = _update(scope, "RejectModel", status="Rejected", failure=failure, description=said)
    reject.next(failure.handler)
    return reject


def _function(scope: RunScope, parts: RunParts) -> PythonFunction:
    approvals = parts.dataset.arn(contract.approval_key("*"))
    return scope.function(
        "AskApproval",
        name="ask_approval",
        description="Asks a person whether the model may go into service",
        environment={
            "TOPIC_ARN": parts.topic.topic_arn,
            "APPROVAL_HOURS": str(parts.settings.release.approval_hours),
        },
        permissions=[
            Permission(actions=["s3:PutObject"], resources=[approvals], reason=OBJECTS),
            Permission(actions=["sns:Publish"], resources=[parts.topic.topic_arn]),
        ],
        timeout=cdk.Duration.minutes(1),
    )


def _update(
    scope: RunScope, name: str, *, status: str, failure: FailureRoute, description: str | None = None
) -> sfn.CustomState:
    """Return a state that sets the approval of the model package."""
    state = sagemaker_task(
        scope,
        name,
        call="updateModelPackage",
        payload={
            "ModelPackageArn.$": "$.package.arn",
            "ModelApprovalStatus": status,
            **({text_key("ApprovalDescription", description): description} if description else {}),
        },
    )
    failure.catch(state)
    return state
