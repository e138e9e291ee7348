"""A batch has the key and the network of the stack, as its jobs have."""

from __future__ import annotations

import pytest

from cli.batch.job import BatchJobs
from cli.model_in_service import ModelInService
from infra.outputs import StackOutput
from infra.settings import Settings
from tests.cli.batch.cloud import FakeCloud

KEY = "arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555"
BUCKETS = "arn:aws:kms:eu-west-1:123456789012:key/99999999-2222-3333-4444-555555555555"
VPC = {"Subnets": ["subnet-01234567"], "SecurityGroupIds": ["sg-01234567"]}


def started(cloud: FakeCloud, **overrides: str) -> tuple[dict[str, object], dict[str, object]]:
    """The model and the transform job of a batch with these settings."""
    cloud.settings = Settings.from_context({"environments": {"dev": {}}, **overrides})
    cloud.s3.put_object(Bucket="data", Key="manifest", Body=b'[{"prefix": "s3://data/dataset/"}]')
    container = {"Image": "image:1", "ModelDataUrl": "s3://data/runs/run-7/model.tar.gz"}
    model = ModelInService(name="whippet-dev-run-7", container=container)
    jobs = BatchJobs(cloud, "0" * 12)  # type: ignore[arg-type]
    jobs.start(1, model=model, manifest="s3://data/manifest", answers="s3://data/batches/1/", parameters="")
    return cloud.models[jobs.model_name], cloud.jobs[jobs.name(1)]


def test_answers_and_disk_have_the_stacks_key() -> None:
    cloud = FakeCloud()
    cloud.outputs = {StackOutput.KMS_KEY_ARN: KEY}
    _, job = started(cloud)
    assert job["TransformOutput"]["KmsKeyId"] == KEY  # type: ignore[index]
    assert job["TransformResources"]["VolumeKmsKeyId"] == KEY  # type: ignore[index]


def test_a_machine_with_local_storage_gets_no_key_which_sagemaker_would_refuse() -> None:
    cloud = FakeCloud()
    cloud.outputs = {StackOutput.KMS_KEY_ARN: KEY}
    _, job = started(cloud, **{"batch.instance_type": "ml.c5d.xlarge"})
    assert "VolumeKmsKeyId" not in job["TransformResources"]  # type: ignore[operator]


def test_answers_in_an_existing_bucket_have_its_key() -> None:
    _, job = started(FakeCloud(), **{"dataset.bucket": "data", "dataset.bucket_key": BUCKETS})
    assert job["TransformOutput"]["KmsKeyId"] == BUCKETS  # type: ignore[index]


@pytest.mark.parametrize("in_vpc", [True, False])
def test_the_batchs_model_is_in_the_vpc_of_the_settings(in_vpc: bool) -> None:
    network = {"security.subnets": "subnet-01234567", "security.security_groups": "sg-01234567"} if in_vpc else {}
    model, _ = started(FakeCloud(), **network)
    assert model.get("VpcConfig") == (VPC if in_vpc else None)
    assert model["EnableNetworkIsolation"] is True
