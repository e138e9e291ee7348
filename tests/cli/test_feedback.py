"""`whippet feedback`: what it downloads, says and writes, and how its list is applied, also after an interruption."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import contract
from cli import CliError, main
from cli.commands import data, shared
from cli.feedback import review
from infra.settings import Settings
from tests.cli.stack import FakeStack
from tests.fakes import doctor
from tests.fakes.s3 import FakeS3, client_error

HOSTILE = "<img src=x onerror=alert(1)>"


class Stack:
    """A deployed stack with feedback that waits, a folder for reviews, and the command."""

    def __init__(self, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fake = FakeStack()
        self.fake.settings = Settings.model_validate({"api": {"feedback": True}})
        self.s3: FakeS3 = self.fake.client("s3")
        self.state = state
        monkeypatch.setattr(data, "STATE", state)
        monkeypatch.setattr(shared, "find_target", lambda **_: self.fake)

    def send(self, photo: bytes, label: str, /, **more: Any) -> str:
        """Keep feedback as the API does; return its id."""
        content = hashlib.sha256(photo).hexdigest()
        identity = contract.feedback_id(content, label)
        record: contract.Feedback = {
            "id": identity, "photo": contract.feedback_key(identity, ".jpg"), "content": content, "label": label,
            "answered": "dog", "run": "run-1", "request_id": None, "received": "2026-11-29T09:00:00+00:00",
            "consent": True,
        }  # fmt: skip
        self.put(record["photo"], photo)
        self.put(contract.feedback_key(identity), json.dumps({**record, **more}).encode())
        return identity

    def put(self, key: str, body: bytes) -> None:
        self.s3.put_object(Bucket="data", Key=key, Body=body)

    def below(self, prefix: str) -> dict[str, bytes]:
        return {key: body for key, body in self.s3.objects.items() if key.startswith(prefix)}

    def whippet(self, *arguments: object) -> Result:
        return CliRunner().invoke(main.typer_app, ["feedback", *map(str, arguments)], terminal_width=200)

    def review(self) -> Path:
        result = self.whippet()
        assert result.exit_code == 0, result.exception
        return max((self.state / "feedback").iterdir(), key=lambda folder: folder.stat().st_mtime_ns)

    def apply(self, folder: Path) -> Result:
        return self.whippet("--apply", folder / "feedback.csv")


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A stack whose data set has two classes."""
    doctor.install(tmp_path / "envs", monkeypatch)
    made = Stack(tmp_path / "state", monkeypatch)
    for path, body in {"cat/a.jpg": b"a cat", "dog/a.jpg": b"a dog"}.items():
        made.put(f"dataset/{path}", body)
    return made


def rows(folder: Path) -> dict[str, dict[str, str]]:
    """Return the rows of a list by their ids."""
    with (folder / "feedback.csv").open(encoding="utf-8-sig", newline="") as opened:
        return {row["id"]: row for row in csv.DictReader(opened)}


