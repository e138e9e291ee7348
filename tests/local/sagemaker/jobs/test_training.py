"""Training jobs from CreateTrainingJob to their artefacts."""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest

from local.sagemaker import SageMakerError
from tests.local.sagemaker.conftest import IMAGE, ROLE, FakeHost, Jobs, channel, eventually


def archive(s3: Any, bucket: str, key: str) -> dict[str, bytes]:
    content = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar if entry.isfile()}  # type: ignore[union-attr]


def log_lines(logs: Any, job: str) -> list[str]:
    group = "/aws/sagemaker/TrainingJobs"
    (stream,) = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{job}/")["logStreams"]
    assert re.fullmatch(rf"{job}/algo-1-\d+", stream["logStreamName"])
    events = logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True)
    return [event["message"] for event in events["events"]]


def test_a_job_reads_its_channels_and_leaves_artefacts_metrics_and_logs(
    jobs: Jobs, s3: Any, logs: Any, host: FakeHost, root: Path
) -> None:
    for name in ("cats/1.jpg", "cats/2.jpg", "dogs/1.jpg"):
        s3.put_object(Bucket=jobs.bucket, Key=f"photos/{name}", Body=name.encode())
    job = jobs.run(
        "happy",
        hyperparameters={"x": "0.3", "epochs": "4"},
        InputDataConfig=[channel("photos", f"s3://{jobs.bucket}/photos/")],
        Tags=[{"Key": "team", "Value": "a"}],
    )
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Completed"
    assert [entry["Status"] for entry in job["SecondaryStatusTransitions"]] == [
        "Starting", "Downloading", "Training", "Uploading", "Completed",
    ]  # fmt: skip
    assert all(entry["EndTime"] >= entry["StartTime"] for entry in job["SecondaryStatusTransitions"])
    (metric,) = job["FinalMetricDataList"]
    assert (metric["MetricName"], metric["Value"]) == ("objective", 0.975)
    assert job["TrainingTimeInSeconds"] >= 1
    assert job["BillableTimeInSeconds"] >= 1
    assert job["HyperParameters"] == {"x": "0.3", "epochs": "4"}
    assert job["ModelArtifacts"] == {"S3ModelArtifacts": f"s3://{jobs.bucket}/out/happy/output/model.tar.gz"}
    assert archive(s3, jobs.bucket, "out/happy/output/model.tar.gz") == {"weights/model.txt": b"x=0.3"}
    assert archive(s3, jobs.bucket, "out/happy/output/output.tar.gz") == {"evaluation.json": b"{}"}
    lines = log_lines(logs, "happy")
    assert 'files ["photos/cats/1.jpg", "photos/cats/2.jpg", "photos/dogs/1.jpg"]' in lines
    assert sum("objective=" in line for line in lines) == 4
    details = [detail for kind, detail, _ in host.events if kind == "SageMaker Training Job State Change"]
    assert [detail["SecondaryStatus"] for detail in details][-1] == "Completed"
    assert details[-1]["Tags"] == {"team": "a"}
    eventually(lambda: not (root / "training-jobs/happy").exists())


def test_uncompressed_output_is_laid_out_as_objects(jobs: Jobs, s3: Any) -> None:
    output = {"S3OutputPath": f"s3://{jobs.bucket}/out", "CompressionType": "NONE"}
    job = jobs.run("plain", OutputDataConfig=output)
    assert job["ModelArtifacts"] == {"S3ModelArtifacts": f"s3://{jobs.bucket}/out/plain/output/model/"}
    found = {entry["Key"] for entry in s3.list_objects_v2(Bucket=jobs.bucket, Prefix="out/")["Contents"]}
    assert found == {"out/plain/output/model/weights/model.txt", "out/plain/output/data/evaluation.json"}


def test_failure_reason_is_the_programs_own_with_its_exit_code(jobs: Jobs) -> None:
    job = jobs.run("failing", hyperparameters={"action": "fail"})
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: the loss is not a number, exit code: 3"


def test_a_killed_process_fails_the_job(jobs: Jobs) -> None:
    job = jobs.run("killed", hyperparameters={"action": "die"})
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("AlgorithmError: ")
    assert "ended by SIGKILL, most likely because the machine ran out of memory" in job["FailureReason"]
    assert job["FailureReason"].endswith(", exit code: 137")


