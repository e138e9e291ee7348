"""Phase 5: decide whether the model may go into service, and register it with the decision."""

from __future__ import annotations

import json

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn

import contract
from infra.job_role import read_objects
from infra.permissions import OBJECTS, RUN_NAMES, Permission
from infra.python_function import PythonFunction
from infra.workflow.debugger import rule_evaluator
from infra.workflow.payloads import RunParts
from infra.workflow.task import FailureRoute, RunScope, lambda_task, sagemaker_task

__all__ = ["verdict_function", "verdict_phase", "verdict_task"]


def verdict_phase(
    scope: RunScope, *, parts: RunParts, function: PythonFunction, failure: FailureRoute, following: sfn.IChainable
) -> sfn.CustomState:
    """Verdict → RegisterModel → Accepted? → `following`; return Verdict.

    `$.verdict` is then the decision and `$.package.arn` the model package, of a rejected model too. A rejected model
    ends the run as `ModelRejected`, and one with too few test photos to tell as `TooFewTestPhotos`, unless a person is
    asked; the model in service stays.
    """
    verdict = verdict_task(scope, "Verdict", function=function, failure=failure)

    # every model is registered, a rejected one too
    register = _register(scope, parts)
    failure.catch(register)

    rejected = failure.fail(scope, "ModelRejected", error="ModelRejected", cause="$.verdict.cause")
    undecided = failure.fail(scope, "TooFewTestPhotos", error="TooFewTestPhotos", cause="$.verdict.cause")
    accepted = sfn.Choice(scope, "Accepted?")
    accepted.when(sfn.Condition.boolean_equals("$.verdict.accepted", True), following)
    accepted.when(sfn.Condition.boolean_equals("$.verdict.undecided", True), undecided)
    accepted.otherwise(rejected)
    verdict.next(register).next(accepted)
    return verdict


def verdict_task(scope: RunScope, name: str, *, function: PythonFunction, failure: FailureRoute) -> sfn.CustomState:
    """Return a state that judges the run's model; `$.verdict` is then the decision."""
    verdict = lambda_task(
        scope,
        function,
        name=name,
        payload={
            "run.$": "$.plan.run",
            "training_job.$": "$.training.job",
            "model.$": "$.training.model",
            "mode.$": "$.plan.hyperparameters.mode",
            "debugger.$": "$.debugger.evaluator",
        },
        result_path="$.verdict",
    )
    failure.catch(verdict)
    return verdict


def verdict_function(scope: RunScope, parts: RunParts) -> PythonFunction:
    """Make the function that judges models."""
    release, debugger = parts.settings.release, parts.settings.debugger
    permissions = [
        *read_objects(parts.dataset, ["runs/*"]),
        Permission(actions=["s3:PutObject"], resources=[parts.dataset.arn("runs/*")], reason=OBJECTS),
        Permission(actions=["sagemaker:DescribeEndpoint"], resources=[parts.names.endpoint_arn]),
        *parts.sleep_record.read(),
    ]
    # SageMaker Debugger tells the results of its rules with the training job.
    if rule_evaluator(parts) in ("auto", "managed"):
        permissions.append(
            Permission(
                actions=["sagemaker:DescribeTrainingJob"],
                resources=parts.names.of_runs("training-job"),
                reason=RUN_NAMES,
            )
        )
    return scope.function(
        "Verdict",
        name="verdict",
        description="Decides whether the model may go into service",
        environment={
            "ENDPOINT_NAME": parts.names.endpoint,
            "SLEEP_RECORD": parts.sleep_record.name,
            # what a model must reach
            "MIN_ACCURACY": str(release.min_accuracy),
            "ACCURACY_BY": release.accuracy_by,
            "MIN_CLASS_RECALL": str(release.min_class_recall),
            "MAX_NEAR_COPIES": str(release.max_near_copies),
            "TOLERANCE": str(release.tolerance),
            "SIGNIFICANCE": str(release.significance),
            # empty: not asked for
            "MIN_KNOWN_SHARE": "" if release.min_known_share is None else str(release.min_known_share),
            "MAX_COVERAGE_GAP": "" if release.max_coverage_gap is None else str(release.max_coverage_gap),
            "APPROVAL": release.approval,
            # the rules that must have a result, and those that must find no issue
            "RULES": json.dumps(debugger.evaluated(parts.settings.training.mode)),
            "BLOCKING_RULES": json.dumps(debugger.block),
            "CODE_VERSION": parts.code_version,
        },
        permissions=permissions,
        # The whole archive of the output is unpacked as a stream, although the tensors in it are not used.
        timeout=cdk.Duration.minutes(10),
        memory_mib=1769,
    )


def _register(scope: RunScope, parts: RunParts) -> sfn.CustomState:
    """Return the state RegisterModel.

    It has no tags: a version in a group has the group's tags and refuses its own (CreateModelPackage).
    """
    inference = {
        "Containers": [parts.serving_container],
        "SupportedContentTypes": list(contract.CONTENT_TYPES),
        "SupportedResponseMIMETypes": ["application/json"],
        "SupportedRealtimeInferenceInstanceTypes": [parts.settings.release.instance_type],
    }
    statistics = {"ContentType": "application/json", "S3Uri.$": "$.verdict.evaluation"}
    return sagemaker_task(
        scope,
        "RegisterModel",
        call="createModelPackage",
        payload={
            "ModelPackageGroupName": parts.names.model_package_group,
            "ModelPackageDescription.$": "States.Format('Run {}', $.plan.run)",
            "ClientToken.$": "$.plan.run",
            "InferenceSpecification": inference,
            "ModelMetrics": {"ModelQuality": {"Statistics": statistics}},
            "ModelApprovalStatus.$": "$.verdict.approval",
            "MetadataProperties": {"CommitId": parts.code_version, "GeneratedBy.$": "$.training.job"},
            "CustomerMetadataProperties.$": "$.verdict.metadata",
        },
        result_path="$.package",
        result_selector={"arn.$": "$.ModelPackageArn"},
        implied=_looked_at(parts),
    )


def _looked_at(parts: RunParts) -> list[Permission]:
    """Return the permissions with which CreateModelPackage looks at the image and the model that it registers.

    The call has no role of its own. CloudFormation's schema of AWS::SageMaker::ModelPackage lists these four.
    """
    permissions = read_objects(parts.dataset, ["runs/*"])
    if parts.serving_repository_arn:
        image = ["ecr:BatchGetImage", "ecr:DescribeImages"]
        permissions.append(Permission(actions=image, resources=[parts.serving_repository_arn]))
    return permissions
