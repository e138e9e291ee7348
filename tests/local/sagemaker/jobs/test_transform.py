"""Transform jobs: a container is asked about each object, and what it refuses fails the job and no other object."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from local.sagemaker import SageMaker, SageMakerError
from tests.local.sagemaker.conftest import IMAGE, ROLE, FakeHost, eventually


def create_model(sagemaker: SageMaker, s3: Any, bucket: str, **environment: str) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        entry = tarfile.TarInfo("model.txt")
        entry.size = len(b"v1")
        tar.addfile(entry, io.BytesIO(b"v1"))
    s3.put_object(Bucket=bucket, Key="model.tar.gz", Body=packed.getvalue())
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{bucket}/model.tar.gz", "Environment": environment}
    sagemaker.call("CreateModel", {"ModelName": "m", "ExecutionRoleArn": ROLE, "PrimaryContainer": container})


def request(bucket: str, name: str, *, uri: str = "in/", kind: str = "S3Prefix", **members: Any) -> dict[str, Any]:
    return {
        "TransformJobName": name,
        "ModelName": "m",
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": kind, "S3Uri": f"s3://{bucket}/{uri}"}},
            "ContentType": "application/x-image",
        },
        "TransformOutput": {"S3OutputPath": f"s3://{bucket}/out", "Accept": "application/json"},
        "TransformResources": {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1},
        **members,
    }


def ended(sagemaker: SageMaker, name: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        job = sagemaker.call("DescribeTransformJob", {"TransformJobName": name})
        return job if job["TransformJobStatus"] in ("Completed", "Failed", "Stopped") else None

    result: dict[str, Any] = eventually(look)
    return result


def keys(s3: Any, bucket: str) -> list[str]:
    return [item["Key"] for item in s3.list_objects_v2(Bucket=bucket, Prefix="out/").get("Contents", [])]


def put(s3: Any, bucket: str, **objects: bytes) -> None:
    for key, body in objects.items():
        s3.put_object(Bucket=bucket, Key=f"in/{key.replace('__', '/')}", Body=body)


def test_each_object_of_a_prefix_gets_an_answer_below_the_output_path(
    sagemaker: SageMaker, s3: Any, bucket: str, host: FakeHost
) -> None:
    create_model(sagemaker, s3, bucket)
    put(s3, bucket, a=b"12", deep__b=b"123")
    sagemaker.call("CreateTransformJob", request(bucket, "all", MaxConcurrentTransforms=4))
    job = ended(sagemaker, "all")
    assert job["TransformJobStatus"] == "Completed"
    assert job["TransformEndTime"] >= job["TransformStartTime"]
    assert keys(s3, bucket) == ["out/a.out", "out/deep/b.out"]
    answer = json.loads(s3.get_object(Bucket=bucket, Key="out/deep/b.out")["Body"].read())
    assert answer == {"model": "v1", "bytes": 3, "type": "application/x-image", "accept": "application/json"}
    assert host.events[-1][0] == "SageMaker Transform Job State Change"
    assert [one["TransformJobName"] for one in sagemaker.call("ListTransformJobs", {})["TransformJobSummaries"]] == [
        "all"
    ]
    assert (ROLE, "SageMaker") in host.sessions


def test_a_manifest_names_the_objects(sagemaker: SageMaker, s3: Any, bucket: str) -> None:
    create_model(sagemaker, s3, bucket)
    put(s3, bucket, a=b"12", deep__b=b"123", c=b"1")
    manifest = [{"prefix": f"s3://{bucket}/in/"}, "deep/b", "c"]
    s3.put_object(Bucket=bucket, Key="manifest.json", Body=json.dumps(manifest).encode())
    sagemaker.call("CreateTransformJob", request(bucket, "some", uri="manifest.json", kind="ManifestFile"))
    assert ended(sagemaker, "some")["TransformJobStatus"] == "Completed"
    assert keys(s3, bucket) == ["out/c.out", "out/deep/b.out"]


@pytest.mark.parametrize(("body", "whose"), [(b"refuse", "ClientError"), (b"break", "AlgorithmError")])
def test_an_object_that_fails_fails_the_job_and_the_others_are_answered(
    sagemaker: SageMaker, s3: Any, bucket: str, logs: Any, body: bytes, whose: str
) -> None:
    create_model(sagemaker, s3, bucket)
    put(s3, bucket, a=b"12", bad=body, z=b"1")
    sagemaker.call("CreateTransformJob", request(bucket, f"bad-{whose.lower()}"))
    job = ended(sagemaker, f"bad-{whose.lower()}")
    assert job["TransformJobStatus"] == "Failed"
    assert job["FailureReason"] == f"{whose}: See job logs for more information"
    assert keys(s3, bucket) == ["out/a.out", "out/z.out"]

    def lines() -> list[str]:
        group = "/aws/sagemaker/TransformJobs"
        streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=job["TransformJobName"])
        names = [one["logStreamName"] for one in streams["logStreams"] if one["logStreamName"].endswith("/data-log")]
        events = [logs.get_log_events(logGroupName=group, logStreamName=name)["events"] for name in names]
        return [event["message"] for found in events for event in found if f"{bucket}/in/bad" in event["message"]]

    assert whose in eventually(lines)[0]


def test_an_object_above_the_largest_payload_fails(sagemaker: SageMaker, s3: Any, bucket: str) -> None:
    create_model(sagemaker, s3, bucket)
    put(s3, bucket, a=bytes(2**20), large=bytes(2**20 + 1))
    sagemaker.call("CreateTransformJob", request(bucket, "large", MaxPayloadInMB=1))
    assert ended(sagemaker, "large")["TransformJobStatus"] == "Failed"
    assert keys(s3, bucket) == ["out/a.out"]


def test_a_stopped_job_leaves_the_answers_that_it_had(
    sagemaker: SageMaker, s3: Any, bucket: str, tmp_path: Path
) -> None:
    create_model(sagemaker, s3, bucket)
    put(s3, bucket, a=b"12", b=b"slow", c=b"1")
    variables = {"RELEASE_FILE": str(tmp_path / "go")}
    sagemaker.call("CreateTransformJob", request(bucket, "halted", Environment=variables))
    eventually(lambda: keys(s3, bucket) == ["out/a.out"])
    sagemaker.call("StopTransformJob", {"TransformJobName": "halted"})
    (tmp_path / "go").touch()
    assert ended(sagemaker, "halted")["TransformJobStatus"] == "Stopped"
    assert keys(s3, bucket) == ["out/a.out", "out/b.out"]
    with pytest.raises(SageMakerError, match="in status Stopped"):
        sagemaker.call("StopTransformJob", {"TransformJobName": "halted"})


def test_the_container_is_told_that_it_runs_in_a_batch(
    sagemaker: SageMaker, s3: Any, bucket: str, tmp_path: Path
) -> None:
    create_model(sagemaker, s3, bucket, FIRST="model", SECOND="model")
    put(s3, bucket, a=b"variables")
    job = request(
        bucket,
        "told",
        Environment={"SECOND": "job"},
        BatchStrategy="SingleRecord",
        MaxPayloadInMB=5,
        MaxConcurrentTransforms=3,
    )
    sagemaker.call("CreateTransformJob", job)
    assert ended(sagemaker, "told")["TransformJobStatus"] == "Completed"
    answer = json.loads(s3.get_object(Bucket=bucket, Key="out/a.out")["Body"].read())
    expected = {
        "FIRST": "model",
        "SECOND": "job",
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_BATCH_STRATEGY": "SINGLE_RECORD",
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "3",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": "5",
    }
    assert {name: answer[name] for name in expected} == expected


def test_an_empty_prefix_fails_the_job(sagemaker: SageMaker, s3: Any, bucket: str) -> None:
    create_model(sagemaker, s3, bucket)
    sagemaker.call("CreateTransformJob", request(bucket, "nothing"))
    assert "No S3 objects found" in ended(sagemaker, "nothing")["FailureReason"]


def test_a_container_that_does_not_start_fails_the_job(sagemaker: SageMaker, s3: Any, bucket: str) -> None:
    create_model(sagemaker, s3, bucket, REFUSE_TO_START="1")
    put(s3, bucket, a=b"1")
    sagemaker.call("CreateTransformJob", request(bucket, "dead"))
    assert "ping health check" in ended(sagemaker, "dead")["FailureReason"]


def test_a_job_whose_container_never_gets_healthy_is_stopped(sagemaker: SageMaker, s3: Any, bucket: str) -> None:
    create_model(sagemaker, s3, bucket, UNHEALTHY="1")
    put(s3, bucket, a=b"1")
    sagemaker.call("CreateTransformJob", request(bucket, "sick"))
    eventually(lambda: "TransformStartTime" in sagemaker.call("DescribeTransformJob", {"TransformJobName": "sick"}))
    sagemaker.call("StopTransformJob", {"TransformJobName": "sick"})
    assert ended(sagemaker, "sick")["TransformJobStatus"] == "Stopped"


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"ModelName": "other"}, "Could not find model"),
        ({"MaxConcurrentTransforms": 20, "MaxPayloadInMB": 6}, "at most 100"),
        ({"DataProcessing": {"OutputFilter": "$"}}, "does not support DataProcessing"),
        ({"TransformResources": {"InstanceType": "ml.c5.xlarge", "InstanceCount": 2}}, "InstanceCount=1"),
    ],
)
def test_what_cannot_be_played_is_refused(
    sagemaker: SageMaker, s3: Any, bucket: str, members: dict[str, Any], told: str
) -> None:
    create_model(sagemaker, s3, bucket)
    with pytest.raises(SageMakerError, match=told):
        sagemaker.call("CreateTransformJob", request(bucket, "wrong", **members))


def test_a_name_is_taken_for_ever_and_another_is_unknown(sagemaker: SageMaker, s3: Any, bucket: str) -> None:
    create_model(sagemaker, s3, bucket)
    put(s3, bucket, a=b"1")
    sagemaker.call("CreateTransformJob", request(bucket, "once"))
    ended(sagemaker, "once")
    with pytest.raises(SageMakerError) as taken:
        sagemaker.call("CreateTransformJob", request(bucket, "once"))
    assert taken.value.code == "ResourceInUse"
    with pytest.raises(SageMakerError, match="Could not find requested job with name: other"):
        sagemaker.call("DescribeTransformJob", {"TransformJobName": "other"})
    arn = sagemaker.resource_arn("StopTransformJob", {"TransformJobName": "once"})
    assert arn.endswith(":transform-job/once")
