"""The check as `whippet check` starts it: real files in, findings and thumbnails out, and nothing read twice."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

import contract
from tests.training.doctor.pictures import cropped, jpeg, photo
from training import check_photos
from training.embedding.embedder import Embedder


@pytest.fixture
def request_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that checks a folder of files by path, and returns what was found and the thumbnails."""

    def checked(files: dict[str, bytes]) -> tuple[contract.DatasetCheck, dict[str, str]]:
        folder, output = tmp_path / "photos", tmp_path / "output"
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        output.mkdir(exist_ok=True)
        classes = sorted({name.split("/")[0] for name in files})
        request: contract.CheckRequest = {
            "folder": str(folder),
            "classes": classes,
            "photos": [{"path": n, "label": classes.index(n.split("/")[0]), "split": None} for n in sorted(files)],
            "kept": str(tmp_path / "kept"),
            "output": str(output),
        }
        file = tmp_path / "request.json"
        file.write_text(json.dumps(request))
        monkeypatch.setattr("sys.argv", ["check_photos", str(file)])
        check_photos.main()
        found: contract.DatasetCheck = json.loads((output / contract.Artefact.CHECK).read_text())
        thumbnails: dict[str, str] = json.loads((output / contract.Artefact.THUMBNAILS).read_text())
        return found, thumbnails

    return checked


def test_damaged_files_and_copies_are_found_and_a_second_check_embeds_only_new_photos(
    request_of: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    embedded: list[int] = []
    embed = Embedder.embed

    def counted(self: Embedder, pixels: Tensor) -> Any:
        embedded.append(len(pixels))
        return embed(self, pixels)

    monkeypatch.setattr(Embedder, "embed", counted)

    odd_name = os.fsdecode(b"b/\xff.jpg")
    files = {f"a/{seed}.jpg": jpeg(photo(seed)) for seed in range(5)}
    files |= {
        "b/cut.jpg": jpeg(cropped(photo(1), 0.85)),
        "b/same.jpg": files["a/2.jpg"],
        "b/damaged.jpg": jpeg(photo(9))[:500],
        "b/text.jpg": b"no picture",
        odd_name: jpeg(photo(8)),
    }
    check, thumbnails = request_of(files)
    found = {(finding["kind"], finding["path"]) for finding in check["findings"]}
    assert check["photos"] == 10
    assert found == {
        ("unreadable", "b/damaged.jpg"),
        ("unreadable", "b/text.jpg"),
        ("copy", "a/1.jpg"),
        ("copy", "b/cut.jpg"),
        ("copy", "a/2.jpg"),
        ("copy", "b/same.jpg"),
    }
    assert set(thumbnails) == {"a/1.jpg", "b/cut.jpg", "a/2.jpg", "b/same.jpg"}
    assert sum(embedded) == 7, "one of two equal files, and none that cannot be read"

    said = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert {"stage": "reading photos", "done": 10, "total": 10} in said

    again, _ = request_of({**files, "a/new.jpg": jpeg(photo(20))})
    assert sum(embedded) == 8
    assert {(finding["kind"], finding["path"]) for finding in again["findings"]} == found


def test_a_data_set_of_which_nothing_can_be_read_is_all_unreadable(request_of: Any) -> None:
    check, thumbnails = request_of({"a/1.jpg": b"", "b/2.jpg": b"x"})
    assert [finding["kind"] for finding in check["findings"]] == ["unreadable", "unreadable"]
    assert check["findings"][0]["reason"] == "the image is empty: it has 0 bytes"
    assert thumbnails == {}