@pytest.mark.parametrize("uri", ["s3://{bucket}/nothing/", "s3://{bucket}-of-nobody/photos/"])
def test_input_without_objects_is_refused_in_sagemakers_words(jobs: Jobs, uri: str) -> None:
    """Words of aws/amazon-sagemaker-examples#2267 and #2489."""
    uri = uri.format(bucket=jobs.bucket)
    with pytest.raises(SageMakerError) as error:
        jobs.start("empty", InputDataConfig=[channel("photos", uri)])
    assert error.value.code == "ValidationException"
    assert error.value.message == (
        f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket exists in '
        "the selected region (us-east-1), that objects exist under that S3 prefix, and that the role "
        f'"{ROLE}" has "s3:ListBucket" permissions on bucket "{uri.split("/")[2]}".'
    )
    with pytest.raises(SageMakerError, match="Requested resource not found"):
        jobs.describe("empty")


def test_input_of_empty_folders_only_fails_the_job(jobs: Jobs, s3: Any) -> None:
    """The console makes an object for an empty folder: there is one, but nothing to train on."""
    s3.put_object(Bucket=jobs.bucket, Key="nothing/", Body=b"")
    job = jobs.run("empty", InputDataConfig=[channel("photos", f"s3://{jobs.bucket}/nothing/")])
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: Data download failed:No S3 objects found under S3 URL")
    assert "TrainingStartTime" not in job


def test_a_role_that_cannot_be_assumed_fails_the_job(jobs: Jobs) -> None:
    job = jobs.run("roleless", RoleArn="arn:aws:iam::000000000000:role/missing")
    assert job["TrainingJobStatus"] == "Failed"
    assert "role/missing" in job["FailureReason"]


def test_a_manifest_channel_reads_the_objects_it_lists(jobs: Jobs, s3: Any, logs: Any) -> None:
    for name in ("a.txt", "sub/b.txt", "c.txt"):
        s3.put_object(Bucket=jobs.bucket, Key=f"data/{name}", Body=b"1")
    manifest = json.dumps([{"prefix": f"s3://{jobs.bucket}/data/"}, "a.txt", "sub/b.txt"])
    s3.put_object(Bucket=jobs.bucket, Key="manifest.json", Body=manifest)
    uri = f"s3://{jobs.bucket}/manifest.json"
    jobs.run("listed", InputDataConfig=[channel("data", uri, S3DataType="ManifestFile")])
    assert 'files ["data/a.txt", "data/sub/b.txt"]' in log_lines(logs, "listed")


def test_an_object_whose_name_leaves_the_folder_is_refused(jobs: Jobs, s3: Any) -> None:
    manifest = json.dumps([{"prefix": f"s3://{jobs.bucket}/data/"}, "../../../escape.txt"])
    s3.put_object(Bucket=jobs.bucket, Key="manifest.json", Body=manifest)
    uri = f"s3://{jobs.bucket}/manifest.json"
    job = jobs.run("hostile", InputDataConfig=[channel("data", uri, S3DataType="ManifestFile")])
    assert job["TrainingJobStatus"] == "Failed"


def test_checkpoints_come_back_in_the_next_job(jobs: Jobs, logs: Any) -> None:
    checkpoints = {"S3Uri": f"s3://{jobs.bucket}/checkpoints"}
    jobs.run("first", CheckpointConfig=checkpoints)
    jobs.run("second", CheckpointConfig=checkpoints)
    assert "resumed from nothing" in log_lines(logs, "first")
    assert "resumed from 7" in log_lines(logs, "second")


