"""The training code's bundle and the serving image's build context."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

from infra.serving_image import content_tag, stage_context
from infra.source_bundle import write_bundle


def sources(folder: Path) -> Path:
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "__pycache__" / "train.pyc").write_bytes(b"cache")
    (folder / "train.py").write_text("print('hello')\n")
    (folder / "requirements.txt").write_text("left-pad==1\n")
    return folder


def test_the_same_files_give_the_same_bytes_whatever_their_times(tmp_path: Path) -> None:
    source = sources(tmp_path / "training")
    write_bundle(tmp_path / "a.tar.gz", source=source, requirements=True)
    os.utime(source / "train.py", (1, 1))
    (source / "train.py").chmod(0o755)
    write_bundle(tmp_path / "b.tar.gz", source=source, requirements=True)
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()


def test_requirements_stand_at_the_root_of_one_variant_only(tmp_path: Path) -> None:
    source = sources(tmp_path / "training")
    for requirements in (True, False):
        write_bundle(tmp_path / "x.tar.gz", source=source, requirements=requirements)
        with tarfile.open(tmp_path / "x.tar.gz") as tar:
            expected = ["training/requirements.txt", "training/train.py"]
            assert tar.getnames() == expected + (["requirements.txt"] if requirements else [])


def test_the_images_tag_follows_its_context(tmp_path: Path) -> None:
    stage_context(tmp_path / "a")
    stage_context(tmp_path / "b")
    assert content_tag(tmp_path / "a") == content_tag(tmp_path / "b")
    (tmp_path / "b" / "inference" / "new.py").write_text("")
    assert content_tag(tmp_path / "a") != content_tag(tmp_path / "b")


def test_the_context_has_what_the_dockerfile_copies(tmp_path: Path) -> None:
    stage_context(tmp_path)
    dockerfile = (tmp_path / "inference" / "Dockerfile").read_text()
    copies = [
        line.split()[1:-1] for line in dockerfile.splitlines() if line.startswith("COPY ") and "--from" not in line
    ]
    named = [name for names in copies for name in names if not name.startswith("--")]
    assert named
    for name in named:
        assert (tmp_path / name).exists(), name
