"""The stack's clean-up on an account in which jobs and endpoints take their time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

# sets what the functions need of an environment, before they are imported
from tests.fakes.lambda_context import Context

# isort: split
from cleanup import handler as cleanup
from shared.patience import LONGEST_CALL_SECONDS

from tests.fakes.cloudformation import answering, event
from tests.local.cloud.conftest import SERVING_IMAGE, until

if TYPE_CHECKING:
    from tests.local.cloud.account.conftest import Documented


@dataclass
class Hurried(Context):
    """A function that has some seconds of work left."""

    ends: float = 0

    def get_remaining_time_in_millis(self) -> int:
        return round((self.ends - time.monotonic()) * 1000)


@pytest.fixture
def destroy(strict: Documented, name: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Have the clean-up of the environment `name` deleted, and return what it answers to CloudFormation."""
    for attribute, service in (("s3", "s3"), ("sagemaker", "sagemaker"), ("states", "stepfunctions")):
        monkeypatch.setattr(cleanup, attribute, strict.client(service))
    monkeypatch.setattr(cleanup, "POLL_SECONDS", 0.2)

    def delete(*, seconds: float, bucket: str = "") -> dict[str, Any]:
        properties = {
            "Prefix": name,
            "Endpoint": name,
            "ModelPackageGroup": name,
            "StateMachineArn": f"arn:aws:states:us-east-1:000000000000:stateMachine:{name}",
            "EmptyBucket": bucket,
        }
        context = Hurried(ends=time.monotonic() + 20 + LONGEST_CALL_SECONDS + seconds)
        with answering() as (url, came):
            cleanup.handler(event(url, "Delete", properties), context)  # type: ignore[arg-type]
        return came[0]

    return delete


def test_what_a_job_uploads_after_its_stop_is_deleted_with_the_bucket(
    strict: Documented, training: dict[str, Any], destroy: Callable[..., dict[str, Any]], name: str
) -> None:
    """A-20."""
    bucket, job = f"{name}-bucket", f"{name}-slow"
    sagemaker, s3 = strict.client("sagemaker"), strict.client("s3")
    s3.create_bucket(Bucket=bucket)
    strict.write(stopping=[{"kind": "TrainingJob", "name": job, "seconds": 3}])
    output = {"OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/output"}}
    sagemaker.create_training_job(**training | output | {"TrainingJobName": job})
    until(
        lambda: sagemaker.describe_training_job(TrainingJobName=job), lambda seen: seen["SecondaryStatus"] == "Training"
    )
    # for its program to write a model
    time.sleep(1)

    assert destroy(seconds=60, bucket=bucket)["Status"] == "SUCCESS"
    assert sagemaker.describe_training_job(TrainingJobName=job)["TrainingJobStatus"] == "Stopped"
    s3.delete_bucket(Bucket=bucket)


def test_an_endpoint_that_stays_creating_is_deleted_by_the_next_destroy(
    strict: Documented, jobs_role: str, destroy: Callable[..., dict[str, Any]], name: str
) -> None:
    """A-21."""
    sagemaker, own = strict.client("sagemaker"), f"{name}-1"
    strict.write(creating=[{"name": name, "seconds": 3600}])
    sagemaker.create_model(ModelName=own, ExecutionRoleArn=jobs_role, PrimaryContainer={"Image": SERVING_IMAGE})
    variant = {"VariantName": "AllTraffic", "ModelName": own, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName=own, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=own)

    first = destroy(seconds=3)
    assert first["Status"] == "FAILED"
    assert f"waiting for the endpoint {name}, which is Creating" in first["Reason"]
    assert sagemaker.list_models(NameContains=name)["Models"] == []
    assert sagemaker.list_endpoint_configs(NameContains=name)["EndpointConfigs"] != []

    strict.write()
    assert destroy(seconds=60)["Status"] == "SUCCESS"
    assert sagemaker.list_endpoints(NameContains=name)["Endpoints"] == []
    assert sagemaker.list_endpoint_configs(NameContains=name)["EndpointConfigs"] == []
