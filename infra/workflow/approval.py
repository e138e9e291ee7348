"""Phase 5b, with `release.approval=manual`: a person decides whether an accepted model goes into service.

AskApproval ─ an answer → Approved? ─ yes → DescribeInService → SameInService? ─ yes → ApproveModel → `following`
    │                                                  └ another model serves by now → VerdictAgain ─┘ accepted
    ├ ModelRejected, or any other error → RejectModel → …failed  (an answer other than yes: NotApproved → RejectModel)
    └ no answer in time → ExpireApproval → ApprovalTimedOut → …failed
"""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn

import contract
from infra.permissions import OBJECTS, Permission
from infra.python_function import PythonFunction
from infra.workflow.endpoint import LOOKUP, NOT_THERE, describe_endpoint
from infra.workflow.payloads import RunParts
from infra.workflow.task import ANY_ERROR, LOST_ANSWER, FailureRoute, RunScope, callback_task, sagemaker_task
from infra.workflow.verdict import verdict_task

__all__ = ["approval_phase"]


def approval_phase(
    scope: RunScope, *, parts: RunParts, judge: PythonFunction, failure: FailureRoute, following: sfn.IChainable
) -> sfn.CustomState:
    """Ask, and wait for SendTaskSuccess (yes) or SendTaskFailure with the error ModelRejected (no, and why).

    Only `{"approved": true}` is a yes: whoever sends the token by hand may send anything. Days may have passed, so
    that another run's model may serve by then: `judge` then compares the model with that one.
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
    approve = _update(scope, "ApproveModel", status="Approved", failure=failure)
    approve.next(following)
    reject = _update(scope, "RejectModel", status="Rejected", failure=failure)
    reject.next(failure.handler)
    other = FailureRoute(reject).fail(
        scope, "NotApproved", error="ModelRejected", cause='The answer that was sent is not {"approved": true}.'
    )
    answer = sfn.Choice(scope, "Approved?")
    answer.when(sfn.Condition.is_not_present("$.approval.approved"), other)
    still_good = _look_again(scope, parts, judge, failure, approve=approve, reject=reject)
    answer.when(sfn.Condition.boolean_equals("$.approval.approved", True), still_good)
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


def _look_again(
    scope: RunScope,
    parts: RunParts,
    judge: PythonFunction,
    failure: FailureRoute,
    *,
    approve: sfn.IChainable,
    reject: sfn.State,
) -> sfn.CustomState:
    """Judge the model again where another configuration serves than at its verdict; return DescribeInService."""
    again = verdict_task(scope, "VerdictAgain", function=judge, failure=FailureRoute(reject))
    overtaken = FailureRoute(reject).fail(
        scope,
        "Overtaken",
        error="ModelRejected",
        cause="States.Format('A person approved the model, but another model had come into service since its verdict, "
        "and beside that one it did not pass: {}', $.verdict.cause)",
    )
    accepted = sfn.Choice(scope, "StillAccepted?")
    accepted.when(sfn.Condition.boolean_equals("$.verdict.accepted", True), approve).otherwise(overtaken)
    again.next(accepted)

    describe = describe_endpoint(
        scope,
        parts,
        "DescribeInService",
        result_path="$.now",
        result_selector={"status.$": "$.EndpointStatus", "config.$": "$.EndpointConfigName"},
        passing=LOST_ANSWER,
    )
    same = sfn.Choice(scope, "SameInService?")
    same.when(sfn.Condition.string_equals_json_path("$.now.config", "$.verdict.in_service"), approve)
    same.otherwise(again)
    describe.next(same)

    # a model may sleep, which the verdict looks for
    if parts.sleep_record.hours is not None:
        describe.add_catch(again, errors=ANY_ERROR, result_path=LOOKUP)
        return describe

    # no endpoint: as at the verdict, or the verdict looks for itself
    none = sfn.Choice(scope, "StillNoneInService?")
    none.when(
        sfn.Condition.and_(
            sfn.Condition.string_matches(f"{LOOKUP}.Cause", NOT_THERE),
            sfn.Condition.string_equals("$.verdict.in_service", ""),
        ),
        approve,
    )
    none.otherwise(again)
    describe.add_catch(none, errors=ANY_ERROR, result_path=LOOKUP)
    return describe


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
            **({"ApprovalDescription": description} if description else {}),
        },
    )
    failure.catch(state)
    return state
