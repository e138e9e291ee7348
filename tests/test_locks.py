"""The locks and what was made from them: hashes everywhere, nothing compiled, nothing that was left out on purpose."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCKS = sorted((ROOT / "locks").glob("*.txt"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def requirements(lock: Path) -> dict[str, str]:
    """Return the text of every requirement of a lock, by its name."""
    entries = re.split(r"^(?=[a-z0-9])", lock.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {entry.partition("==")[0]: entry for entry in entries if "==" in entry.partition("\n")[0]}


def left_out(environment: str) -> list[str]:
    """Return the packages that an environment's lock leaves out on purpose."""
    lines = (ROOT / f"locks/{environment}.excludes").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def built_in(environment: str) -> set[str]:
    """Return the distributions of an environment that uv built from source: beside these it keeps a file of its own."""
    files = (ROOT / environment).glob("lib/python3*/site-packages/*.dist-info/uv_build.json")
    return {file.parent.name.partition("-")[0].replace("_", "-") for file in files}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_requirement_has_hashes(lock: Path) -> None:
    found = requirements(lock)
    assert found
    assert [name for name, text in found.items() if "--hash=sha256:" not in text] == []


@pytest.mark.parametrize("environment", ["app", "training"])
def test_a_lock_lacks_what_is_left_out(environment: str) -> None:
    assert left_out(environment)
    assert set(left_out(environment)) & set(requirements(ROOT / f"locks/{environment}.txt")) == set()


def test_only_the_packages_that_the_makefile_names_are_built() -> None:
    named = set(re.findall(r"--no-binary (\S+)", MAKEFILE))
    assert built_in(".envs/training") == named
    assert built_in(".envs/cloud") == built_in(".envs/inference") == set()
    assert built_in(".venv") == {"whippet"}


def test_no_compiler_was_used() -> None:
    """The toolkit's C extension is the stand-in; with a compiler or without, the environment is the same."""
    found = [file.name for file in (ROOT / ".envs/training").glob("lib/python3*/site-packages/gethostname*")]
    assert found == ["gethostname.py"]


def test_ci_installs_what_the_documents_name() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    installed = set(re.findall(r"lacking\+=\((\S+)\)", script))
    documents = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CONTRIBUTING.md"))
    named = re.findall(r"apt install ([a-z0-9 -]+)", documents)
    assert installed == {package for packages in named for package in packages.split()}
