"""Phase 7, of successful and failed runs alike: write the report, publish the result, and end the execution with it."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn

import contract
from infra.job_role import read_objects
from infra.permissions import OBJECTS, RUN_NAMES, Permission
from infra.python_function import PythonFunction
from infra.workflow.payloads import RunParts
from infra.workflow.task import ANY_ERROR, RunScope, lambda_task

__all__ = ["outcome_phase"]

_REPORT_PACKAGES = ("jinja2", "markupsafe")
_CHARTING_LIBRARY = "node_modules/echarts/dist/echarts.min.js"


def outcome_phase(scope: RunScope, *, parts: RunParts) -> sfn.CustomState:
    """Report → Notify → Outcome? → Result → Succeeded, or Failed; return Report.

    A failure of Report does not change how the run ended.
    """
    notify = _notify(scope, parts)
    report = lambda_task(
        scope,
        _report_function(scope, parts),
        payload={"run.$": "$", "execution.$": "$$.Execution.Id", "state_machine.$": "$$.StateMachine.Id"},
        result_path="$.report",
    )
    report.add_catch(notify, errors=ANY_ERROR, result_path="$.report")
    report.next(notify)
    return report


def _notify(scope: RunScope, parts: RunParts) -> sfn.CustomState:
    notify = lambda_task(
        scope,
        _notify_function(scope, parts),
        payload={"execution.$": "$$.Execution.Id", "state_machine.$": "$$.StateMachine.Id", "run.$": "$"},
        result_path="$.outcome",
    )

    # the notification itself may fail
    not_notified = sfn.Fail(
        scope,
        "NotNotified",
        comment="The notification itself failed: an error of this system, whose reason is in the function's log.",
        error_path="$.notification.Error",
        cause_path="$.notification.Cause",
    )
    notify.add_catch(not_notified, errors=ANY_ERROR, result_path="$.notification")

    # the execution ends as the run did
    result = sfn.Pass(
        scope,
        "Result",
        comment="What a caller of the execution needs; the rest is in its history.",
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
    failed = sfn.Fail(scope, "Failed", error_path="$.outcome.error", cause_path="$.outcome.cause")
    outcome = sfn.Choice(scope, "Outcome?")
    outcome.when(sfn.Condition.string_equals("$.outcome.status", "succeeded"), result)
    outcome.otherwise(failed)
    notify.next(outcome)
    return notify


def _report_function(scope: RunScope, parts: RunParts) -> PythonFunction:
    dataset, names = parts.dataset, parts.names
    pages = (contract.Artefact.REPORT, contract.Artefact.PROFILE_PAGE)

    # what the page tells of each kind of the run's resources
    described = {
        "training-job": ["sagemaker:DescribeTrainingJob"],
        "hyper-parameter-tuning-job": [
            "sagemaker:DescribeHyperParameterTuningJob",
            "sagemaker:ListTrainingJobsForHyperParameterTuningJob",
        ],
        "processing-job": ["sagemaker:DescribeProcessingJob"],
        "endpoint-config": ["sagemaker:DescribeEndpointConfig"],
    }

    return scope.function(
        "Report",
        name="report",
        description="Writes the run's report, one page",
        environment={
            "CHECKS_DRIFT": "true" if parts.settings.monitoring.checks_drift else "false",
            "PAUSE_AFTER_HOURS": str(parts.sleep_record.hours or ""),
        },
        permissions=[
            # what the run left, and the page
            *read_objects(dataset, ["runs/*"]),
            # what the newest check for drift found
            *_newest_check(parts),
            Permission(
                actions=["s3:PutObject"],
                resources=[dataset.arn(f"runs/*/{page}") for page in pages],
                reason=OBJECTS,
            ),
            # Were photos changed under the run? It may have read any prefix of a bucket that the stack owns.
            Permission(
                actions=["s3:ListBucket"],
                resources=[dataset.bucket.bucket_arn],
                conditions={"StringLike": {"s3:prefix": [f"{dataset.readable_prefix}*"]}},
            ),
            # how good the models of the last runs were
            Permission(actions=["states:ListExecutions"], resources=[names.state_machine_arn]),
            # what its jobs did
            *(
                Permission(actions=actions, resources=names.of_runs(kind), reason=RUN_NAMES)
                for kind, actions in described.items()
            ),
        ],
        timeout=cdk.Duration.minutes(5),
        memory_mib=1024,
        packages=_REPORT_PACKAGES,
        files=[_CHARTING_LIBRARY],
    )


def _newest_check(parts: RunParts) -> list[Permission]:
    if not parts.settings.monitoring.checks_drift:
        return []
    return [Permission(actions=["s3:GetObject"], resources=[parts.dataset.arn(contract.DRIFT_LATEST)])]


def _notify_function(scope: RunScope, parts: RunParts) -> PythonFunction:
    return scope.function(
        "Notify",
        name="notify",
        description="Says how the run ended",
        environment={"TOPIC_ARN": parts.topic.topic_arn},
        permissions=[Permission(actions=["sns:Publish"], resources=[parts.topic.topic_arn])],
        timeout=cdk.Duration.minutes(1),
    )
