"""Phase 1: check the photos, split them, and plan the run."""

from __future__ import annotations

import json

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn

import contract
from infra.cost import cost_plan
from infra.dataset import Dataset
from infra.permissions import NO_RESOURCES, OBJECTS, RUN_NAMES, Permission
from infra.python_function import PythonFunction
from infra.quotas import machines
from infra.scaling import Scaling
from infra.workflow.endpoint import POLLED
from infra.workflow.payloads import RunParts
from infra.workflow.task import FailureRoute, RunScope, lambda_task

__all__ = ["dataset_phase"]


def dataset_phase(scope: RunScope, *, parts: RunParts, failure: FailureRoute, following: sfn.IChainable) -> sfn.Pass:
    """Start → CheckDataset → `following`; return Start.

    `$.plan` then holds everything that is not known before the run.
    """
    settings = parts.settings
    start = sfn.Pass(
        scope,
        "Start",
        comment="The input of the execution overrides settings.",
        parameters={
            "overrides.$": "$",
            "execution.$": "$$.Execution.Name",
            "started.$": "$$.Execution.StartTime",
            "failure": {},
            "polls": {member: {"times": 0} for member in POLLED},
            "before": {"status": "NotThere", "config": "", "at": ""},
        },
    )
    check = lambda_task(
        scope,
        _function(scope, parts),
        payload={
            "overrides.$": "$.overrides",
            "execution.$": "$.execution",
            "started.$": "$.started",
            # Earlier jobs are compatible only if they ran the same code in the same image.
            "trial": {
                "image": parts.training_image.uri(parts.trial_instance_type),
                "source": parts.trial_source_uri,
            },
            "training": {
                "image": parts.training_image.uri(settings.training.instance_type),
                "source": parts.source_uri,
            },
        },
        result_path="$.plan",
    )
    failure.catch(check)
    start.next(check).next(following)
    return start


def _function(scope: RunScope, parts: RunParts) -> PythonFunction:
    dataset, settings = parts.dataset, parts.settings
    # A run may name any prefix of a bucket that the stack owns; of an existing bucket only the setting's. The model in
    # service is found by the decision of its run.
    summary = f"manifest/{contract.Artefact.DATASET_SUMMARY}"  # of a run that is tried again
    read = (contract.Artefact.DECISION, contract.MODEL_ARCHIVE, summary)
    of_runs = [f"{contract.RUNS_PREFIX}*/{name}" for name in read]
    patterns = ["features/*", *of_runs, *filter(None, [settings.training.weights])]
    elsewhere = [dataset.arn(pattern) for pattern in patterns]
    cost = cost_plan(settings)
    planned_with = settings.model_dump(mode="json", include={"dataset", "tuning", "training"})
    return scope.function(
        "CheckDataset",
        name="check_dataset",
        description="Checks and splits the photos, plans the run",
        environment={
            "COST_PLAN": "" if cost is None else json.dumps(cost, sort_keys=True),
            "ENDPOINT_NAME": parts.names.endpoint,
            "MACHINES": json.dumps(machines(settings), sort_keys=True),
            "READABLE_PREFIX": dataset.readable_prefix,
            "SETTINGS": json.dumps(planned_with, sort_keys=True),
            "SLEEP_RECORD": parts.sleep_record.name,
            "STATE_MACHINE_ARN": parts.names.state_machine_arn,
        },
        permissions=[
            # list the photos and compare them, read what earlier runs left, write the manifest
            Permission(
                actions=["s3:ListBucket"],
                resources=[dataset.bucket.bucket_arn],
                conditions={"StringLike": {"s3:prefix": [f"{dataset.readable_prefix}*", "features/*"]}},
            ),
            Permission(
                actions=["s3:GetObject"],
                resources=[dataset.arn(f"{dataset.readable_prefix}*"), *([] if dataset.owned else elsewhere)],
                reason=OBJECTS,
            ),
            Permission(actions=["s3:PutObject"], resources=[dataset.arn("runs/*")], reason=OBJECTS),
            # Hold the account's quotas against the run's needs; the fleet in service counts against the endpoint's.
            Permission(actions=["servicequotas:ListServiceQuotas"], resources=["*"], reason=NO_RESOURCES),
            Permission(actions=["sagemaker:DescribeEndpoint"], resources=[parts.names.endpoint_arn]),
            Permission(
                actions=["sagemaker:DescribeEndpointConfig"],
                resources=parts.names.of_runs("endpoint-config"),
                reason=RUN_NAMES,
            ),
            *parts.sleep_record.read(),
            # what a run that is tried again has completed
            Permission(
                actions=["sagemaker:DescribeHyperParameterTuningJob", "sagemaker:DescribeTrainingJob"],
                resources=parts.names.of_runs("hyper-parameter-tuning-job", "training-job"),
                reason=RUN_NAMES,
            ),
            # Listing has no resources in IAM; the Lambda takes only what carries the environment's prefix.
            *(
                [Permission(actions=["sagemaker:ListHyperParameterTuningJobs"], resources=["*"], reason=NO_RESOURCES)]
                if settings.tuning.warm_start
                else []
            ),
            *(_keep_ceiling(parts) if cost is not None else []),
        ],
        # 100,000 photos are listed in 100 calls, which takes much less; a whole vCPU begins at 1,769 MiB.
        timeout=cdk.Duration.minutes(15),
        memory_mib=1769,
    )


def _keep_ceiling(parts: RunParts) -> list[Permission]:
    """Return the permissions to learn what the month has cost, and to write and read what is claimed of it."""
    dataset, claims = parts.dataset, parts.dataset.arn(f"{contract.CLAIMS_PREFIX}*")
    return [
        # Listing has no resources in IAM; the Lambda takes only what carries the environment's prefix.
        Permission(
            actions=[
                "sagemaker:ListTrainingJobs",
                "sagemaker:ListHyperParameterTuningJobs",
                "sagemaker:ListProcessingJobs",
                "sagemaker:ListTransformJobs",
            ],
            resources=["*"],
            reason=NO_RESOURCES,
        ),
        Permission(
            actions=["sagemaker:DescribeProcessingJob", "sagemaker:DescribeTransformJob"],
            resources=parts.names.of_runs("processing-job", "transform-job"),
            reason=RUN_NAMES,
        ),
        Permission(actions=["states:ListExecutions"], resources=[parts.names.state_machine_arn]),
        Scaling.look(),
        Permission(actions=["s3:PutObject"], resources=[claims], reason=OBJECTS),
        # of a bucket that the stack owns, the function may list and read everything
        *([] if dataset.owned else [Permission(actions=["s3:GetObject"], resources=[claims], reason=OBJECTS)]),
        *([] if dataset.owned else [_list_claims(dataset)]),
    ]


def _list_claims(dataset: Dataset) -> Permission:
    return Permission(
        actions=["s3:ListBucket"],
        resources=[dataset.bucket.bucket_arn],
        conditions={"StringLike": {"s3:prefix": [contract.CLAIMS_PREFIX]}},
    )
