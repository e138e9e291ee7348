"""After a release: delete the models and configurations that nothing can fall back to any more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn

import contract
from infra.permissions import NO_RESOURCES, RUN_NAMES, Permission
from infra.workflow.payloads import RunParts
from infra.workflow.task import ANY_ERROR, RunScope, lambda_task

__all__ = ["retire_phase"]


def retire_phase(scope: RunScope, *, parts: RunParts, following: sfn.State) -> sfn.CustomState:
    """Retire → `following`; return Retire.

    It deletes models and endpoint configurations, except the current ones and those of the last releases before, by
    the setting `release.kept`. Its failure does not undo the release; the notification mentions it.
    """
    function = scope.function(
        "Retire",
        name="retire",
        description="Deletes models and configurations that nothing can fall back to any more",
        permissions=[
            # Listing has no resources in IAM; the Lambda takes only what carries the environment's prefix.
            Permission(
                actions=["sagemaker:ListEndpointConfigs", "sagemaker:ListModels"],
                resources=["*"],
                reason=NO_RESOURCES,
            ),
            Permission(
                actions=["sagemaker:DeleteEndpointConfig", "sagemaker:DeleteModel"],
                resources=parts.names.of_runs("endpoint-config", "model"),
                reason=RUN_NAMES,
            ),
            # the keys of the records say which releases were the last ones
            Permission(
                actions=["s3:ListBucket"],
                resources=[parts.dataset.bucket.bucket_arn],
                conditions={"StringLike": {"s3:prefix": [f"{contract.RELEASES_PREFIX}*"]}},
            ),
            *parts.sleep_record.read(),
        ],
        environment={
            "SLEEP_RECORD": parts.sleep_record.name,
            "RELEASES_KEPT": str(parts.settings.release.kept),
        },
        timeout=cdk.Duration.minutes(5),
    )
    payload: Mapping[str, Any] = {"current.$": "$.plan.name", "previous.$": "$.before.config"}
    retire = lambda_task(scope, function, payload=payload, result_path="$.retired")
    retire.add_catch(following, errors=ANY_ERROR, result_path="$.retired")
    retire.next(following)
    return retire
