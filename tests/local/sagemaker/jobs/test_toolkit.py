"""A job through the real sagemaker-training toolkit, as the AWS PyTorch image runs it."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from local.sagemaker import Image, SageMaker
from tests.local.sagemaker.conftest import FakeHost, Jobs

ENVIRONMENT = Path(__file__).parents[4] / ".envs" / "training"
TRAIN = ENVIRONMENT / "bin" / "train"

SCRIPT = """
import json, os, pathlib, sys
if json.loads(os.environ["SM_HPS"]).get("crash"):
    raise ValueError("asked to crash")
if json.loads(os.environ["SM_HPS"]).get("killed"):
    os.kill(os.getpid(), 9)
photo = next(pathlib.Path(os.environ["SM_CHANNEL_PHOTOS"]).iterdir()).read_text()
pathlib.Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text(photo)
pathlib.Path(os.environ["SM_OUTPUT_DATA_DIR"], "seen.json").write_text(json.dumps(sys.argv[1:]))
print("objective=0.5;")
"""

TOGETHER = """
import os, torch
from torch import distributed
distributed.init_process_group("gloo")
total = torch.tensor([distributed.get_rank() + 1.0])
distributed.all_reduce(total)
if distributed.get_rank() == 0:
    print(f"objective={total.item()};")
print(os.environ["SM_CURRENT_HOST"], os.environ["SM_HOSTS"], distributed.get_world_size())
distributed.destroy_process_group()
"""


@pytest.fixture
def toolkit_jobs(host: FakeHost, root: Path, s3: Any, bucket: str) -> Any:
    if not TRAIN.exists():
        pytest.skip("there is no training environment (.envs/training): make setup")
    image = Image(
        pattern="/tiny:",
        train=[str(TRAIN)],
        environment={"SAGEMAKER_TRAINING_MODULE": "sagemaker_pytorch_container.training:main", "OMP_NUM_THREADS": "1"},
    )
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name, script in (("job", SCRIPT), ("together", TOGETHER)):
            entry = tarfile.TarInfo(f"training/{name}.py")
            entry.size = len(script)
            tar.addfile(entry, io.BytesIO(script.encode()))
    s3.put_object(Bucket=bucket, Key="code/source.tar.gz", Body=content.getvalue())
    s3.put_object(Bucket=bucket, Key="photos/a.txt", Body=b"a photo")
    service = SageMaker(host=host, images=[image], root=root)
    yield Jobs(service, bucket)
    service.close()


def request(jobs: Jobs, **more: str) -> dict[str, Any]:
    return {
        "hyperparameters": {
            "sagemaker_program": "training/job.py",
            "sagemaker_submit_directory": f"s3://{jobs.bucket}/code/source.tar.gz",
            "epochs": "3",
            **more,
        },
        "InputDataConfig": [
            {
                "ChannelName": "photos",
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{jobs.bucket}/photos/"}},
            }
        ],
        "OutputDataConfig": {"S3OutputPath": f"s3://{jobs.bucket}/out", "CompressionType": "NONE"},
    }


def test_a_script_runs_in_the_toolkit(toolkit_jobs: Jobs, s3: Any) -> None:
    job = toolkit_jobs.run("script", **request(toolkit_jobs))
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert job["FinalMetricDataList"][0]["Value"] == 0.5
    base = "out/script/output"
    assert s3.get_object(Bucket=toolkit_jobs.bucket, Key=f"{base}/model/model.txt")["Body"].read() == b"a photo"
    seen = json.loads(s3.get_object(Bucket=toolkit_jobs.bucket, Key=f"{base}/data/seen.json")["Body"].read())
    assert seen == ["--epochs", "3"]


def test_the_scripts_own_error_is_the_failure_reason(toolkit_jobs: Jobs) -> None:
    job = toolkit_jobs.run("crash", **request(toolkit_jobs, crash="1"))
    assert job["TrainingJobStatus"] == "Failed"
    # The toolkit reads the script's standard error in pieces, so the line may come torn.
    assert "ValueError" in job["FailureReason"]
    assert "asked to crash" in job["FailureReason"]
    assert job["FailureReason"].endswith("exit code: 1")


def test_a_script_that_the_kernel_kills_is_told_in_words(toolkit_jobs: Jobs) -> None:
    """The toolkit itself says no more than `ExitCode -9` and an empty message (F13)."""
    job = toolkit_jobs.run("killed", **request(toolkit_jobs, killed="1"))
    assert job["TrainingJobStatus"] == "Failed"
    assert "ExitCode -9" in job["FailureReason"]
    assert "most likely because the machine ran out of memory" in job["FailureReason"]


def test_two_hosts_train_together_under_torchrun(toolkit_jobs: Jobs) -> None:
    given = request(toolkit_jobs, sagemaker_program="training/together.py", sagemaker_torch_distributed_enabled="true")
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 10}
    job = toolkit_jobs.run("together", **given, ResourceConfig=resources)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert job["FinalMetricDataList"][0]["Value"] == 3.0
