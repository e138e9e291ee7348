"""The training code's bundle and the serving image's build context."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from infra.serving import content_tag, stage_context
from infra.source_bundle import package_files, write_bundle, write_program


def sources(root: Path) -> Path:
    training = root / "training"
    (training / "__pycache__").mkdir(parents=True)
    (training / "__pycache__" / "train.pyc").write_bytes(b"cache")
    (training / "__init__.py").write_text("")
    (training / "train.py").write_text("print('hello')\n")
    (training / "requirements.txt").write_text("left-pad==1\n")
    (root / "contract").mkdir()
    (root / "contract" / "__init__.py").write_text("WORD = 'rules'\n")
    (root / "inference").mkdir()
    (root / "inference" / "app.py").write_text("print('not a job')\n")
    return root


def test_the_same_files_give_the_same_bytes_whatever_their_times(tmp_path: Path) -> None:
    source = sources(tmp_path / "project")
    write_bundle(tmp_path / "a.tar.gz", source=source, requirements=True)
    os.utime(source / "training" / "train.py", (1, 1))
    (source / "training" / "train.py").chmod(0o755)
    write_bundle(tmp_path / "b.tar.gz", source=source, requirements=True)
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()


def test_requirements_stand_at_the_root_of_one_variant_only(tmp_path: Path) -> None:
    source = sources(tmp_path / "project")
    for requirements in (True, False):
        write_bundle(tmp_path / "x.tar.gz", source=source, requirements=requirements)
        with tarfile.open(tmp_path / "x.tar.gz") as tar:
            names = tar.getnames()
        code = ["contract/__init__.py", "training/__init__.py", "training/requirements.txt", "training/train.py"]
        assert names[:4] == code
        assert names[4:5] == (["requirements.txt"] if requirements else [])
        assert ("smdebug/__init__.py" in names) == requirements


def test_the_debuggers_library_comes_whole_and_with_its_licence() -> None:
    names = package_files("smdebug")
    assert {"smdebug/__init__.py", "smdebug/pytorch/hook.py", "smdebug/rules/rule.py", "smdebug/LICENSE"} <= set(names)
    assert not [name for name in names if name.endswith((".pyc", ".so")) or not name.startswith("smdebug/")]
    assert list(names) == sorted(names)
    with pytest.raises(RuntimeError, match="no-such-package is not installed"):
        package_files("no-such-package")


def test_the_rules_program_is_the_same_bytes_and_runs_by_itself(tmp_path: Path) -> None:
    """In a clean interpreter, from the zip alone."""
    source = sources(tmp_path / "project")
    (source / "training" / "evaluate_rules.py").write_text(
        "import sys\nimport contract\ndef main():\n    print(contract.WORD, *sys.argv[1:])\n"
    )
    write_program(tmp_path / "a.zip", source=source)
    os.utime(source / "training" / "train.py", (1, 1))
    write_program(tmp_path / "b.zip", source=source)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    run = subprocess.run([sys.executable, "-I", str(tmp_path / "a.zip"), "--mode"], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, "rules --mode\n"), run.stderr
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        names = archive.namelist()
    assert "smdebug/LICENSE" in names
    assert not any("__pycache__" in name for name in names)


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


def test_the_serving_images_base_is_one_image_and_not_whatever_a_tag_names_today() -> None:
    text = (Path(__file__).parents[2] / "inference" / "Dockerfile").read_text(encoding="utf-8")
    bases = re.findall(r"^FROM (\S+)", text, flags=re.MULTILINE)
    assert bases
    assert all(re.fullmatch(r"public\.ecr\.aws/\S+@sha256:[0-9a-f]{64}", base) for base in bases)
