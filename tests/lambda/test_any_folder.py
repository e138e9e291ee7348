"""Any folder that a person has: `whippet upload` and CheckDataset answer alike, whichever way the photos came."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from check_dataset import handler as check_dataset
from check_dataset.listing import BadDataset, parse_listing
from hypothesis import given
from typer.testing import CliRunner

import contract
from cli import main
from cli.commands import shared
from contract import FolderError, read_folders
from tests.cli.stack import FakeStack
from tests.contract.test_folders import TREES
from tests.fakes.lambda_context import Context
from tests.fakes.s3 import FakeS3

from .test_check_dataset import RUN, deploy, event

CASES: Final = Path(__file__).parents[3] / "shared" / "cases" / "folders"

NFC, NFD = "Caf\u00e9", "Cafe\u0301"
MESSY = ("2", "10", "Pants & Jeans (50% off) #1", "Schu\u0308he+Stiefel", "dress [old]", "帽子 🎩")

FOLDERS: Final[dict[str, list[str]]] = {
    "vehicles": [f"{name}/{n}.jpg" for name in ("bus", "car", "train") for n in range(8)],
    "intel": [
        *(
            f"{split}/{split}/{name}/{n}.jpg"
            for split in ("seg_train", "seg_test")
            for name in ("a", "b")
            for n in range(6)
        ),
        *(f"seg_pred/seg_pred/{n}.jpg" for n in range(6)),
    ],
    "zip-top": [f"clothing10/{split}/{name}/{n}.jpg" for split in ("train", "test") for name in "ab" for n in range(8)],
    "nfcnfd": [f"{name}/{n}.jpg" for name in (NFC, NFD, "thé") for n in range(8)],
    "twoclasses": [f"{name}/{n}.jpg" for name in ("dress", "hat") for n in range(8)],
    "messy": [
        *(f"{name}/IMG {n:03} [copy] é+%20.jpg" for name in MESSY for n in range(24)),
        *(f"{folder}帽子 🎩/._IMG {n:03}.jpg" for folder in ("", "__MACOSX/") for n in range(6)),
        *(f".ipynb_checkpoints/{n}-checkpoint.jpg" for n in range(6)),
        *(f"帽子 🎩/{name}" for name in ("p.jfif", "photo.heic", "empty.jpg", "Thumbs.db", "desktop.ini", ".DS_Store")),
        ".DS_Store",
        "labels.csv",
    ],
}
"""The folders of `shared/cases`, as paths."""


def make(name: str, root: Path) -> Path:
    """Write a folder of `FOLDERS`; the first two photos of each class of `twoclasses` are the same."""
    for path in FOLDERS[name]:
        file = root / name / path
        file.parent.mkdir(parents=True, exist_ok=True)
        content = f"photo {file.name}" if name == "twoclasses" and file.stem in "01" else f"photo {path}"
        file.write_text("" if file.name == "empty.jpg" else content)
    return root / name


def unpack(name: str, root: Path) -> Path:
    """Return a folder of `shared/cases`."""
    if (CASES / name).is_dir():
        return CASES / name
    with tarfile.open(CASES / f"{name}.tar") as archive:
        archive.extractall(root, filter="data")
    return root / name


@dataclass
class Answer:
    """What a person is told about a folder: by `whippet upload`, by CheckDataset of what it sent, and of all files."""

    uploaded: str
    refused: str = ""
    runs: list[str] = field(default_factory=list)
    """Why CheckDataset refused what was uploaded, or else all files as `aws s3 sync` sends them."""
    summaries: list[contract.DatasetSummary] = field(default_factory=list)
    paths: list[list[str]] = field(default_factory=list)

    @property
    def classes(self) -> list[str]:
        return [entry["name"] for entry in self.summaries[0]["classes"]]


def ask(folder: Path, monkeypatch: pytest.MonkeyPatch, context: Context) -> Answer:
    """Upload a folder and check it, and check all of its files."""
    stack: Any = FakeStack()
    stack.dataset = ("data", "dataset/")
    monkeypatch.setattr(shared, "find_target", lambda **_: stack)
    result = CliRunner().invoke(main.typer_app, ["upload", str(folder)], terminal_width=200)
    answer = Answer(uploaded=result.output, refused=str(result.exception or ""))

    synced = FakeS3()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        synced.put_object(Bucket="data", Key=f"dataset/{file.relative_to(folder).as_posix()}", Body=file.read_bytes())
    deploy(monkeypatch)
    for s3 in [synced] if answer.refused else [synced, stack.client("s3")]:
        monkeypatch.setattr(check_dataset, "s3", s3)
        try:
            check_dataset.handler(event(), context)  # type: ignore[arg-type]
        except BadDataset as error:
            answer.runs.append(str(error))
            continue
        answer.summaries.append(json.loads(s3.objects[f"runs/{RUN}/manifest/dataset.json"]))
        lines = io.BytesIO(s3.objects[f"runs/{RUN}/manifest/manifest.jsonl"])
        answer.paths.append([json.loads(line)["path"] for line in lines])
    return answer


@pytest.fixture(params=["made", "shared"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A function that returns a folder by its name: made here, or as it came from the field."""
    if request.param == "made":
        return lambda name: make(name, tmp_path)
    if not CASES.is_dir():
        pytest.skip("the cases from the field are not beside this repository")
    return lambda name: unpack(name, tmp_path)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("intel", ["no photo lies directly in a folder of", "seg_train/seg_train/"]),
        ("zip-top", ["everything lies in one folder", "clothing10/, whose folders (test, train) look like splits"]),
        ("nfcnfd", [ascii(NFC), ascii(NFD), "look the same"]),
    ],
)
def test_what_cannot_be_understood_is_refused_both_ways(
    folder: Any, name: str, told: list[str], monkeypatch: pytest.MonkeyPatch, context: Context
) -> None:
    place = folder(name)
    answer = ask(place, monkeypatch, context)
    for part in told:
        assert part in answer.refused
    assert answer.runs == [answer.refused.replace(f"{place}/", "s3://data/dataset/")]


