"""The commands that talk to AWS, each with what it needs, and what must be true after it."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import contract
from cli.feedback.decisions import COLUMNS
from tests.system.faults.stand import RELEASES, Stand

__all__ = ["CLASSIFY_ONE", "ENVIRONMENTS", "VERBS", "Prepared", "Verb"]


@dataclass(frozen=True)
class Prepared:
    """One command, ready to be started."""

    arguments: list[str]
    done: Callable[[], bool] = lambda: True
    """Whether what the command is there for is done, wholly and once."""
    begun: Callable[[], bool] = lambda: False
    """Whether something is done that its user has to know of, where the command failed."""
    tells: str = ""
    """What a command that failed must have said then."""
    repeatable: bool = False
    """Whether it changes something and the same command again goes on with it; another run is another run."""


@dataclass(frozen=True)
class Verb:
    """A command of `whippet`, by the words that choose it."""

    words: str
    prepare: Callable[[Stand, str, Path], Prepared]
    """Makes what one command needs: gets the environment, a name that no other command has, and an empty folder."""
    env: str = "dev"
    """Where it acts. Commands that change an environment's endpoint have one to themselves, one after another."""


def _plain(*arguments: str) -> Callable[[Stand, str, Path], Prepared]:
    return lambda _stand, _cell, _folder: Prepared(list(arguments))


# runs


def _run(*options: str) -> Callable[[Stand, str, Path], Prepared]:
    def prepare(stand: Stand, cell: str, _folder: Path) -> Prepared:
        return _starting(stand, cell, ["run", "--input", json.dumps({"cell": cell}), *options])

    return prepare


def _starting(stand: Stand, cell: str, arguments: list[str], *, before: int = 0) -> Prepared:
    """A command that starts one execution, whose input names the cell."""
    return Prepared(
        arguments,
        done=lambda: len(stand.executions(cell)) == before + 1,
        begun=lambda: len(stand.executions(cell)) > before,
        tells=":execution:",
    )


def _retry(stand: Stand, cell: str, _folder: Path) -> Prepared:
    execution, run = stand.start(cell=cell, fails=True)
    stand.account.finished(execution)
    return _starting(stand, cell, ["retry", run, "--no-wait"], before=1)


def _stop_run(stand: Stand, cell: str, _folder: Path) -> Prepared:
    execution, run = stand.start(goes_on=True)
    told = contract.TidiedRun(
        run=run, execution=execution, status="ABORTED", state="Train", error="", cause="", done=["a job was stopped"]
    )
    stand.put(contract.tidied_key(run), json.dumps(told).encode())

    def stopped() -> bool:
        return stand.status(execution) == "ABORTED"

    return Prepared(
        ["stop-run", run, "--reason", "a test"], done=stopped, begun=stopped, tells="was stopped", repeatable=True
    )


def _approve(*options: str, ends: str) -> Callable[[Stand, str, Path], Prepared]:
    def prepare(stand: Stand, cell: str, _folder: Path) -> Prepared:
        execution, run = stand.ask(cell)

        def answered() -> bool:
            return bool(stand.account.finished(execution)["status"] == ends)

        def begun() -> bool:
            return stand.status(execution) != "RUNNING"

        return Prepared(["approve", run, *options], done=answered, begun=begun, tells="answer", repeatable=True)

    return prepare


def _of_newest(*words: str) -> Callable[[Stand, str, Path], Prepared]:
    """A command about a run that has a report, a model and a job's log."""
    return lambda _stand, _cell, _folder: Prepared([words[0], RELEASES[-1], *words[1:]])


# photos


def _photos(folder: Path, cell: str) -> tuple[Path, str]:
    """A folder of one photo of the class `shirt`, and the photo's name."""
    name = f"{cell}.png"
    (folder / "photos" / "shirt").mkdir(parents=True)
    (folder / "photos" / "shirt" / name).write_bytes(b"photo " + cell.encode())
    return folder / "photos", name


def _upload(stand: Stand, cell: str, folder: Path) -> Prepared:
    photos, name = _photos(folder, cell)
    return Prepared(
        ["upload", str(photos), "--add", "--no-groups"],
        done=lambda: f"dataset/shirt/{name}" in stand.keys("dataset/"),
        repeatable=True,
    )


