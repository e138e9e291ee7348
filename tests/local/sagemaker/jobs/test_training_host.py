"""Training jobs on several instances: processes of this machine that know of each other."""

from __future__ import annotations

import json
import shutil
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from local.sagemaker.jobs import mounts
from local.sagemaker.jobs.training_host import host_names
from tests.local.sagemaker.conftest import Jobs, channel
from tests.local.sagemaker.jobs.test_training import archive


def on(count: int) -> dict[str, Any]:
    return {"ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": count, "VolumeSizeInGB": 10}}


@pytest.mark.parametrize("count", [1, 2, 8])
def test_every_host_resolves_and_the_first_one_leads(count: int) -> None:
    names = host_names(count)
    assert len(set(names)) == count
    assert names == sorted(names), "the toolkit takes the first in alphabetical order as the master"
    addresses = [socket.gethostbyname(name) for name in names]
    assert addresses[0] == "127.0.0.1"
    assert len(set(addresses)) == count


def test_each_host_sees_its_share_and_their_models_are_merged(jobs: Jobs, s3: Any) -> None:
    for number in range(5):
        s3.put_object(Bucket=jobs.bucket, Key=f"data/{number}.txt", Body=b"1")
    uri = f"s3://{jobs.bucket}/data/"
    sharded = channel("data", uri, S3DataDistributionType="ShardedByS3Key")
    job = jobs.run("two", hyperparameters={"action": "hosts"}, InputDataConfig=[sharded], **on(2))
    assert job["TrainingJobStatus"] == "Completed"
    model = archive(s3, jobs.bucket, "out/two/output/model.tar.gz")
    shares = [json.loads(model[f"files-of-{number}.json"]) for number in (1, 2)]
    assert shares == [["0.txt", "2.txt", "4.txt"], ["1.txt", "3.txt"]]
    assert model["shared.txt"] == b"127.0.0.1", "of a file that both have, the first host's is kept"


def test_replicated_data_is_whole_on_every_host(jobs: Jobs, s3: Any) -> None:
    s3.put_object(Bucket=jobs.bucket, Key="data/a.txt", Body=b"1")
    output = {"S3OutputPath": f"s3://{jobs.bucket}/out", "CompressionType": "NONE"}
    data = [channel("data", f"s3://{jobs.bucket}/data/")]
    jobs.run("whole", hyperparameters={"action": "hosts"}, InputDataConfig=data, OutputDataConfig=output, **on(3))
    folder = "out/whole/output/model/"
    for number in (1, 2, 3):
        body = s3.get_object(Bucket=jobs.bucket, Key=f"{folder}files-of-{number}.json")["Body"].read()
        assert json.loads(body) == ["a.txt"]
    assert s3.get_object(Bucket=jobs.bucket, Key=f"{folder}shared.txt")["Body"].read() == b"127.0.0.1"


def test_one_failing_host_stops_the_others(jobs: Jobs) -> None:
    started = time.monotonic()
    job = jobs.run("broken", hyperparameters={"action": "hosts", "failing": "127.0.0.2"}, **on(2))
    assert job["FailureReason"] == "AlgorithmError: 127.0.0.2 has had enough, exit code: 4"
    assert time.monotonic() - started < 100, "the other host would have slept for two minutes"


def test_a_hosts_own_name_leads_to_no_address_and_gloo_is_not_told_its_interface(jobs: Jobs, s3: Any) -> None:
    """As in AWS's image (A-16): what needs an address names its network interface itself."""
    if not mounts.supported() or shutil.which("hostname") is None:
        pytest.skip("this machine gives users no namespaces, or has no command `hostname`")
    before = socket.gethostname()
    job = jobs.run("named", hyperparameters={"action": "name"}, **on(2))
    assert job["TrainingJobStatus"] == "Completed", job
    name, address, interface = archive(s3, jobs.bucket, "out/named/output/model.tar.gz")["seen.txt"].decode().split()
    assert name == "instance.invalid"
    assert interface == "None"
    assert socket.gethostname() == before, "the machine keeps its name"
    if "myhostname" not in Path("/etc/nsswitch.conf").read_text():
        assert address == "none"


def test_each_host_has_a_log_of_its_own(jobs: Jobs, logs: Any) -> None:
    jobs.run("talks", hyperparameters={"action": "hosts"}, **on(2))
    group = "/aws/sagemaker/TrainingJobs"
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="talks/")["logStreams"]
    assert sorted(stream["logStreamName"].rsplit("-", 1)[0] for stream in streams) == ["talks/algo-1", "talks/algo-2"]
    for number, stream in enumerate(sorted(streams, key=lambda item: item["logStreamName"]), start=1):
        events = logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])["events"]
        assert events[0]["message"] == f'host 127.0.0.{number} of ["127.0.0.1", "127.0.0.2"]'
