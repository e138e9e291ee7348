"""A thousand photos in a batch, and the model taken along, on one local cloud: as the endpoint answers one by one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cli.digits import write_digits
from cli.target import ROOT
from local import control
from tests.system.system import ENDPOINT, INPUT, System

PER_CLASS = 100
SIZE = (1_500, 1_500)
DAMAGED = b"this is a text that somebody renamed"


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos to train on, and a thousand others that take their time, one of them damaged."""
    folder = tmp_path_factory.mktemp("digits")
    for path in write_digits(folder, train=60, held_out=PER_CLASS):
        # A job of small pictures is over before a command that is to meet it has started.
        with Image.open(path) as small:
            small.resize(SIZE, Image.Resampling.BICUBIC).save(path.with_suffix(".png"), compress_level=1)
        path.unlink()
    (folder / "held_out" / "damaged.png").write_bytes(DAMAGED)
    return folder


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Iterator[System]:
    state = tmp_path_factory.mktemp("many-photos")
    system = System(state)
    try:
        system.whippet("up")
        system.whippet("upload", str(digits / "photos"))
        system.whippet("run", "--input", json.dumps(INPUT))
        yield system
    finally:
        control.stop(state)
        shutil.rmtree(state, ignore_errors=True)


def answers(system: System) -> list[str]:
    """Keys of the answers that batches have."""
    pages = system.client("s3").get_paginator("list_objects_v2").paginate(Bucket=system.bucket, Prefix="batches/")
    return [item["Key"] for page in pages for item in page.get("Contents", []) if item["Key"].endswith(".out")]


def jobs(system: System) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = system.client("sagemaker").list_transform_jobs()["TransformJobSummaries"]
    return found


def wait_for_answers(system: System, process: subprocess.Popen[bytes], *, more_than: int) -> None:
    deadline = time.monotonic() + 600
    while len(answers(system)) <= more_than:
        assert process.poll() is None, "the command ended"
        assert time.monotonic() < deadline, "there are no answers"
        time.sleep(0.2)


def test_a_batch_that_is_killed_twice_answers_every_photo_once_and_as_the_endpoint(
    system: System, digits: Path, tmp_path: Path
) -> None:
    command = system.command("classify", str(digits / "held_out"), "--output", str(tmp_path / "out"))

    # the command is killed, and goes on with its job
    process = subprocess.Popen(command, cwd=ROOT, env=system.variables, stdout=subprocess.DEVNULL)
    wait_for_answers(system, process, more_than=20)
    process.send_signal(signal.SIGKILL)
    process.wait()

    # the next follows the job, which is stopped
    (running,) = jobs(system)
    environment = system.variables | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        said = following.stdout.readline()
        system.client("sagemaker").stop_transform_job(TransformJobName=running["TransformJobName"])
        following.communicate(timeout=600)
    assert f"{running['TransformJobName']} goes on" in said
    assert following.returncode == 1
    before = answers(system)
    assert 20 < len(before) < 10 * PER_CLASS, "the job was not interrupted in its middle"

    # started again, it asks about the rest
    result = system.whippet("classify", str(digits / "held_out"), "--output", str(tmp_path / "out"))
    assert f"{len(before):,} answered already" in result.stdout
    assert [job["TransformJobStatus"] for job in jobs(system)] == ["Completed", "Stopped"]
    assert len(answers(system)) == 10 * PER_CLASS + 1
    assert set(before) <= set(answers(system))

    # none twice, none missing
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    photos = sorted(path.relative_to(digits / "held_out").as_posix() for path in _files(digits / "held_out"))
    assert [row["path"] for row in rows] == photos
    assert Counter(row["error"] is None for row in rows) == {True: 10 * PER_CLASS, False: 1}

    # each as the endpoint answers it
    runtime = system.client("sagemaker-runtime")
    for row in rows:
        body = (digits / "held_out" / row["path"]).read_bytes()
        if body == DAMAGED:
            assert "not an image of a known format" in row["error"]
            continue
        response = runtime.invoke_endpoint(EndpointName=ENDPOINT, ContentType="application/x-image", Body=body)
        answer = json.loads(response["Body"].read())
        assert (row["label"], row["known"]) == (answer["label"], answer["known"])
        assert row["score"] == pytest.approx(answer["score"], abs=1e-6)
    assert not any("-batch-" in model["ModelName"] for model in system.client("sagemaker").list_models()["Models"])


def test_the_model_that_was_taken_along_answers_as_the_endpoint(system: System, digits: Path, tmp_path: Path) -> None:
    if not (ROOT / "node_modules" / "onnxruntime-web").is_dir():
        pytest.skip("needs onnxruntime-web in node_modules: make setup")
    system.whippet("export", str(tmp_path / "taken"))
    photos = _files(digits / "held_out")[: 3 * PER_CLASS : 10]
    photos = [photo for photo in photos if photo.read_bytes() != DAMAGED]
    python = ROOT / ".envs" / "inference" / "bin" / "python"
    command = [str(python), str(tmp_path / "taken" / "classify.py"), *map(str, photos)]
    environment = {"PATH": os.environ["PATH"]}
    lines = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    runtime = system.client("sagemaker-runtime")
    for photo, line in zip(photos, lines, strict=True):
        response = runtime.invoke_endpoint(
            EndpointName=ENDPOINT, ContentType="application/x-image", Body=photo.read_bytes()
        )
        answer = json.loads(response["Body"].read())
        taken = json.loads(line)
        assert taken["known"] == answer["known"]
        assert [each["label"] for each in taken["predictions"]][:5] == [each["label"] for each in answer["predictions"]]
        for ours, its in zip(taken["predictions"], answer["predictions"], strict=False):
            assert ours["score"] == pytest.approx(its["score"], abs=1e-4)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
