"""Training jobs that lose their process, and the checkpoints that outlive it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from local.sagemaker.errors import JobFailure
from local.sagemaker.jobs import folder_sync
from local.sagemaker.object_cache import ObjectCache
from local.sagemaker.transfer import Transfer
from tests.local.sagemaker.conftest import FakeHost, Jobs, eventually
from tests.local.sagemaker.jobs.test_training import archive


def statuses(job: dict[str, Any]) -> list[str]:
    return [entry["Status"] for entry in job["SecondaryStatusTransitions"]]


def checkpoints(jobs: Jobs) -> dict[str, Any]:
    return {"CheckpointConfig": {"S3Uri": f"s3://{jobs.bucket}/kept", "LocalPath": "/opt/ml/checkpoints"}}


def test_a_killed_job_is_started_again_with_its_checkpoints(jobs: Jobs, s3: Any) -> None:
    job = jobs.run(
        "comes-back",
        hyperparameters={"action": "count", "steps": "3"},
        RetryStrategy={"MaximumRetryAttempts": 5},
        **checkpoints(jobs),
    )
    assert job["TrainingJobStatus"] == "Completed"
    assert statuses(job) == [
        "Starting",
        *["Downloading", "Training", "Restarting"] * 2,
        *["Downloading", "Training", "Uploading", "Completed"],
    ]
    assert job["RetryStrategy"] == {"MaximumRetryAttempts": 5}
    assert archive(s3, jobs.bucket, "out/comes-back/output/model.tar.gz") == {"steps.txt": b"3"}


def test_retries_end_with_their_number(jobs: Jobs) -> None:
    job = jobs.run(
        "gives-up",
        hyperparameters={"action": "count", "steps": "5"},
        RetryStrategy={"MaximumRetryAttempts": 2},
        **checkpoints(jobs),
    )
    assert job["TrainingJobStatus"] == "Failed"
    assert statuses(job).count("Training") == 3
    assert job["FailureReason"].endswith("exit code: 137")


def test_a_program_that_fails_by_itself_is_not_tried_again(jobs: Jobs) -> None:
    job = jobs.run("failing", hyperparameters={"action": "fail"}, RetryStrategy={"MaximumRetryAttempts": 5})
    assert job["TrainingJobStatus"] == "Failed"
    assert statuses(job).count("Training") == 1


def test_a_retried_job_without_checkpoints_starts_anew(jobs: Jobs) -> None:
    job = jobs.run(
        "forgets",
        hyperparameters={"action": "count", "steps": "2"},
        RetryStrategy={"MaximumRetryAttempts": 2},
    )
    assert job["TrainingJobStatus"] == "Failed"
    assert statuses(job).count("Training") == 3


def test_checkpoints_are_in_s3_while_the_job_runs_and_after_it_was_stopped(
    jobs: Jobs, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_sync, "INTERVAL", 0.1)
    jobs.start("long", hyperparameters={"action": "save-and-wait"}, **checkpoints(jobs))
    found = eventually(lambda: s3.list_objects_v2(Bucket=jobs.bucket, Prefix="kept/").get("Contents"))
    assert [entry["Key"] for entry in found] == ["kept/saved.txt"]
    assert jobs.describe("long")["TrainingJobStatus"] == "InProgress"
    jobs.sagemaker.call("StopTrainingJob", {"TrainingJobName": "long"})
    assert jobs.ended("long")["TrainingJobStatus"] == "Stopped"


def keys(s3: Any, bucket: str, prefix: str) -> list[str]:
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]


def test_a_checkpoint_that_the_program_deletes_is_deleted_in_s3(
    jobs: Jobs, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A-44. What the job never had stays, such as an object beside its checkpoints."""
    monkeypatch.setattr(folder_sync, "INTERVAL", 0.05)
    s3.put_object(Bucket=jobs.bucket, Key="kept/0.txt", Body=b"of the attempt before")
    s3.put_object(Bucket=jobs.bucket, Key="kept-elsewhere.txt", Body=b"")
    jobs.start("rotates", hyperparameters={"action": "rotate", "pause": "2"}, **checkpoints(jobs))
    eventually(lambda: keys(s3, jobs.bucket, "kept/") == ["kept/1.txt", "kept/2.txt"])
    assert jobs.describe("rotates")["TrainingJobStatus"] == "InProgress"
    assert jobs.ended("rotates")["TrainingJobStatus"] == "Completed"
    assert keys(s3, jobs.bucket, "kept") == ["kept-elsewhere.txt", "kept/3.txt"]


