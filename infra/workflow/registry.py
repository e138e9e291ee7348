"""Phase 5b: every judged model stands in the model registry, with its measures, its decision and its approval."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.settings import ReleaseSettings
from infra.workflow.task import FailureRoute, sagemaker_task

__all__ = ["approval_update", "register_phase"]

_CONTENT_TYPES = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp", "image/tiff", "application/json")


def register_phase(
    scope: Construct,
    *,
    settings: ReleaseSettings,
    group: str,
    image_uri: str,
    code_version: str,
    failure: FailureRoute,
    following: sfn.IChainable,
) -> sfn.CustomState:
    """RegisterModel → `following`; `$.package.arn` is the model package, of rejected models, too.

    A version in a group takes the group's tags and refuses tags of its own (CreateModelPackage).
    """
    register = sagemaker_task(
        scope,
        "RegisterModel",
        call="createModelPackage",
        payload={
            "ModelPackageGroupName": group,
            "ModelPackageDescription.$": "States.Format('Run {}', $.plan.run)",
            "ClientToken.$": "$.plan.run",
            "InferenceSpecification": {
                "Containers": [{"Image": image_uri, "ModelDataUrl.$": "$.training.model"}],
                "SupportedContentTypes": list(_CONTENT_TYPES),
                "SupportedResponseMIMETypes": ["application/json"],
                "SupportedRealtimeInferenceInstanceTypes": [settings.instance_type],
            },
            "ModelMetrics": {
                "ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri.$": "$.verdict.evaluation"}}
            },
            "ModelApprovalStatus.$": "$.verdict.approval",
            "MetadataProperties": {"CommitId": code_version, "GeneratedBy.$": "$.training.job"},
            "CustomerMetadataProperties.$": "$.verdict.metadata",
        },
        result_path="$.package",
        result_selector={"arn.$": "$.ModelPackageArn"},
    )
    failure.catch(register)
    register.next(following)
    return register


def approval_update(
    scope: Construct, name: str, *, status: str, failure: FailureRoute, description: Mapping[str, str] | None = None
) -> sfn.CustomState:
    """A state that sets the model package's approval."""
    state = sagemaker_task(
        scope,
        name,
        call="updateModelPackage",
        payload={
            "ModelPackageArn.$": "$.package.arn",
            "ModelApprovalStatus": status,
            **(description or {}),
        },
    )
    failure.catch(state)
    return state
