"""The command line: what it asks, prints and refuses, and its help."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from cli import CliError, data_set, deployment, main, terminal
from cli.api import Api
from cli.commands import runs, shared
from cli.upload import Changes
from cli.watch import Outcome
from contract import Answer, Prediction
from local import control
from local.control import Cloud
from tests.cli.stack import EXECUTION, RUN, FakeStack


def invoke(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(main.typer_app, arguments, input=answer, terminal_width=200)


def _commands() -> dict[str, Any]:
    group: Any = typer.main.get_command(main.typer_app)
    return {"whippet": group, **group.commands}


@pytest.mark.parametrize("name", sorted(_commands()))
def test_every_command_and_each_of_its_parameters_has_a_help_text(name: str) -> None:
    command = _commands()[name]
    assert command.help
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{name} {parameter.name}"


def test_no_command_starts_cdk_before_it_has_to() -> None:
    """CDK starts Node.js, which takes seconds and may warn of its own age."""
    program = "import sys, cli.main; print(sorted({'aws_cdk', 'constructs', 'jsii'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "[]\n"


def test_the_key_is_printed_alone_for_a_shell_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    stack: Any = FakeStack()
    stack.api_key = "the key"
    monkeypatch.setattr(shared, "find_target", lambda **_: stack)
    assert invoke("key").stdout == "the key\n"


@pytest.fixture
def uploads(monkeypatch: pytest.MonkeyPatch) -> list[Changes]:
    """What was uploaded by `whippet upload` to a data set in AWS that holds an object too many."""
    stack: Any = FakeStack()
    stack.cloud, stack.dataset = None, ("data", "dataset/")
    changes = Changes(missing=(), surplus=("dataset/cat/old.jpg",), unchanged=1)
    done: list[Changes] = []
    monkeypatch.setattr(shared, "find_target", lambda **_: stack)
    monkeypatch.setattr(data_set, "compare", lambda *_, **__: changes)
    monkeypatch.setattr(data_set, "upload", lambda *_, changes, **__: done.append(changes))
    return done


@pytest.fixture
def folder(tmp_path: Path) -> str:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.jpg").write_bytes(b"a photo")
    (tmp_path / "notes.txt").touch()
    return str(tmp_path)


def test_photos_in_aws_are_removed_only_after_a_yes(uploads: list[Changes], folder: str) -> None:
    refused = invoke("upload", folder, answer="n\n")
    assert refused.exit_code == 1
    assert "1 objects in s3://data/dataset/ are not in" in refused.output
    assert uploads == []
    assert invoke("upload", folder, answer="y\n").exit_code == 0
    assert len(uploads) == 1


def test_yes_is_not_asked_and_the_changes_are_counted(uploads: list[Changes], folder: str) -> None:
    result = invoke("upload", folder, "--yes")
    assert result.exit_code == 0
    assert len(uploads) == 1
    printed = " ".join(result.output.split())
    assert "holds 1 photo of 1 class: 0 uploaded, 1 unchanged, 1 removed left out: 1 file" in printed
    assert "must end in .avif, .bmp, .gif, .jfif, .jpe, .jpeg, .jpg, .png, .tif, .tiff, .webp: notes.txt" in printed


def test_ready_is_uploaded_last_where_it_starts_a_run(uploads: list[Changes], folder: str) -> None:
    stack: Any = vars(shared)["find_target"]()
    refused = invoke("upload", folder, "--yes", "--ready")
    assert refused.exit_code == 1
    assert "--ready has no effect, as no upload starts a run here" in str(refused.exception)
    assert uploads == [], "it is refused before anything is uploaded"

    stack.outputs["ReadyObject"] = "s3://data/dataset/READY"
    planned = invoke("upload", folder, "--yes", "--ready", "--plan")
    assert planned.exit_code == 0, planned.output
    assert "dataset/READY" not in stack.clients["s3"].objects
    done = invoke("upload", folder, "--yes", "--ready")
    assert done.exit_code == 0, done.output
    assert stack.clients["s3"].objects["dataset/READY"] == b""
    assert "s3://data/dataset/READY was uploaded: a run begins in a moment" in " ".join(done.output.split())


def test_an_upload_under_a_running_run_warns(uploads: list[Changes], folder: str) -> None:
    assert "warning" not in invoke("upload", folder, "--yes").output
    stack: Any = vars(shared)["find_target"]()
    stack.clients["stepfunctions"].running = (EXECUTION,)
    assert f"warning: run {RUN} is going on and may yet read photos" in invoke("upload", folder, "--yes").output


def test_copies_in_two_classes_and_every_left_out_file_are_named(
    uploads: list[Changes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_set, "STATE", tmp_path / "state")
    for name in ("cat/a.jpg", "cat/b.jpg", "dog/c [_old].jpg", *(f"dog/._{number}.jpg" for number in range(7))):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(b"b" if name == "cat/b.jpg" else b"a")
    printed = invoke("upload", str(tmp_path / "set"), "--yes").output
    assert "1 photo in more than one class" in printed
    assert "  cat/a.jpg = dog/c [_old].jpg\n" in printed
    assert "left out: 7 files\n  it is a file of the system or of a program: dog/._0.jpg, " in printed
    assert "dog/._4.jpg and 2 more\n" in printed
    lines = (tmp_path / "state" / "left-out.csv").read_text().splitlines()
    assert lines[0] == "path,reason"
    assert len(lines) == 8
    assert lines[7] == "dog/._6.jpg,it is a file of the system or of a program"


def answered(*labels: str, reason: str = "") -> Answer:
    """An answer with these classes; of an unknown photo where it gives a reason."""
    predictions: list[Prediction] = [{"label": label, "score": 0.5} for label in labels]
    answer: Answer = {
        "label": labels[0],
        "score": 0.5,
        "known": not reason,
        "distance": 1.5 if reason else 0.5,
        "predictions": predictions,
    }
    if reason:
        answer["reason"] = reason
    return answer


def test_names_and_log_lines_are_never_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    """A class `dress [old]` was shown as `dress`, and a log line with `[/old]` ended the command with a traceback."""
    line = "left out: dress/scan [/old].jpg: [bold] :smile: it is empty"
    monkeypatch.setattr(shared, "find_target", lambda **_: FakeStack())
    monkeypatch.setattr(runs, "run_lines", lambda *_, **__: [("job [/x]", line)])
    assert invoke("logs", "run-7").output == f"job [/x] {line}\n"

    def classify(_: Api, photo: Path, **__: Any) -> Answer:
        return answered("dress [old] [/x] :smile:", reason="[/y] :smile:")

    monkeypatch.setattr(Api, "of", classmethod(lambda cls, _: cls("https://host/", "key")))
    monkeypatch.setattr(Api, "classify", classify)
    printed = invoke("classify", "scan [/old].jpg").output
    assert "scan [/old].jpg" in printed
    assert "dress [old] [/x] :smile:" in printed
    assert "[/y] :smile:" in printed


def test_every_console_of_the_commands_prints_text() -> None:
    commands = Path(main.__file__).parent
    made = [file.name for file in commands.rglob("*.py") if re.search(r"(?<!new_)\bConsole\(", file.read_text())]
    assert made == ["terminal.py"]


def test_a_line_that_goes_into_a_file_is_not_broken_and_a_heading_is_no_longer_than_a_screen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    path = "/".join(["a folder with a long name"] * 20)
    terminal.new_console().print(path)
    terminal.print_heading(terminal.new_console(), "1. Deploy")
    line, heading = capsys.readouterr().out.splitlines()
    assert line == path
    assert heading.startswith("1. Deploy ──")
    assert len(heading) == 100


def test_one_photo_that_is_refused_does_not_keep_the_others_from_being_classified(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def classify(_: Api, photo: Path, *, top: int, coverage: float | None, explain: bool) -> Answer:
        if photo.name == "bad.jpg":
            raise CliError("bad.jpg is not a photo")
        return answered(*("whippet", "borzoi", "saluki")[:top])

    monkeypatch.setattr(shared, "find_target", lambda **_: None)
    monkeypatch.setattr(Api, "of", classmethod(lambda cls, _: cls("https://host/", "key")))
    monkeypatch.setattr(Api, "classify", classify)
    result = invoke("classify", "bad.jpg", "good.jpg", "--top", "2")
    assert isinstance(result.exception, CliError)
    assert "bad.jpg is not a photo" in str(result.exception)
    assert "whippet" in result.output
    assert "borzoi" in result.output
    assert "saluki" not in result.output


def classified(monkeypatch: pytest.MonkeyPatch, answer: Answer, *options: str) -> tuple[list[list[str]], list[Any]]:
    """The words of each line that is printed, and what the API was asked for."""
    asked: list[Any] = []

    def classify(_: Api, __: Path, **wanted: Any) -> Answer:
        asked.append(wanted)
        return answer

    monkeypatch.setattr(shared, "find_target", lambda **_: None)
    monkeypatch.setattr(Api, "of", classmethod(lambda cls, _: cls("https://host/", "key")))
    monkeypatch.setattr(Api, "classify", classify)
    return [line.split() for line in invoke("classify", "dog.jpg", *options).output.splitlines()], asked


def test_a_known_photo_is_called_known(monkeypatch: pytest.MonkeyPatch) -> None:
    lines, asked = classified(monkeypatch, answered("whippet", "borzoi"))
    assert lines == [
        ["photo", "label", "score", "known"],
        ["dog.jpg", "whippet", "0.500", "yes"],
        ["borzoi", "0.500"],
    ]
    assert asked == [{"top": 3, "coverage": None, "explain": False}]


@pytest.mark.parametrize("label", ["whippet", None])
def test_an_unknown_photo_is_called_unknown_with_the_reason(monkeypatch: pytest.MonkeyPatch, label: str | None) -> None:
    answer = answered("whippet", reason="it is odd")
    answer["label"] = label
    lines, _ = classified(monkeypatch, answer)
    assert lines[1:] == [["dog.jpg", "whippet", "0.500", "no"], ["↳", "it", "is", "odd"]]


def test_a_model_that_cannot_tell_gets_a_question_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = answered("whippet")
    answer["known"] = answer["distance"] = None
    lines, _ = classified(monkeypatch, answer)
    assert lines[1] == ["dog.jpg", "whippet", "0.500", "?"]


def test_a_coverage_shows_the_whole_set_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = answered("whippet", "borzoi", "saluki")
    answer["labels"] = ["whippet", "borzoi"]
    lines, asked = classified(monkeypatch, answer, "--coverage", "0.95")
    assert [line[-3:][0] for line in lines[1:]] == ["whippet", "borzoi"]
    assert asked[0]["coverage"] == 0.95
    assert asked[0]["top"] >= 100_000, "every label of the set has to come with its score"


def test_a_run_that_released_its_model_tells_where_and_how_good_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    output = {"endpoint": "whippet-dev", "test_accuracy": 0.98765, "test_images": 40, "decision": "s3://data/d.json"}
    runs.conclude(Outcome(run="run-7", succeeded=True, output=output, error="SUCCEEDED", cause=""))
    printed = capsys.readouterr().out
    assert "released on whippet-dev: test accuracy 0.9877 on 40 photos; s3://data/d.json" in printed


@pytest.mark.parametrize("command", ["stop", "demo"])
def test_commands_for_this_machine_refuse_a_region(command: str) -> None:
    result = invoke("--region", "eu-west-1", command)
    assert isinstance(result.exception, CliError)
    assert "leave --profile and --region out" in str(result.exception)


def test_the_demo_takes_settings() -> None:
    result = invoke("-c", "tuning.trials=none", "demo")
    assert isinstance(result.exception, CliError)
    assert "tuning.trials" in str(result.exception)


class FakePages:
    """CloudFormation with these stacks, one a page."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def get_paginator(self, name: str) -> Any:
        assert name == "describe_stacks"
        return self

    def paginate(self) -> Any:
        for name in self.names:
            yield {"Stacks": [{"StackName": name, "StackStatus": "CREATE_COMPLETE"}]}


