"""Cleanup, a custom resource: deletes what the runs made outside of CloudFormation, when the stack is destroyed."""

from __future__ import annotations

from collections.abc import Mapping

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from shared.custom_resource import CustomResourceEvent, Deadline, respond

from .bucket_emptying import empty_bucket
from .run_remains import delete_endpoint, delete_model_packages, delete_models, stop_executions, stop_jobs

__all__ = ["handler"]

logger = Logger()
s3 = boto3.client("s3")
sagemaker = boto3.client("sagemaker")
states = boto3.client("stepfunctions")


@logger.inject_lambda_context
def handler(event: CustomResourceEvent, context: LambdaContext) -> None:
    """On deletion stop executions first, which would make more; then delete jobs, endpoint and models; objects last."""
    properties = event["ResourceProperties"]

    def work(deadline: Deadline) -> Mapping[str, str]:
        if event["RequestType"] == "Delete":
            _clean_up(properties, deadline)
        return {}

    respond(event, context, physical_id=f"{properties['Prefix']}-cleanup", work=work)


def _clean_up(properties: Mapping[str, str], deadline: Deadline) -> None:
    prefix = f"{properties['Prefix']}-"
    stop_executions(states, properties["StateMachineArn"])
    stop_jobs(sagemaker, prefix)
    delete_endpoint(sagemaker, properties["Endpoint"], deadline)
    delete_models(sagemaker, prefix)
    delete_model_packages(sagemaker, properties["ModelPackageGroup"])
    if properties["EmptyBucket"]:
        empty_bucket(s3, properties["EmptyBucket"], deadline)
