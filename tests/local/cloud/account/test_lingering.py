"""Resources that take their time: endpoints that stay Creating, jobs that stay Stopping and then upload."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.local.cloud.conftest import SERVING_IMAGE, until

if TYPE_CHECKING:
    from tests.local.cloud.account.conftest import Documented


def test_an_endpoint_may_stay_creating_and_can_then_not_be_deleted(
    strict: Documented, jobs_role: str, name: str
) -> None:
    """A-21. The end of the entry ends the wait."""
    strict.write(creating=[{"name": f"{name}*", "seconds": 3600}])
    sagemaker = strict.client("sagemaker")
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=jobs_role, PrimaryContainer={"Image": SERVING_IMAGE})
    variant = {"VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    time.sleep(3)
    assert _endpoint(sagemaker, name)["EndpointStatus"] == "Creating"
    with pytest.raises(ClientError, match="in-progress endpoint"):
        sagemaker.delete_endpoint(EndpointName=name)

    strict.write()
    seen = until(lambda: _endpoint(sagemaker, name), lambda found: found["EndpointStatus"] != "Creating")
    assert seen["EndpointStatus"] == "InService"
    sagemaker.delete_endpoint(EndpointName=name)


def test_a_stopped_job_may_stay_stopping_and_then_upload(
    strict: Documented, training: dict[str, Any], outputs: str, name: str
) -> None:
    """A-20: whoever empties the bucket meanwhile finds an object in it afterwards."""
    job = f"{name}-slow"
    strict.write(stopping=[{"kind": "TrainingJob", "name": job, "seconds": 2}])
    sagemaker, s3 = strict.client("sagemaker"), strict.client("s3")
    sagemaker.create_training_job(**training | {"TrainingJobName": job})
    until(lambda: _job(sagemaker, job), lambda seen: seen["SecondaryStatus"] == "Training")
    # for its program to write a model
    time.sleep(1)
    sagemaker.stop_training_job(TrainingJobName=job)
    begin = time.monotonic()
    time.sleep(1.5)
    assert _job(sagemaker, job)["TrainingJobStatus"] == "Stopping"
    assert not s3.list_objects_v2(Bucket=outputs, Prefix=f"output/{job}").get("Contents")

    until(lambda: _job(sagemaker, job), lambda seen: seen["TrainingJobStatus"] == "Stopped")
    assert time.monotonic() - begin >= 2
    (uploaded,) = s3.list_objects_v2(Bucket=outputs, Prefix=f"output/{job}/output/model")["Contents"]
    assert uploaded["Key"].endswith("model.tar.gz")


def _endpoint(sagemaker: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] = sagemaker.describe_endpoint(EndpointName=name)
    return found


def _job(sagemaker: Any, job: str) -> dict[str, Any]:
    found: dict[str, Any] = sagemaker.describe_training_job(TrainingJobName=job)
    return found