def test_the_program_sees_its_role_and_its_own_environment_only(
    jobs: Jobs, s3: Any, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SERVICE", "1")
    given = {"COLOUR": "blue", "CACHE": "/opt/ml/model/cache"}
    jobs.run("env", hyperparameters={"action": "environment"}, Environment=given)
    seen = json.loads(archive(s3, jobs.bucket, "out/env/output/output.tar.gz")["environment.json"])
    assert "SECRET_OF_THE_SERVICE" not in seen
    assert seen["COLOUR"] == "blue"
    assert seen["CACHE"] == f"{seen['SAGEMAKER_BASE_DIR']}/model/cache"
    assert seen["FROM_IMAGE"] == "yes"
    assert seen["TRAINING_JOB_NAME"] == "env"
    assert seen["AWS_ACCESS_KEY_ID"] == "test"
    assert seen["AWS_CONFIG_FILE"] == os.devnull
    assert (ROLE, "SageMaker") in host.sessions


def test_a_job_that_writes_to_its_data_does_not_harm_the_next_ones(jobs: Jobs, s3: Any, root: Path) -> None:
    s3.put_object(Bucket=jobs.bucket, Key="data/a.txt", Body=b"good")
    data = [channel("data", f"s3://{jobs.bucket}/data/")]
    jobs.run("one", InputDataConfig=data)
    (kept,) = [path for path in (root / "object-cache").rglob("*") if path.is_file()]
    assert kept.stat().st_mode & 0o222 == 0
    kept.chmod(0o644)
    kept.write_bytes(b"evil")
    script = f"import pathlib; print(pathlib.Path('{root}/training-jobs/two/input/data/data/a.txt').read_text())"
    algorithm = {
        "TrainingImage": IMAGE,
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["python3", "-c", script],
        "MetricDefinitions": [],
    }
    jobs.run("two", InputDataConfig=data, AlgorithmSpecification=algorithm)
    assert kept.read_bytes() == b"good"


def test_a_metric_that_is_no_number_is_passed_over(jobs: Jobs) -> None:
    job = jobs.run("nan", hyperparameters={"constant": "nan"})
    assert job["TrainingJobStatus"] == "Completed"
    assert job["FinalMetricDataList"] == []


def test_an_image_whose_program_is_missing_fails_the_job(jobs: Jobs) -> None:
    request = jobs.request("lost")
    request["AlgorithmSpecification"]["TrainingImage"] = "x/nothing-there:1"
    jobs.sagemaker.call("CreateTrainingJob", request)
    assert "no-such-program" in jobs.ended("lost")["FailureReason"]


def test_closing_the_service_ends_what_runs(jobs: Jobs) -> None:
    jobs.start("running", hyperparameters={"action": "wait"})
    eventually(lambda: jobs.describe("running")["SecondaryStatus"] == "Training")
    jobs.sagemaker.close()
    job = jobs.describe("running")
    assert job["TrainingJobStatus"] == "Failed"
    assert "stopped" in job["FailureReason"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"TrainingJobName": "under_score"}, "regular expression pattern"),
        ({"ResourceConfig": {"InstanceType": "ml.huge", "InstanceCount": 1}}, "enum value set"),
        ({"RoleArn": None}, "'roleArn'"),
        (
            {"OutputDataConfig": {}},
            "'outputDataConfig.s3OutputPath' failed to satisfy constraint: Member must not be null",
        ),
        ({"HyperParameters": {"epochs": 3}}, "must be a string"),
        ({"Colour": "blue"}, "Unknown member 'Colour'"),
        ({"ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 9}}, "at most 8 instances"),
        ({"EnableManagedSpotTraining": True}, "Invalid MaxWaitTimeInSeconds"),
        ({"RetryStrategy": {"MaximumRetryAttempts": 0}}, "greater than or equal to 1"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 0}}, "greater than or equal to 1"),
    ],
)
def test_a_wrong_request_is_refused_and_says_why(jobs: Jobs, change: dict[str, Any], message: str) -> None:
    with pytest.raises(SageMakerError, match=re.escape(message)) as error:
        jobs.sagemaker.call("CreateTrainingJob", jobs.request("wrong") | change)
    assert error.value.code == "ValidationException"
    assert error.value.status == 400


def test_an_unknown_image_is_refused(jobs: Jobs) -> None:
    request = jobs.request("strange")
    request["AlgorithmSpecification"]["TrainingImage"] = "somewhere/else:1"
    with pytest.raises(SageMakerError, match="somewhere/else:1"):
        jobs.sagemaker.call("CreateTrainingJob", request)


@pytest.mark.parametrize("regex", ["(", "no group"])
def test_a_metric_regex_that_cannot_give_a_value_is_refused(jobs: Jobs, regex: str) -> None:
    request = jobs.request("metric")
    request["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "m", "Regex": regex}]
    with pytest.raises(SageMakerError, match="regular expression"):
        jobs.sagemaker.call("CreateTrainingJob", request)


def test_a_name_is_used_once(jobs: Jobs) -> None:
    jobs.run("twice")
    with pytest.raises(SageMakerError) as error:
        jobs.start("twice")
    assert error.value.code == "ResourceInUse"


def test_a_missing_job_is_not_found(jobs: Jobs) -> None:
    with pytest.raises(SageMakerError, match="Requested resource not found") as error:
        jobs.describe("absent")
    assert error.value.code == "ValidationException"
