"""A job's folders are where its container has them, and each is a mount of its own."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.sagemaker.jobs import mounts
from tests.local.sagemaker.conftest import Jobs, channel, eventually

RENAMES = """
import json, os, pathlib
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
told = {"base": str(base)}
places = {"output/data": base / "output/data", "model": base / "model", "checkpoints": base / "checkpoints",
          "channel": base / "input/data/photos"}
for source, folder in places.items():
    for target, other in places.items():
        (folder / "file").write_text("x")
        try:
            os.rename(folder / "file", other / "moved")
            told[f"{source} to {target}"] = "renamed"
        except OSError as error:
            told[f"{source} to {target}"] = error.strerror
import shutil
(base / "output/data/last").write_text("moved")
shutil.move(base / "output/data/last", base / "model/last")
(base / "model/told.json").write_text(json.dumps(told))
"""


@pytest.fixture(params=["mounted", "rewritten"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Both ways in which a job finds its folders; the first only where this machine has it."""
    mounts.supported.cache_clear()
    if request.param == "rewritten":
        monkeypatch.setenv("WHIPPET_MOUNT_OPT_ML", "false")
    elif not mounts.supported():
        pytest.skip("this machine gives users no namespaces")
    yield request.param
    mounts.supported.cache_clear()


def run(jobs: Jobs, s3: Any, name: str, program: str) -> dict[str, Any]:
    """A training job of a Python program; its model folder ends up below out/ as it is."""
    for file, content in (("a.txt", "a"), ("program.py", program)):
        s3.put_object(Bucket=jobs.bucket, Key=f"photos/{file}", Body=content.encode())
    algorithm = {
        "TrainingImage": jobs.request("x")["AlgorithmSpecification"]["TrainingImage"],
        "TrainingInputMode": "File",
        "ContainerEntrypoint": [sys.executable],
        "ContainerArguments": ["/opt/ml/input/data/photos/program.py"],
    }
    return jobs.run(
        name,
        AlgorithmSpecification=algorithm,
        InputDataConfig=[channel("photos", f"s3://{jobs.bucket}/photos")],
        OutputDataConfig={"S3OutputPath": f"s3://{jobs.bucket}/out", "CompressionType": "NONE"},
        CheckpointConfig={"S3Uri": f"s3://{jobs.bucket}/checkpoints"},
    )


def written(jobs: Jobs, s3: Any, name: str, file: str) -> str:
    body: bytes = s3.get_object(Bucket=jobs.bucket, Key=f"out/{name}/output/model/{file}")["Body"].read()
    return body.decode()


def test_a_rename_from_one_folder_to_another_fails_as_between_mounts(way: str, jobs: Jobs, s3: Any) -> None:
    """What would fail on AWS at the last step of a training fails here at the first (A-01)."""
    job = run(jobs, s3, f"renames-{way}", RENAMES)
    assert job["TrainingJobStatus"] == "Completed", job
    told = json.loads(written(jobs, s3, f"renames-{way}", "told.json"))
    assert (told.pop("base") == "/opt/ml") == (way == "mounted")
    for pair, outcome in told.items():
        source, target = pair.split(" to ")
        assert outcome == ("renamed" if source == target else "Invalid cross-device link"), pair
    assert written(jobs, s3, f"renames-{way}", "last") == "moved"


def test_a_program_may_name_opt_ml_in_its_own_text(jobs: Jobs, s3: Any) -> None:
    """As the drivers of the SageMaker SDK's ModelTrainer and ScriptProcessor do."""
    if not mounts.supported():
        pytest.skip("this machine gives users no namespaces")
    program = (
        "import pathlib; photo = pathlib.Path('/opt/ml/input/data/photos/a.txt').read_text()\n"
        "pathlib.Path('/opt/ml/model/photo.txt').write_text(photo.upper())"
    )
    job = run(jobs, s3, "names", program)
    assert job["TrainingJobStatus"] == "Completed", job
    assert written(jobs, s3, "names", "photo.txt") == "A"


def test_what_else_is_in_opt_stays_and_nothing_of_the_job_is_left_there(jobs: Jobs, s3: Any) -> None:
    if not mounts.supported():
        pytest.skip("this machine gives users no namespaces")
    before = {path.name for path in Path("/opt").iterdir()}
    program = "import os, pathlib; pathlib.Path('/opt/ml/model/opt.txt').write_text(' '.join(os.listdir('/opt')))"
    job = run(jobs, s3, "opt", program)
    assert job["TrainingJobStatus"] == "Completed", job
    assert set(written(jobs, s3, "opt", "opt.txt").split()) == {*before, "ml"}
    assert {path.name for path in Path("/opt").iterdir()} == before


def in_namespaces_of(root: Path) -> list[str]:
    """Processes that see a mount below `root`: a namespace lives as long as a process in it."""
    found = []
    for mounts_of in Path("/proc").glob("[0-9]*/mountinfo"):
        with contextlib.suppress(OSError):  # it has ended meanwhile, or is somebody else's
            if str(root) in mounts_of.read_text():
                found.append(mounts_of.parent.name)
    return found


def test_a_stopped_job_leaves_no_process_and_no_mount(jobs: Jobs, root: Path) -> None:
    if not mounts.supported():
        pytest.skip("this machine gives users no namespaces")
    jobs.start("stopped", hyperparameters={"action": "wait"})
    eventually(lambda: in_namespaces_of(root))
    jobs.sagemaker.call("StopTrainingJob", {"TrainingJobName": "stopped"})
    assert jobs.ended("stopped")["TrainingJobStatus"] == "Stopped"
    assert in_namespaces_of(root) == []
