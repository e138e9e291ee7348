"""Processing jobs: inputs, the container's paths on this machine, outputs."""

from __future__ import annotations

from typing import Any

import pytest

from local.sagemaker import SageMaker, SageMakerError
from tests.local.sagemaker.conftest import IMAGE, ROLE, FakeHost, eventually

COPY = (
    "import os, pathlib, sys; source, target = map(pathlib.Path, sys.argv[1:]);"
    "[(target / f'{path.name}.out').write_bytes(path.read_bytes().upper()) for path in source.iterdir()];"
    "(pathlib.Path(os.environ['REPORT']) / 'report.txt').write_text('done')"
)


def request(bucket: str, name: str, *, program: str = COPY, **members: Any) -> dict[str, Any]:
    return {
        "ProcessingJobName": name,
        "RoleArn": ROLE,
        "AppSpecification": {
            "ImageUri": IMAGE,
            "ContainerEntrypoint": ["python3", "-c", program],
            "ContainerArguments": ["/opt/ml/processing/input", "/opt/ml/processing/output"],
        },
        "Environment": {"REPORT": "/opt/ml/processing/output"},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10}
        },
        "ProcessingInputs": [
            {
                "InputName": "in",
                "S3Input": {
                    "S3Uri": f"s3://{bucket}/in",
                    "LocalPath": "/opt/ml/processing/input",
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                },
            }
        ],
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": "out",
                    "S3Output": {
                        "S3Uri": f"s3://{bucket}/out",
                        "LocalPath": "/opt/ml/processing/output",
                        "S3UploadMode": "EndOfJob",
                    },
                }
            ]
        },
        **members,
    }


def ended(sagemaker: SageMaker, name: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        job = sagemaker.call("DescribeProcessingJob", {"ProcessingJobName": name})
        return job if job["ProcessingJobStatus"] in ("Completed", "Failed", "Stopped") else None

    result: dict[str, Any] = eventually(look)
    return result


def test_inputs_become_outputs_under_the_containers_paths(
    sagemaker: SageMaker, s3: Any, bucket: str, host: FakeHost
) -> None:
    s3.put_object(Bucket=bucket, Key="in/a.txt", Body=b"hello")
    sagemaker.call("CreateProcessingJob", request(bucket, "copy"))
    job = ended(sagemaker, "copy")
    assert job["ProcessingJobStatus"] == "Completed"
    assert job["ProcessingEndTime"] >= job["ProcessingStartTime"]
    assert s3.get_object(Bucket=bucket, Key="out/a.txt.out")["Body"].read() == b"HELLO"
    assert s3.get_object(Bucket=bucket, Key="out/report.txt")["Body"].read() == b"done"
    assert host.events[-1][1]["ProcessingJobStatus"] == "Completed"


def test_a_failing_program_fails_the_job_with_its_message(sagemaker: SageMaker, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="in/a.txt", Body=b"hello")
    program = "import pathlib, os, sys; pathlib.Path(os.environ['MESSAGE']).write_text('no photos'); sys.exit(4)"
    environment = {"MESSAGE": "/opt/ml/output/message"}
    sagemaker.call("CreateProcessingJob", request(bucket, "broken", program=program, Environment=environment))
    job = ended(sagemaker, "broken")
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"].endswith("exit code: 4")
    assert job["ExitMessage"] == "no photos"


def test_a_job_is_stopped(sagemaker: SageMaker, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="in/a.txt", Body=b"hello")
    program = "import time; time.sleep(120)"
    sagemaker.call("CreateProcessingJob", request(bucket, "long", program=program))
    eventually(lambda: "ProcessingStartTime" in sagemaker.call("DescribeProcessingJob", {"ProcessingJobName": "long"}))
    sagemaker.call("StopProcessingJob", {"ProcessingJobName": "long"})
    assert ended(sagemaker, "long")["ProcessingJobStatus"] == "Stopped"


def test_a_local_path_outside_the_jobs_folder_is_refused(sagemaker: SageMaker, bucket: str) -> None:
    hostile = request(bucket, "hostile")
    hostile["ProcessingInputs"][0]["S3Input"]["LocalPath"] = "/opt/ml/../../../etc"
    with pytest.raises(SageMakerError, match="LocalPath"):
        sagemaker.call("CreateProcessingJob", hostile)