def test_a_checkpoint_that_another_host_still_has_stays(jobs: Jobs, s3: Any, tmp_path: Path, host: FakeHost) -> None:
    hosts = [tmp_path / "algo-1", tmp_path / "algo-2"]
    for folder in hosts:
        folder.mkdir()
        (folder / "shared.txt").write_text("1")
    transfer = Transfer(host.credentials("role", "test"), role_arn="role", cache=ObjectCache(tmp_path / "cache"))
    sync = folder_sync.FolderSync(
        transfer, uri=f"s3://{jobs.bucket}/both", folders=hosts, on_refused_deletion=pytest.fail
    )
    sync._synchronise()
    (hosts[0] / "shared.txt").unlink()
    sync._synchronise()
    assert keys(s3, jobs.bucket, "both/") == ["both/shared.txt"]
    (hosts[1] / "shared.txt").unlink()
    sync._synchronise()
    assert keys(s3, jobs.bucket, "both/") == []


def test_a_stopped_jobs_last_checkpoints_are_kept(jobs: Jobs, s3: Any, logs: Any) -> None:
    jobs.start("short", hyperparameters={"action": "save-and-wait"}, **checkpoints(jobs))
    eventually(lambda: jobs.describe("short")["SecondaryStatus"] == "Training")
    group = "/aws/sagemaker/TrainingJobs"
    eventually(lambda: _said(logs, group, "short", "waiting"))
    jobs.sagemaker.call("StopTrainingJob", {"TrainingJobName": "short"})
    jobs.ended("short")
    assert s3.get_object(Bucket=jobs.bucket, Key="kept/saved.txt")["Body"].read() == b"kept"


def _said(logs: Any, group: str, job: str, line: str) -> bool:
    try:
        streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{job}/")["logStreams"]
    except logs.exceptions.ResourceNotFoundException:
        return False
    return any(
        event["message"] == line
        for stream in streams
        for event in logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])["events"]
    )


def test_a_file_that_vanishes_while_it_is_synchronised_is_passed_over(
    host: FakeHost, bucket: str, s3: Any, tmp_path: Path
) -> None:
    transfer = Transfer(host.credentials("role", "test"), role_arn="role", cache=ObjectCache(tmp_path / "cache"))
    there, gone = tmp_path / "there.txt", tmp_path / "gone.txt"
    there.write_text("1")
    transfer.upload_files([gone, there], tmp_path, f"s3://{bucket}/x/", may_vanish=True)
    assert s3.get_object(Bucket=bucket, Key="x/there.txt")["Body"].read() == b"1"
    with pytest.raises(JobFailure, match=r"gone\.txt"):
        transfer.upload_files([gone], tmp_path, f"s3://{bucket}/x/")


def test_spot_jobs_run_and_say_what_they_would_cost(jobs: Jobs) -> None:
    job = jobs.run(
        "spot",
        EnableManagedSpotTraining=True,
        StoppingCondition={"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 120},
    )
    assert job["TrainingJobStatus"] == "Completed"
    assert job["EnableManagedSpotTraining"] is True
    assert job["StoppingCondition"]["MaxWaitTimeInSeconds"] == 120
    assert job["BillableTimeInSeconds"] <= job["TrainingTimeInSeconds"]
