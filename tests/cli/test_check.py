"""`whippet check`: what it asks of the training environment, prints and writes, and how its list is applied."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli import CliError, main
from cli.commands import data
from tests.fakes import doctor


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(data, "STATE", tmp_path / "state")
    return tmp_path / "state"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photos of two classes, each of other content."""
    folder = tmp_path / "photos"
    for name in ("cat/a.jpg", "cat/b.jpg", "dog/a.jpg", "dog/c.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def whippet(*arguments: object) -> Result:
    return CliRunner().invoke(main.typer_app, ["check", *map(str, arguments)], terminal_width=200)


def written(state: Path) -> Path:
    """The folder of the newest check."""
    return max((state / "checks").iterdir(), key=lambda folder: folder.stat().st_mtime_ns)


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as opened:
        return list(csv.DictReader(opened))


def decide(file: Path, decisions: dict[str, str], *, delimiter: str = ",", **more: str) -> None:
    """Write actions into the rows of these photos, as a person does in a spreadsheet."""
    table = rows(file)
    for row in table:
        if row["photo"] in decisions:
            row |= {"action": decisions[row["photo"]], **more}
    with file.open("w", encoding="utf-8", errors="surrogateescape", newline="") as opened:
        writer = csv.DictWriter(opened, table[0].keys(), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(table)


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def checked(folder: Path, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The list of a check that suspects two photos."""
    doctor.install(
        tmp_path / "envs",
        monkeypatch,
        {"kind": "label", "path": "cat/a.jpg", "looks_like": "dog", "other": "dog/c.jpg"},
        {"kind": "blurred", "path": "dog/c.jpg"},
    )
    assert whippet(folder).exit_code == 0
    return written(state) / "check.csv"


def test_the_photos_are_asked_about_with_class_and_split(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("train/cat/a.jpg", "Valid/dog/b.jpg", "test/cat/deep/c.png"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_text("photo")
    asked = doctor.install(tmp_path / "envs", monkeypatch)
    assert whippet(tmp_path / "photos").exit_code == 0
    request = json.loads(asked.read_text())
    assert request["classes"] == ["cat", "dog"]
    assert sorted((photo["path"], photo["label"], photo["split"]) for photo in request["photos"]) == [
        ("Valid/dog/b.jpg", 1, "validation"),
        ("test/cat/deep/c.png", 0, "test"),
        ("train/cat/a.jpg", 0, "train"),
    ]


def test_what_was_found_is_printed_with_the_way_to_act_on_it(
    folder: Path, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "notes.txt").touch()
    finding = {"kind": "label", "path": "cat/a.jpg", "looks_like": "dog", "reason": "looks like dog (97%)"}
    doctor.install(tmp_path / "envs", monkeypatch, finding, remarks=("The classes are out of balance.",))
    printed = whippet(folder).output
    assert "4 photos in 2 classes of" in printed
    assert "look at 1 of them (25.0%)" in printed
    assert "left out: 1 file" in printed
    assert ": notes.txt" in printed
    assert "The classes are out of balance." in printed
    assert "label (1): looks like another class" in printed
    assert "looks like dog (97%)" in printed
    assert f"--apply {written(state) / 'check.csv'}" in printed


def test_the_page_names_what_was_left_out_and_what_is_remarkable_about_the_folders(
    folder: Path, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("IMG_1.HEIC", *(f"{number}<b>.txt" for number in range(7))):
        (folder / "cat" / name).write_text("no photo")
    (folder / "train").mkdir()
    (folder / "train" / "a.jpg").write_text("a class that is called like a split")
    doctor.install(tmp_path / "envs", monkeypatch)
    assert whippet(folder).exit_code == 0
    page = (written(state) / "check.html").read_text(encoding="utf-8")
    assert "train counts as a class" in page
    assert "HEIC is not read; convert it to JPEG" in page
    assert all(f"cat/{name}" in page for name in ("IMG_1.HEIC", "6&lt;b&gt;.txt"))


def test_a_second_check_leaves_the_list_that_a_person_works_on(checked: Path, folder: Path, state: Path) -> None:
    decide(checked, {"cat/a.jpg": "aside"})
    before = checked.read_bytes()
    assert whippet(folder).exit_code == 0
    assert checked.read_bytes() == before
    assert len(list((state / "checks").iterdir())) == 2


def test_without_a_training_environment_it_says_how_to_get_one(
    folder: Path, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHIPPET_ENVIRONMENTS", str(tmp_path / "none"))
    result = whippet(folder)
    assert isinstance(result.exception, CliError)
    assert "the training environment is missing; run `make setup`" in str(result.exception)


def test_a_check_that_fails_says_why(
    folder: Path, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    doctor.install(tmp_path / "envs", monkeypatch, error="the disk is full")
    result = whippet(folder)
    assert isinstance(result.exception, CliError)
    assert str(result.exception) == "the check failed: the disk is full"


def test_a_confirmed_photo_is_moved_aside_and_back(checked: Path, folder: Path) -> None:
    before = files(folder)
    decide(checked, {"cat/a.jpg": "aside"})
    result = whippet(folder, "--apply", checked)
    assert result.exit_code == 0
    assert "photos/cat/a.jpg -> photos.aside/cat/a.jpg" in result.output
    assert "moved: 1 photo" in result.output
    assert files(folder) == before - {"cat/a.jpg"}
    assert (folder.parent / "photos.aside" / "cat" / "a.jpg").read_text() == "cat/a.jpg"

    assert whippet(folder, "--undo").exit_code == 0
    assert files(folder) == before
    again = whippet(folder, "--undo")
    assert isinstance(again.exception, CliError)
    assert "nothing to undo" in str(again.exception)


def test_a_wrong_label_is_put_right_without_overwriting_a_photo_of_the_same_name(checked: Path, folder: Path) -> None:
    decide(checked, {"cat/a.jpg": " Relabel "})
    assert whippet(folder, "--apply", checked).exit_code == 0
    assert files(folder) == {"cat/b.jpg", "dog/a.jpg", "dog/a (2).jpg", "dog/c.jpg"}
    assert (folder / "dog" / "a.jpg").read_text() == "dog/a.jpg"
    assert (folder / "dog" / "a (2).jpg").read_text() == "cat/a.jpg"
    assert whippet(folder, "--undo").exit_code == 0
    assert (folder / "cat" / "a.jpg").read_text() == "cat/a.jpg"


def test_only_the_class_of_a_relabelled_photo_changes(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("train/cat/cat/a.jpg", "train/dog/b.jpg"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_text(name)
    finding = {"kind": "label", "path": "train/cat/cat/a.jpg", "looks_like": "dog"}
    doctor.install(tmp_path / "envs", monkeypatch, finding)
    whippet(tmp_path / "photos")
    decide(written(state) / "check.csv", {"train/cat/cat/a.jpg": "relabel"})
    assert whippet(tmp_path / "photos", "--apply", written(state) / "check.csv").exit_code == 0
    assert files(tmp_path / "photos") == {"train/dog/cat/a.jpg", "train/dog/b.jpg"}


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_list_that_a_spreadsheet_saved_in_its_own_way_is_read(checked: Path, folder: Path, delimiter: str) -> None:
    decide(checked, {"cat/a.jpg": "aside"}, delimiter=delimiter)
    assert whippet(folder, "--apply", checked).exit_code == 0
    assert "cat/a.jpg" not in files(folder)


def test_the_last_of_two_applies_is_undone_first(checked: Path, folder: Path) -> None:
    before = files(folder)
    for photo in ("cat/a.jpg", "dog/c.jpg"):
        decide(checked, {"cat/a.jpg": "", "dog/c.jpg": ""})
        decide(checked, {photo: "aside"})
        assert whippet(folder, "--apply", checked).exit_code == 0
    assert whippet(folder, "--undo").exit_code == 0
    assert files(folder) == before - {"cat/a.jpg"}
    assert whippet(folder, "--undo").exit_code == 0
    assert files(folder) == before


def test_undo_overwrites_nothing_and_names_what_it_left(checked: Path, folder: Path) -> None:
    decide(checked, {"cat/a.jpg": "aside", "dog/c.jpg": "aside"})
    assert whippet(folder, "--apply", checked).exit_code == 0
    (folder / "cat" / "a.jpg").write_text("another")
    result = whippet(folder, "--undo")
    assert isinstance(result.exception, CliError)
    assert "not moved back, being gone or replaced: 1 photo" in str(result.exception)
    assert "photos.aside/cat/a.jpg" in str(result.exception)
    assert (folder / "cat" / "a.jpg").read_text() == "another"
    assert (folder.parent / "photos.aside" / "cat" / "a.jpg").exists()
    assert (folder / "dog" / "c.jpg").exists()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"action": "delete"}, "the action 'delete' is unknown; write aside, relabel"),
        ({"action": "aside", "photo": "../outside.jpg"}, "is not a photo of"),
        ({"action": "aside", "photo": "/etc/hosts"}, "is not a photo of"),
        ({"action": "relabel", "looks_like": "../.."}, "which .* does not have"),
        ({"action": "aside", "content": "sha256:0"}, "has changed since it was checked"),
    ],
)
def test_a_list_that_cannot_be_applied_moves_nothing(
    checked: Path, folder: Path, row: dict[str, str], message: str
) -> None:
    (folder.parent / "outside.jpg").touch()
    before = files(folder.parent) - {f"state/{name}" for name in files(folder.parent / "state")}
    decide(checked, {"dog/c.jpg": "aside"})
    decide(checked, {"cat/a.jpg": ""}, **row)
    result = whippet(folder, "--apply", checked)
    assert isinstance(result.exception, CliError)
    assert re.search(message, str(result.exception))
    assert files(folder.parent) - {f"state/{name}" for name in files(folder.parent / "state")} == before


def test_two_decisions_on_one_photo_are_refused(
    folder: Path, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = {"path": "cat/a.jpg", "looks_like": "dog"}
    doctor.install(tmp_path / "envs", monkeypatch, {"kind": "label", **finding}, {"kind": "odd", **finding})
    whippet(folder)
    file = written(state) / "check.csv"
    table = rows(file)
    table[0]["action"], table[1]["action"] = "relabel", "aside"
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, table[0].keys())
        writer.writeheader()
        writer.writerows(table)
    result = whippet(folder, "--apply", file)
    assert isinstance(result.exception, CliError)
    assert "line 3: cat/a.jpg has another decision in line 2" in str(result.exception)
    assert "cat/a.jpg" in files(folder)


def test_a_list_without_actions_and_a_file_that_is_no_list_are_refused(checked: Path, folder: Path) -> None:
    untouched = whippet(folder, "--apply", checked)
    assert "no row of" in str(untouched.exception)
    other = folder.parent / "other.csv"
    other.write_text("a,b\n1,2\n")
    assert "has no column action" in str(whippet(folder, "--apply", other).exception)
    assert "cannot be read" in str(whippet(folder, "--apply", folder.parent / "none.csv").exception)


HOSTILE = (
    "=cmd|' !A1'.jpg",
    "+1.jpg",
    "-1.jpg",
    "@SUM(A1).jpg",
    "'quoted.jpg",
    "[red]x.jpg",
    "<script>.jpg",
    'a",b.jpg',
    "line\nbreak.jpg",
    "\x1b[31m.jpg",
)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_name_is_shown_listed_and_moved_as_it_is(
    name: str, tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "photos"
    for path in (f"=dog/{name}", "cat/a.jpg"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("photo")
    doctor.install(tmp_path / "envs", monkeypatch, {"kind": "odd", "path": f"=dog/{name}", "reason": f"like {name}"})
    result = whippet(folder)
    assert result.exit_code == 0, result.exception
    assert "\x1b[31m" not in result.output
    if name.isprintable() and name != "[red]x.jpg":
        assert name in result.output.replace("\n", "")
    assert name != "[red]x.jpg" or "[red]x.jpg" in result.output

    # no cell is a formula
    file = written(state) / "check.csv"
    (row,) = rows(file)
    assert row["photo"] == f"'=dog/{name}"
    assert row["class"] == "'=dog"
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row.values())

    # and what was listed is found again
    row["action"] = "aside"
    with file.open("w", encoding="utf-8", errors="surrogateescape", newline="") as opened:
        writer = csv.DictWriter(opened, row.keys())
        writer.writeheader()
        writer.writerow(row)
    moved = whippet(folder, "--apply", file)
    assert moved.exit_code == 0, moved.exception
    assert not (folder / "=dog" / name).exists()
    assert (tmp_path / "photos.aside" / "=dog" / name).exists()


def test_a_split_that_is_checked_alone_has_its_folder_aside_beside_the_data_set(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = tmp_path / "photos" / "train" / "cat" / "a.jpg"
    photo.parent.mkdir(parents=True)
    photo.write_text("photo")
    doctor.install(tmp_path / "envs", monkeypatch, {"kind": "dark", "path": "cat/a.jpg"})
    whippet(tmp_path / "photos" / "train")
    decide(written(state) / "check.csv", {"cat/a.jpg": "aside"})
    whippet(tmp_path / "photos" / "train", "--apply", written(state) / "check.csv")
    assert files(tmp_path / "photos") == set()
    assert files(tmp_path / "photos.aside") == {"cat/a.jpg", "moves.jsonl"}