def decide(folder: Path, decisions: dict[str, dict[str, str]], *, delimiter: str = ",") -> None:
    """Write cells into the rows of these ids, as a person does in a spreadsheet."""
    table = rows(folder)
    for identity, cells in decisions.items():
        table[identity] |= cells
    with (folder / "feedback.csv").open("w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, next(iter(table.values())).keys(), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(table.values())


def place(photo: bytes, label: str, top: str = "") -> str:
    return f"dataset/{top}{label}/feedback-{hashlib.sha256(photo).hexdigest()[:32]}.jpg"


ADD, REJECT = {"action": "add"}, {"action": "reject"}


def test_an_empty_inbox_says_so(stack: Stack) -> None:
    stack.put("feedback/notes.txt", b"of somebody")
    assert stack.whippet().output == "no feedback waits on this machine\n"
    stack.fake.settings = Settings()
    assert "api.feedback is false" in stack.whippet().output
    assert not (stack.state / "feedback").exists()


def test_a_review_has_every_photo_with_what_a_person_should_know(stack: Stack) -> None:
    ids = {
        "known": stack.send(b"photo", "cat"),
        "again": stack.send(b"photo", "dog"),
        "new": stack.send(b"other", "zebra"),
        "alike": stack.send(b"third", "Cat"),
        "there": stack.send(b"a dog", "dog"),
        "broken": stack.send(b"damaged", "cat"),
    }
    folder = stack.review()
    found = rows(folder)
    assert {name: found[identity]["remark"] for name, identity in ids.items()} == {
        "known": "was also said to be dog",
        "again": "was also said to be cat",
        "new": "a new class",
        "alike": "looks the same as the class cat: write that label",
        "there": "in the data set already, as dog/a.jpg",
        "broken": "cannot be read: it is cut short",
    }
    row = found[ids["new"]]
    assert (row["action"], row["label"], row["answered"], row["run"]) == ("", "zebra", "dog", "run-1")
    assert (folder / row["photo"]).read_bytes() == b"other"
    page = (folder / "feedback.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 5
    assert page.count("no picture") == 1
    for remark in (row["remark"] for row in found.values()):
        assert remark in page
    assert not (folder / "previews.json").exists()


def test_labels_are_text_on_the_page_and_no_formulas_in_the_list(stack: Stack) -> None:
    hostile, formula = stack.send(b"1", HOSTILE), stack.send(b"2", "=HYPERLINK(1)")
    folder = stack.review()
    page = (folder / "feedback.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert rows(folder)[formula]["label"] == "'=HYPERLINK(1)"
    decide(folder, {hostile: ADD, formula: ADD})
    assert stack.apply(folder).exit_code == 0
    assert stack.below("dataset/").keys() >= {place(b"1", HOSTILE), place(b"2", "=HYPERLINK(1)")}


def test_the_oldest_are_reviewed_first_and_the_others_are_counted(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review, "MOST_REVIEWED", 2)
    first, second, _ = (stack.send(bytes([number]), "cat") for number in range(3))
    folder = stack.review()
    assert rows(folder).keys() == {first, second}
    assert "1 more wait" in (folder / "feedback.html").read_text(encoding="utf-8")


def test_a_photo_that_is_gone_or_another_is_not_shown(stack: Stack) -> None:
    gone, other, kept = (stack.send(photo, "cat") for photo in (b"1", b"2", b"3"))
    del stack.s3.objects[contract.feedback_key(gone, ".jpg")]
    stack.put(contract.feedback_key(other, ".jpg"), b"something else")
    folder = stack.review()
    assert rows(folder).keys() == {kept}
    assert [file.name for file in (folder / "photos").iterdir()] == [f"{kept}.jpg"]


@pytest.mark.parametrize(
    "forged",
    [
        {"photo": "dataset/cat/a.jpg"}, {"photo": "feedback/../../x.jpg"}, {"label": "../../x"}, {"label": 7},
        {"id": "0" * 32}, {"content": None},
    ],
)  # fmt: skip
def test_a_record_that_names_other_places_is_refused(stack: Stack, forged: dict[str, Any]) -> None:
    identity = stack.send(b"1", "cat", **forged)
    result = stack.whippet()
    assert isinstance(result.exception, CliError)
    assert contract.feedback_key(identity) in str(result.exception)


def test_what_is_confirmed_is_added_and_what_is_decided_leaves(stack: Stack) -> None:
    right, mended, wrong, open_ = (
        stack.send(photo, label) for photo, label in ((b"1", "cat"), (b"2", "Cat"), (b"3", "cat"), (b"4", "cat"))
    )
    folder = stack.review()
    decide(folder, {right: ADD, mended: {"action": "Add", "label": "dog"}, wrong: REJECT}, delimiter=";")
    result = stack.apply(folder)
    assert result.exit_code == 0, result.exception
    assert stack.below("dataset/") == {
        "dataset/cat/a.jpg": b"a cat",
        "dataset/dog/a.jpg": b"a dog",
        place(b"1", "cat"): b"1",
        place(b"2", "dog"): b"2",
    }
    assert stack.below("feedback/").keys() == {
        contract.feedback_key(open_, ".jpg"),
        contract.feedback_key(open_),
    }
    assert "2 photos; 1 rejected" in result.output
    assert "the class cat has 2 photos; a run needs 5" in result.output
    assert "whippet upload" in result.output

    added = {path.relative_to(folder / "added").as_posix() for path in (folder / "added").rglob("*.jpg")}
    assert added == {place(b"1", "cat")[8:], place(b"2", "dog")[8:]}
    assert [file.name for file in (folder / "photos").iterdir()] == [f"{open_}.jpg"], "no stranger's photo stays"

    again = stack.apply(folder)
    assert "0 photos; 0 rejected, 3 no longer waiting" in again.output
    assert len(stack.below("dataset/")) == 4


def test_a_data_set_with_splits_gets_photos_to_train_on(stack: Stack) -> None:
    stack.s3.objects.clear()
    for path in ("Training/cat/a.jpg", "Training/dog/a.jpg", "test/cat/b.jpg", "test/dog/b.jpg"):
        stack.put(f"dataset/{path}", path.encode())
    identity = stack.send(b"1", "cat")
    folder = stack.review()
    decide(folder, {identity: ADD})
    assert stack.apply(folder).exit_code == 0
    assert place(b"1", "cat", "Training/") in stack.s3.objects


def test_nothing_is_overwritten_or_added_twice(stack: Stack) -> None:
    there, twin, other = stack.send(b"a cat", "cat"), stack.send(b"1", "cat"), stack.send(b"1", "Cat")
    stack.put(place(b"1", "cat"), b"of before")
    folder = stack.review()
    decide(folder, {there: ADD, twin: ADD, other: {"action": "add", "label": "cat"}})
    result = stack.apply(folder)
    assert "1 in the data set already" in result.output
    assert stack.s3.objects[place(b"1", "cat")] == b"of before"
    assert len(stack.below("dataset/")) == 3
    assert stack.below("feedback/") == {}


@pytest.mark.parametrize("answer_lost", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("stopped_at", ["put_object", "delete_objects"])
def test_an_interrupted_list_goes_on_where_it_ended(
    stack: Stack, stopped_at: str, answer_lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the call, or after it, where S3 did what was asked and its answer did not arrive."""
    ids = [stack.send(bytes([number]), "cat") for number in range(6)]
    folder = stack.review()
    decide(folder, dict.fromkeys(ids[:5], ADD) | {ids[5]: REJECT})
    working, calls = getattr(stack.s3, stopped_at), []

    def stops(**parameters: Any) -> Any:
        calls.append(parameters)
        if len(calls) > 2:
            if answer_lost:
                working(**parameters)
            raise client_error("SlowDown", "Please reduce your request rate.", status=503)
        return working(**parameters)

    with monkeypatch.context() as patched:
        patched.setattr(stack.s3, stopped_at, stops)
        assert stack.apply(folder).exit_code != 0

    assert stack.apply(folder).exit_code == 0
    assert stack.below("dataset/").keys() - {"dataset/cat/a.jpg", "dataset/dog/a.jpg"} == {
        place(bytes([number]), "cat") for number in range(5)
    }
    assert stack.below("feedback/") == {}
    assert len(list((folder / "added").rglob("*.jpg"))) == 5
    assert list((folder / "photos").iterdir()) == []


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"action": "keep"}, "the action 'keep' is unknown; write add, reject"),
        ({"action": "add", "label": "a/b"}, "cannot be a class folder"),
        ({"action": "add", "label": ".."}, "cannot be a class folder"),
        ({"action": "add", "label": ""}, "cannot be a class folder"),
        ({"action": "add", "id": "../x"}, "is no id"),
        ({"action": "add", "label": "Cat"}, "names look the same"),
        ({"action": "add", "label": "dog"}, "in the data set already, as cat/a.jpg"),
    ],
)
def test_a_list_that_cannot_be_right_changes_nothing(stack: Stack, cells: dict[str, str], words: str) -> None:
    identity, good = stack.send(b"a cat" if cells.get("label") == "dog" else b"1", "cat"), stack.send(b"2", "dog")
    folder = stack.review()
    decide(folder, {good: ADD, identity: cells})
    before = dict(stack.s3.objects)
    result = stack.apply(folder)
    assert isinstance(result.exception, CliError)
    assert words in str(result.exception)
    assert "Nothing was changed" in str(result.exception)
    assert stack.s3.objects == before


def test_one_photo_is_not_put_into_two_classes(stack: Stack) -> None:
    ids = [stack.send(b"1", "cat"), stack.send(b"1", "dog")]
    folder = stack.review()
    decide(folder, dict.fromkeys(ids, ADD))
    result = stack.apply(folder)
    assert "would be in the classes" in str(result.exception)
    assert len(stack.below("dataset/")) == 2


def test_a_list_without_actions_or_of_another_command_is_refused(stack: Stack, tmp_path: Path) -> None:
    stack.send(b"1", "cat")
    folder = stack.review()
    assert "write add or reject" in str(stack.apply(folder).exception)
    (folder / "feedback.csv").write_text("action,kind,photo\n")
    assert "has no column label, answered" in str(stack.apply(folder).exception)
    assert "cannot be read" in str(stack.whippet("--apply", tmp_path / "none.csv").exception)


def test_a_review_that_fails_leaves_no_strangers_photo(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.send(b"1", "cat")
    doctor.install(tmp_path / "others", monkeypatch, error="it broke")
    assert "making thumbnails failed: it broke" in str(stack.whippet().exception)
    assert list((stack.state / "feedback").iterdir()) == []


def test_without_any_photos_in_the_data_set_every_label_is_a_new_class(stack: Stack) -> None:
    for key in stack.below("dataset/"):
        del stack.s3.objects[key]
    identity = stack.send(b"1", "cat")
    folder = stack.review()
    assert rows(folder)[identity]["remark"] == "a new class"
    decide(folder, {identity: ADD})
    assert stack.apply(folder).exit_code == 0
    assert stack.below("dataset/").keys() == {place(b"1", "cat")}
