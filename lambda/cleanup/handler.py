"""Cleanup, a custom resource: deletes what the runs made outside of CloudFormation, when the stack is destroyed."""

from __future__ import annotations

from collections.abc import Mapping

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from shared.custom_resource import CustomResourceEvent, Deadline, respond
from shared.first_few import first_few
from shared.patience import LONGEST_CALL_SECONDS, PATIENT, patiently
from shared.scaling import end_scaling
from shared.sleep_record import put_record

from .bucket_emptying import empty_bucket
from .run_remains import delete_endpoint, delete_endpoint_configs, delete_model_packages, delete_models
from .running_work import stop_all_jobs, stop_executions

__all__ = ["handler"]

logger = Logger()
s3 = boto3.client("s3", config=PATIENT)
sagemaker = boto3.client("sagemaker", config=PATIENT)
states = boto3.client("stepfunctions", config=PATIENT)
autoscaling = boto3.client("application-autoscaling", config=PATIENT)
POLL_SECONDS = 5.0
"""Time between two looks at the jobs and the endpoint."""


@logger.inject_lambda_context
def handler(event: CustomResourceEvent, context: LambdaContext) -> None:
    """On deletion stop and delete all that the runs of the environment made, as far as the function's time goes.

    Whatever is left then is named in the answer, and the next deletion goes on with it.
    """
    properties = event["ResourceProperties"]

    def work(deadline: Deadline) -> Mapping[str, str]:
        if event["RequestType"] == "Delete":
            _clean_up(properties, deadline)
        return {}

    respond(
        event,
        context,
        physical_id=f"{properties['Prefix']}-cleanup",
        longest_call_seconds=LONGEST_CALL_SECONDS,
        work=work,
    )


def _clean_up(properties: Mapping[str, str], deadline: Deadline) -> None:
    prefix, endpoint = f"{properties['Prefix']}-", properties["Endpoint"]
    sleep_record = properties.get("SleepRecord", "")  # of an older stack's resource

    # the API wakes no model any more
    if sleep_record:
        put_record(sleep_record, None)

    # what costs money, and executions first: they would make more
    stop_executions(states, properties["StateMachineArn"], deadline)
    stop_all_jobs(sagemaker, prefix, deadline)
    delete_endpoint(sagemaker, endpoint, deadline)

    # what need not wait for the jobs' and the endpoint's end
    delete_models(sagemaker, prefix, deadline)
    delete_model_packages(sagemaker, properties["ModelPackageGroup"], deadline)
    if properties["EmptyBucket"]:
        empty_bucket(s3, properties["EmptyBucket"], deadline)

    # SageMaker has ended the endpoint's scaling with it, if nobody deleted it by hand without the permission to
    _wait(properties, prefix, deadline)
    doing = f"ending the scaling of {endpoint}"
    patiently(lambda: end_scaling(autoscaling, endpoint=endpoint), deadline=deadline, doing=doing)
    delete_endpoint_configs(sagemaker, prefix, deadline)

    # Until its configuration was deleted, a request that had read the record before could still create the endpoint.
    if sleep_record:
        _wait(properties, prefix, deadline)


def _wait(properties: Mapping[str, str], prefix: str, deadline: Deadline) -> None:
    """Wait until no job is left and the endpoint is gone; when no job is left, empty the bucket again.

    A stopped job uploads what it has, and CloudFormation deletes only an empty bucket.
    """
    endpoint, to_empty = properties["Endpoint"], properties["EmptyBucket"]
    while True:
        jobs = stop_all_jobs(sagemaker, prefix, deadline)
        status = delete_endpoint(sagemaker, endpoint, deadline)

        if not jobs and to_empty:
            empty_bucket(s3, to_empty, deadline)
            to_empty = ""
        if not jobs and status is None:
            return

        waited_for = [f"the endpoint {endpoint}, which is {status}"] if status else []
        waited_for += [f"the end of {first_few(jobs)}"] if jobs else []
        deadline.pause(POLL_SECONDS, f"waiting for {' and '.join(waited_for)}")