def test_a_class_called_train_is_kept_both_ways(folder: Any, monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    answer = ask(folder("vehicles"), monkeypatch, context)
    assert answer.classes == ["bus", "car", "train"]
    assert "holds 24 photos of 3 classes" in answer.uploaded
    assert "train counts as a class, since it holds its photos itself" in answer.uploaded
    assert any("train counts as a class" in remark for remark in answer.summaries[0]["remarks"])
    assert [len(paths) for paths in answer.paths] == [24, 24]


def test_a_messy_folder_is_read_alike_and_every_other_file_is_named(
    folder: Any, monkeypatch: pytest.MonkeyPatch, context: Context
) -> None:
    place = folder("messy")
    answer = ask(place, monkeypatch, context)
    assert answer.summaries[0]["classes"] == answer.summaries[1]["classes"]
    assert answer.paths[0] == answer.paths[1]
    assert set(answer.classes) == set(MESSY)
    assert f"holds {len(answer.paths[0])} photos of 6 classes" in answer.uploaded
    assert "HEIC is not read; convert it to JPEG: 帽子 🎩/photo.heic" in answer.uploaded
    assert "dress [old]" in answer.classes

    files = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
    left_out = {file["path"] for file in answer.summaries[0]["left_out"]}
    assert answer.summaries[1]["left_out"] == [], "they were not uploaded"
    assert left_out == files - set(answer.paths[0])
    assert {"labels.csv", "帽子 🎩/empty.jpg", "__MACOSX/帽子 🎩/._IMG 000.jpg", ".DS_Store"} <= left_out
    assert "帽子 🎩/p.jfif" not in left_out


def test_photos_in_two_classes_are_named(folder: Any, monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    place = folder("twoclasses")
    answer = ask(place, monkeypatch, context)
    same = sorted(path.name for path in (place / "dress").iterdir() if (place / "hat" / path.name).exists())
    twice = [name for name in same if (place / "dress" / name).read_bytes() == (place / "hat" / name).read_bytes()]
    assert len(twice) in (2, 6)
    assert f"{len(twice)} photos in more than one class" in answer.uploaded
    for name in twice:
        assert f"dress/{name} = hat/{name}" in answer.uploaded
    assert answer.summaries[0]["in_two_classes"] == [[f"dress/{name}", f"hat/{name}"] for name in twice]


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases from the field are not beside this repository")
def test_every_folder_from_the_field_is_tested() -> None:
    assert {path.stem for path in CASES.iterdir()} == set(FOLDERS)


@given(TREES)
def test_any_tree_is_understood_alike(files: list[tuple[str, int]]) -> None:
    """The listing of a bucket and the walk through a folder are two orders of the same paths."""

    def uploaded() -> object:
        try:
            folders = read_folders(sorted(files), place="s3://data/dataset/")
        except FolderError as error:
            return str(error)
        return {(photo.path, photo.label, photo.split) for photo in folders.photos}, folders.remarks

    def checked() -> object:
        try:
            listing = parse_listing([(path, size, "etag") for path, size in files], place="s3://data/dataset/")
        except BadDataset as error:
            return str(error)
        return {(photo.path, photo.label, photo.split) for photo in listing.photos}, listing.remarks

    assert uploaded() == checked()