def _feedback(stand: Stand, cell: str, folder: Path) -> Prepared:
    """A list that adds one photo and rejects another one, with both in the inbox."""
    rows, keys = [], []
    for action in ("add", "reject"):
        photo = f"{cell} {action}".encode()
        content = hashlib.sha256(photo).hexdigest()
        identity = contract.feedback_id(content, "shirt")
        keys.append(contract.feedback_key(identity))
        record = contract.Feedback(
            id=identity,
            photo=contract.feedback_key(identity, ".png"),
            content=content,
            label="shirt",
            answered=None,
            run=None,
            request_id=None,
            received="2026-11-28T00:00:00+00:00",
            consent=True,
        )
        stand.put(record["photo"], photo)
        stand.put(keys[-1], json.dumps(record).encode())
        rows.append(dict.fromkeys(COLUMNS, "") | {"action": action, "label": "shirt", "id": identity})
    with (folder / "feedback.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)

    def done() -> bool:
        copies = list((folder / "added" / "shirt").glob("*.png"))
        inbox = stand.keys(contract.FEEDBACK_PREFIX)
        return len(copies) == 1 and f"dataset/shirt/{copies[0].name}" in stand.keys("dataset/") and not inbox & {*keys}

    return Prepared(["feedback", "--apply", str(folder / "feedback.csv")], done=done, repeatable=True)


def _classify_one(_stand: Stand, cell: str, folder: Path) -> Prepared:
    photos, name = _photos(folder, cell)
    return Prepared(["classify", str(photos / "shirt" / name)])


def _classify_folder(stand: Stand, cell: str, folder: Path) -> Prepared:
    photos, _ = _photos(folder, cell)
    answers = folder / "answers"

    def done() -> bool:
        lines = (folder / "answers.jsonl").read_text().splitlines()
        return [json.loads(line)["label"] for line in lines] == ["shirt"]

    return Prepared(["classify", str(photos / "shirt"), "--output", str(answers), "--yes"], done=done, repeatable=True)


def _export(_stand: Stand, _cell: str, folder: Path) -> Prepared:
    made = folder / "export"
    return Prepared(["export", str(made)], done=lambda: (made / "labels.txt").read_text() == "shirt\n")


# the endpoint


def _rollback(stand: Stand, _cell: str, _folder: Path) -> Prepared:
    stand.serve(RELEASES[-1])

    def done() -> bool:
        first = contract.job_prefix(stand.prefix, RELEASES[0])
        records = [contract.ReleaseChange.of_key(key) for key in stand.keys(contract.RELEASES_PREFIX)]
        rolled_back = [each for each in records if each is not None and each.kind == "rolled-back"]
        return stand.config() == first and len(rolled_back) == 1 and not lock_is_held(stand)

    def begun() -> bool:
        return stand.config() == contract.job_prefix(stand.prefix, RELEASES[0])

    return Prepared(
        ["rollback", "--yes"], done=done, begun=begun, tells="the endpoint changes to the model of run", repeatable=True
    )


def lock_is_held(stand: Stand) -> bool:
    key = contract.release_lock_key(stand.prefix)
    if key not in stand.keys(key):
        return False
    found = stand.account.client("s3").get_object(Bucket=stand.bucket, Key=key)["Body"].read()
    return bool(json.loads(found)["holder"] != contract.NO_HOLDER)


def _wake(stand: Stand, _cell: str, _folder: Path) -> Prepared:
    stand.sleep(RELEASES[-1])

    def done() -> bool:
        return stand.config() == contract.job_prefix(stand.prefix, RELEASES[-1])

    return Prepared(["wake"], done=done, begun=done, tells="wake", repeatable=True)


def _remove_leftovers(stand: Stand, cell: str, _folder: Path) -> Prepared:
    """What an environment left whose stack is not there."""
    sagemaker, logs = stand.account.client("sagemaker"), stand.account.client("logs")
    name, group = f"whippet-gone-{cell}", f"/aws/lambda/Whippet-gone-{cell}"
    described: dict[str, Any] = sagemaker.describe_model(ModelName=contract.job_prefix(stand.prefix, RELEASES[0]))
    container = {key: described["PrimaryContainer"][key] for key in ("Image", "ModelDataUrl")}
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=described["ExecutionRoleArn"], PrimaryContainer=container)
    logs.create_log_group(logGroupName=group)

    def done() -> bool:
        models = sagemaker.list_models(NameContains="whippet-gone")["Models"]
        return not models

    return Prepared(["leftovers", "--remove"], done=done, repeatable=True)


VERBS = (
    Verb("quotas", _plain("quotas")),
    Verb("status", _plain("status")),
    Verb("history", _plain("history")),
    Verb("key", _plain("key")),
    Verb("cost", _plain("cost")),
    Verb("cost RUN", _of_newest("cost")),
    Verb("run", _run()),
    Verb("run --no-wait", _run("--no-wait")),
    Verb("run --plan", _plain("run", "--plan")),
    Verb("retry", _retry),
    Verb("stop-run", _stop_run),
    Verb("approve", _approve(ends="SUCCEEDED")),
    Verb("approve --reject", _approve("--reject", "no", ends="FAILED")),
    Verb("report", _of_newest("report", "--no-open")),
    Verb("logs", _of_newest("logs")),
    Verb("upload", _upload),
    Verb("feedback --apply", _feedback),
    Verb("export", _export),
    Verb("classify FOLDER", _classify_folder),
    Verb("rollback --plan", _plain("rollback", "--plan")),
    Verb("rollback", _rollback, env="rollback"),
    Verb("wake", _wake, env="wake"),
    Verb("leftovers", _plain("leftovers"), env="gone"),
    Verb("leftovers --remove", _remove_leftovers, env="gone"),
)
"""All but `up`, `down` and `demo`, which start the CDK; `check`, `settings`, `env` and `stop` do not ask AWS."""

ENVIRONMENTS = ("dev", "rollback", "wake", "gone")
"""The last one's stack is not there."""

CLASSIFY_ONE = Verb("classify PHOTO", _classify_one)
"""It asks the API, which is no AWS service and marks no request: its faults are known by the key."""
