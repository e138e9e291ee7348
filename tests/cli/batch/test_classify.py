"""Batches: a row for every photo, each asked about once, whatever was interrupted."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli import CliError, main
from cli.batch import classify
from cli.commands import shared
from tests.cli.batch.cloud import FakeCloud, jpeg

Command = Callable[..., Result]


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud()


@pytest.fixture
def command(cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    monkeypatch.setattr(shared, "find_target", lambda **_: cloud)
    monkeypatch.setattr(classify, "_POLL_SECONDS", 0.0)
    monkeypatch.setattr(classify, "_POLL_SECONDS_ON_AWS", 0.0)
    monkeypatch.setattr(classify, "_PHOTOS_A_POLL_SECOND", 1e9)

    def run(given: str, *options: str, **more: Any) -> Result:
        arguments = ["classify", given, "--output", str(tmp_path / "out"), *options]
        return CliRunner().invoke(main.typer_app, arguments, **more)

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    contents = {
        "a.jpg": jpeg("red"),
        "deep/b.JPG": jpeg("blue"),
        "deep/copy of a.jpg": jpeg("red"),
        "damaged.png": b"no picture",
        "empty.jpg": b"",
        "phone.heic": b"ftypheic",
        "notes.txt": b"a text",
        ".DS_Store": b"system",
    }
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def rows(tmp_path: Path) -> dict[str, dict[str, Any]]:
    """The rows of the JSON Lines by path, after the CSV has been found to say the same."""
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["path"] for row in table] == [line["path"] for line in lines] == sorted(line["path"] for line in lines)
    for row, line in zip(table, lines, strict=True):
        assert row["label"] == (line["label"] or "")
        assert row["known"] == {True: "yes", False: "no", None: ""}[line["known"]]
        assert (json.loads(row["labels"]) if row["labels"] else None) == line["labels"]
        assert row["error"] == (line["error"] or "")
    assert len({line["path"] for line in lines}) == len(lines)
    return {line["path"]: line for line in lines}


def test_every_photo_of_a_folder_gets_a_row_and_copies_are_asked_about_once(
    command: Command, cloud: FakeCloud, folder: Path, tmp_path: Path
) -> None:
    result = command(str(folder))
    assert result.exit_code == 0, result.exception
    found = rows(tmp_path)
    assert found["a.jpg"]["label"] == found["deep/copy of a.jpg"]["label"] == "red, or so"
    assert found["a.jpg"]["known"] is True
    assert found["deep/b.JPG"]["known"] is False
    assert found["deep/b.JPG"]["labels"] == ["other", "red, or so"]
    assert found["damaged.png"]["error"] == "no image"
    assert "empty" in found["empty.jpg"]["error"]
    assert "convert it to JPEG" in found["phone.heic"]["error"]
    assert set(found) == {"a.jpg", "deep/b.JPG", "deep/copy of a.jpg", "damaged.png", "empty.jpg", "phone.heic"}
    assert len(cloud.asked) == 3
    assert "3 photos, 1 of them unlike" in result.output
    assert "left out by their names: 1 file" in result.output


def test_the_job_runs_the_model_in_service_with_its_own_role_and_without_a_network(
    command: Command, cloud: FakeCloud, folder: Path
) -> None:
    made: list[dict[str, Any]] = []
    create = cloud.create_model

    def noted(**members: Any) -> None:
        made.append(members)
        create(**members)

    cloud.create_model = noted  # type: ignore[method-assign]
    command(str(folder), "--coverage", "0.9")
    assert made[0]["ExecutionRoleArn"] == "arn:role/batch"
    assert made[0]["EnableNetworkIsolation"] is True
    assert made[0]["PrimaryContainer"] == {
        "Image": "image:1",
        "ModelDataUrl": "s3://data/runs/run-7/model.tar.gz",
        "Environment": {"WHIPPET_NAME_UNKNOWN": "true"},
    }
    (job,) = cloud.jobs.values()
    assert job["Environment"]["WHIPPET_BATCH_PARAMETERS"].startswith("coverage=0.9;top_k=")
    assert job["BatchStrategy"] == "SingleRecord"
    assert cloud.models == {}, "the batch's model was left behind"


def many(folder: Path, count: int) -> None:
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:03}.jpg").write_bytes(jpeg(f"rgb({number}, 0, 0)") + str(number).encode())


def test_an_interrupted_command_follows_its_job_and_asks_nothing_twice(
    command: Command, cloud: FakeCloud, tmp_path: Path
) -> None:
    many(tmp_path / "photos", 50)
    cloud.pace, cloud.interrupt_after = 10, 2
    first = command(str(tmp_path / "photos"))
    assert first.exit_code == 130
    assert "the same command follows it" in first.output
    assert not (tmp_path / "out.csv").exists()
    cloud.interrupt_after = None
    assert command(str(tmp_path / "photos")).exit_code == 0
    assert len(cloud.jobs) == 1
    assert len(cloud.asked) == len(set(cloud.asked)) == len(rows(tmp_path)) == 50


def test_after_a_stopped_job_the_next_is_asked_about_the_rest_alone(
    command: Command, cloud: FakeCloud, tmp_path: Path
) -> None:
    many(tmp_path / "photos", 50)
    cloud.pace, cloud.interrupt_after = 10, 2
    command(str(tmp_path / "photos"))
    cloud.interrupt_after = None
    cloud.stop()
    answered = len(cloud.asked)
    assert 0 < answered < 50
    result = command(str(tmp_path / "photos"))
    assert result.exit_code == 0, result.exception
    assert f"{answered} answered already, {50 - answered} to classify" in result.output
    assert sorted(name.rpartition("-")[2] for name in cloud.jobs) == ["1", "2"]
    assert len(cloud.asked) == len(set(cloud.asked)) == len(rows(tmp_path)) == 50


def test_a_batch_that_is_done_costs_no_second_job(command: Command, cloud: FakeCloud, folder: Path) -> None:
    command(str(folder))
    cloud.cloud = None
    assert command(str(folder)).exit_code == 0, "it asked for a confirmation"
    assert len(cloud.jobs) == 1


def test_a_changed_photo_is_asked_about_and_a_renamed_one_is_not(
    command: Command, cloud: FakeCloud, folder: Path, tmp_path: Path
) -> None:
    command(str(folder))
    (folder / "a.jpg").write_bytes(jpeg("black"))
    (folder / "deep" / "b.JPG").rename(folder / "moved.jpg")
    command(str(folder))
    assert rows(tmp_path)["a.jpg"]["label"] == "other"
    assert rows(tmp_path)["moved.jpg"]["label"] == "other"
    assert len(cloud.asked) == 4


def test_a_photo_that_fails_two_jobs_is_given_up_and_keeps_no_other(
    command: Command, cloud: FakeCloud, folder: Path, tmp_path: Path
) -> None:
    (folder / "crash.jpg").write_bytes(b"poison")
    failed = command(str(folder))
    assert isinstance(failed.exception, CliError)
    assert "is Failed (AlgorithmError" in str(failed.exception)
    assert "the same command goes on" in str(failed.exception)
    assert command(str(folder)).exit_code == 0
    assert "gave no answer in two jobs" in rows(tmp_path)["crash.jpg"]["error"]
    assert rows(tmp_path)["a.jpg"]["label"] == "red, or so"
    assert sum("photos" in key for key in cloud.asked) == 3 + 2, "an answered photo was asked about again"


def test_the_photos_of_the_data_sets_prefix_are_read_where_they_lie(
    command: Command, cloud: FakeCloud, tmp_path: Path
) -> None:
    for key in ("dataset/new/x.jpg", "dataset/new/deep/x.jpg", "dataset/other.jpg"):
        cloud.s3.put_object(Bucket="data", Key=key, Body=jpeg("red" if "deep" in key else "blue"))
    assert command("s3://data/dataset/new").exit_code == 0
    found = rows(tmp_path)
    assert {path: row["label"] for path, row in found.items()} == {"x.jpg": "other", "deep/x.jpg": "red, or so"}
    assert not any(key.startswith("batches/") and "/photos/" in key for key in cloud.s3.objects)

    # an object that was overwritten is another photo
    cloud.s3.put_object(Bucket="data", Key="dataset/new/x.jpg", Body=jpeg("red"))
    command("s3://data/dataset/new/")
    assert rows(tmp_path)["x.jpg"]["label"] == "red, or so"
    assert len(cloud.asked) == 3


def test_answers_that_are_named_after_the_whole_key_are_found_too(
    command: Command, cloud: FakeCloud, tmp_path: Path
) -> None:
    cloud.s3.put_object(Bucket="data", Key="dataset/new/x.jpg", Body=jpeg("red"))
    create = cloud.create_transform_job

    def named_in_full(**job: Any) -> None:
        create(**job)
        made = cloud.jobs[job["TransformJobName"]]
        made["waiting"] = [(key, key) for key, _ in made["waiting"]]

    cloud.create_transform_job = named_in_full  # type: ignore[method-assign]
    assert command("s3://data/dataset/new").exit_code == 0
    assert rows(tmp_path)["x.jpg"]["label"] == "red, or so"


@pytest.mark.parametrize("uri", ["s3://data/runs/", "s3://others/dataset/", "s3://data/"])
def test_a_prefix_that_the_role_may_not_read_is_refused_with_the_setting(command: Command, uri: str) -> None:
    result = command(uri)
    assert isinstance(result.exception, CliError)
    assert "batch.sources" in str(result.exception)


def test_in_aws_the_price_is_told_and_a_no_starts_nothing(command: Command, cloud: FakeCloud, folder: Path) -> None:
    cloud.cloud = None
    result = command(str(folder), input="n\n")
    assert result.exit_code == 1
    assert "at most about 0.02 dollars: at most about 0.1 hours of one ml.c5.xlarge at 0.204" in result.output
    assert cloud.jobs == {}
    assert not any(key.startswith("batches/") for key in cloud.s3.objects), "photos were uploaded before the answer"
    assert command(str(folder), "--yes").exit_code == 0


def test_an_account_without_the_quota_hears_so_before_anything_is_uploaded(
    command: Command, cloud: FakeCloud, folder: Path
) -> None:
    cloud.quota = 0.0
    result = command(str(folder))
    assert isinstance(result.exception, CliError)
    assert "--quota-code L-09C9B23C --desired-value 1" in str(result.exception)
    assert not any(key.startswith("batches/") for key in cloud.s3.objects)


def test_a_folder_without_photos_is_refused(command: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = command(str(tmp_path / "empty"))
    assert isinstance(result.exception, CliError)
    assert "holds no photos" in str(result.exception)


def test_single_photos_take_no_options_of_batches(command: Command, folder: Path) -> None:
    result = command(str(folder / "a.jpg"))
    assert isinstance(result.exception, CliError)
    assert "--output" in str(result.exception)
