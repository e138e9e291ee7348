"""Phase 5c, where the settings want it: a person is asked before a good model goes into service.

AskApproval ─ an answer → Approved? ─ yes → ApproveModel → `following`
    ├ ModelRejected, or any other error → RejectModel → …failed  (an answer that is no yes: NotApproved → RejectModel)
    └ no answer in time → ExpireApproval → ApprovalTimedOut → …failed
"""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.workflow.registry import approval_update
from infra.workflow.task import FailureRoute, callback_task

__all__ = ["approval_phase"]


def approval_phase(
    scope: Construct, *, function_arn: str, hours: int, failure: FailureRoute, following: sfn.IChainable
) -> sfn.CustomState:
    """Ask, and wait for SendTaskSuccess (yes) or SendTaskFailure with the error ModelRejected (no, and why).

    Only `{"approved": true}` is a yes: whoever sends the token by hand may send anything.
    """
    ask = callback_task(
        scope,
        "AskApproval",
        function_arn=function_arn,
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
    approve = approval_update(scope, "ApproveModel", status="Approved", failure=failure)
    approve.next(following)
    reject = approval_update(scope, "RejectModel", status="Rejected", failure=failure)
    reject.next(failure.handler)
    other = FailureRoute(reject).fail(
        scope, "NotApproved", error="ModelRejected", cause='The answer that was sent is not {"approved": true}.'
    )
    answer = sfn.Choice(scope, "Approved?")
    answer.when(sfn.Condition.is_not_present("$.approval.approved"), other)
    answer.when(sfn.Condition.boolean_equals("$.approval.approved", True), approve)
    answer.otherwise(other)
    ask.next(answer)

    unanswered = f"Nobody answered within {hours} hours (setting release.approval_hours)."
    expire = approval_update(
        scope, "ExpireApproval", status="Rejected", failure=failure, description={"ApprovalDescription": unanswered}
    )
    expire.next(
        failure.fail(
            scope,
            "ApprovalTimedOut",
            error="ApprovalTimedOut",
            cause=f"{unanswered} The model was not released, the one in service stays.",
        )
    )
    ask.add_catch(expire, errors=["States.Timeout"], result_path="$.approval")
    # ModelRejected is a person's no. After any other error nobody will be asked again: no package waits for an answer.
    FailureRoute(reject).catch(ask)
    return ask
