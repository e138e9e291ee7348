"""Jobs with EnableNetworkIsolation: no network, no credentials, and inputs and outputs all the same."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from local.sagemaker import SageMaker, SageMakerError
from local.sagemaker.jobs.mounts import supported
from tests.local.sagemaker.conftest import FakeHost, Jobs, channel
from tests.local.sagemaker.jobs.test_processing import ended, request
from tests.local.sagemaker.jobs.test_training import archive

VPC = {"Subnets": ["subnet-01234567"], "SecurityGroupIds": ["sg-01234567"]}

SEEN = """
import json, os, pathlib, socket, sys

def reaches(place):
    try:
        socket.create_connection(place, 2).close()
        return True
    except OSError:
        return False

with socket.create_server(("127.0.0.1", 0)) as own:
    seen = {
        "cloud": reaches(("127.0.0.1", int(os.environ["CLOUD_PORT"]))),
        "itself": reaches(own.getsockname()),
        "credentials": sorted(name for name in os.environ if name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")),
    }
pathlib.Path(sys.argv[1], "seen.json").write_text(json.dumps(seen))
"""
"""What a program sees of the network, as JSON in the folder of its first argument."""

needs_namespaces = pytest.mark.skipif(not supported(), reason="this machine has no user namespaces for jobs")


def variables(host: FakeHost) -> dict[str, str]:
    return {"CLOUD_PORT": str(urlsplit(host.endpoint_url).port)}


@needs_namespaces
@pytest.mark.parametrize("isolated", [True, False])
def test_a_trainings_container_has_neither_network_nor_credentials(
    jobs: Jobs, s3: Any, host: FakeHost, isolated: bool
) -> None:
    s3.put_object(Bucket=jobs.bucket, Key="code/seen.py", Body=SEEN.encode())
    algorithm = jobs.request("seen")["AlgorithmSpecification"] | {
        "ContainerEntrypoint": ["python3", "/opt/ml/input/data/code/seen.py"],
        "ContainerArguments": ["/opt/ml/model"],
    }
    members = {
        "AlgorithmSpecification": algorithm,
        "InputDataConfig": [channel("code", f"s3://{jobs.bucket}/code/seen.py")],
        "Environment": variables(host),
        "EnableNetworkIsolation": isolated,
    }
    job = jobs.run("seen", **members)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert job["EnableNetworkIsolation"] is isolated
    seen = json.loads(archive(s3, jobs.bucket, "out/seen/output/model.tar.gz")["seen.json"])
    assert seen["cloud"] is not isolated
    assert seen["itself"] is True, "loopback is up in a container"
    assert bool(seen["credentials"]) is not isolated


@needs_namespaces
def test_a_processing_container_has_neither_network_nor_credentials(
    sagemaker: SageMaker, s3: Any, bucket: str, host: FakeHost
) -> None:
    s3.put_object(Bucket=bucket, Key="in/seen.py", Body=SEEN.encode())
    asked = request(bucket, "seen", Environment=variables(host))
    asked["AppSpecification"] |= {
        "ContainerEntrypoint": ["python3", "/opt/ml/processing/input/seen.py"],
        "ContainerArguments": ["/opt/ml/processing/output"],
    }
    asked["NetworkConfig"] = {"EnableNetworkIsolation": True, "VpcConfig": VPC}
    sagemaker.call("CreateProcessingJob", asked)
    job = ended(sagemaker, "seen")
    assert job["ProcessingJobStatus"] == "Completed", job.get("FailureReason")
    assert job["NetworkConfig"] == {"EnableNetworkIsolation": True, "VpcConfig": VPC}
    seen = json.loads(s3.get_object(Bucket=bucket, Key="out/seen.json")["Body"].read())
    assert seen == {"cloud": False, "itself": True, "credentials": []}


def test_the_vpc_of_a_training_is_described_and_a_wrong_one_refused(jobs: Jobs) -> None:
    assert jobs.run("in-vpc", VpcConfig=VPC)["VpcConfig"] == VPC
    with pytest.raises(SageMakerError, match=r"vpcConfig\.securityGroupIds"):
        jobs.start("half", VpcConfig={"Subnets": VPC["Subnets"]})
    with pytest.raises(SageMakerError, match=r"vpcConfig\.securityGroupIds"):
        jobs.start("odd", VpcConfig={**VPC, "SecurityGroupIds": ["not a group!"]})