def local_stack(monkeypatch: pytest.MonkeyPatch, **clients: Any) -> Any:
    """A stack on the local cloud; `stopped` notes whether the cloud was."""
    stack: Any = FakeStack(**clients)
    stack.cloud = Cloud(port=4577, pid=1, state=Path("state"), access_key="AKIAOFTHISSTART", secret_key="it's")
    stack.environment = stack.cloud.environment()
    stack.stopped = []
    monkeypatch.setattr(shared, "find_target", lambda **_: stack)
    monkeypatch.setattr(deployment, "destroy", lambda _: None)
    monkeypatch.setattr(control, "stop", stack.stopped.append)
    return stack


def test_the_environment_can_be_set_in_a_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    local_stack(monkeypatch)
    lines = invoke("env").output
    script = f'{lines}\necho "$AWS_ENDPOINT_URL $AWS_ACCESS_KEY_ID $AWS_SECRET_ACCESS_KEY $AWS_REGION"'
    told = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert told == "http://127.0.0.1:4577 AKIAOFTHISSTART it's us-east-1\n"


def test_there_is_no_environment_to_set_for_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    local_stack(monkeypatch).cloud = None
    assert isinstance(invoke("env").exception, CliError)


@pytest.mark.parametrize("other", ["Whippet-prod", "SomebodyElses"])
def test_a_cloud_in_which_another_stack_stands_goes_on(monkeypatch: pytest.MonkeyPatch, other: str) -> None:
    stack = local_stack(monkeypatch, cloudformation=FakePages("CDKToolkit", "Whippet-dev", other))
    result = invoke("down")
    assert f"the local cloud goes on, for {other}" in result.output
    assert stack.stopped == []


def test_the_last_stack_takes_the_local_cloud_along(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = local_stack(monkeypatch, cloudformation=FakePages("CDKToolkit", "Whippet-dev"))
    assert "the local cloud was stopped" in invoke("down").output
    assert len(stack.stopped) == 1
