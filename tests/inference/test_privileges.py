"""The server as SageMaker starts it: by root, on a model that may be root's alone; and as any other user."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.inference.conftest import picture, write_model
from tests.inference.test_serve import ROOT, free_port, request, wait_for_ping

NOBODY = 65534
UNPRIVILEGED = "nobody"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="starts processes as root and as nobody: run as root")


@pytest.fixture(scope="module")
def python() -> tuple[str, dict[str, str]]:
    """A Python of this version that nobody may execute, and the variables with which it finds the packages here."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = {"PYTHONPATH": os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")])}
    for candidate in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        try:
            probe = subprocess.run(
                [candidate, "-c", "import granian, onnxruntime, inference.serve"],
                env=packages,
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
                capture_output=True,
                check=False,
            )
        except OSError:
            continue
        if probe.returncode == 0:
            return candidate, packages
    pytest.skip(f"needs a {version} that every user may execute: on Debian and Ubuntu, apt install {version}")


@pytest.fixture
def model() -> Iterator[Path]:
    """A model of root's, which nobody else may read, in a folder that everybody may enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    write_model(folder)
    for file in folder.iterdir():
        file.chmod(0o600)
    yield folder
    shutil.rmtree(folder)


def start(
    python: tuple[str, dict[str, str]], model: Path, *, port: int, as_nobody: bool = False, **variables: str
) -> subprocess.Popen[str]:
    program, packages = python
    return subprocess.Popen(
        [program, "-m", "inference.serve"],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            **packages,
            "SM_MODEL_DIR": str(model),
            "SAGEMAKER_BIND_TO_PORT": str(port),
            "SERVE_USER": UNPRIVILEGED,
            **variables,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        user=NOBODY if as_nobody else None,
        group=NOBODY if as_nobody else None,
        extra_groups=[] if as_nobody else None,
    )


def ended(process: subprocess.Popen[str]) -> str:
    """What a server that could not start said."""
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1, output
    assert "Traceback" not in output
    assert output.count("cannot serve") == 1
    return output


def ids(pid: int) -> dict[str, set[int]]:
    """The real, effective, saved and file system ids of a process, and its further groups."""
    status = Path(f"/proc/{pid}/status").read_text()
    fields = re.findall(r"^(Uid|Gid|Groups):(.*)$", status, re.MULTILINE)
    return {name: {int(number) for number in numbers.split()} for name, numbers in fields}


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return [pid, *(member for child in children for member in family(child))]


def test_as_root_it_serves_a_model_of_roots_and_no_process_of_it_stays_root(
    python: tuple[str, dict[str, str]], model: Path
) -> None:
    port = free_port()
    process = start(python, model, port=port, SAGEMAKER_MODEL_SERVER_WORKERS="2")
    try:
        wait_for_ping(port, process)
        assert request(port, "POST", "/invocations", picture("lime"))[0] == 200
        account = pwd.getpwnam(UNPRIVILEGED)
        processes = family(process.pid)
        assert len(processes) >= 3, "two workers and what started them"
        for pid in processes:
            assert ids(pid) == {"Uid": {account.pw_uid}, "Gid": {account.pw_gid}, "Groups": set()}
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert {file.stat().st_mode & 0o777 for file in model.iterdir()} == {0o600}, "the originals stay as they are"


def test_a_user_who_may_not_read_the_model_is_told_so_in_one_sentence(
    python: tuple[str, dict[str, str]], model: Path
) -> None:
    said = ended(start(python, model, port=free_port(), as_nobody=True))
    assert f"model.json may not be read by the user {NOBODY}" in said
    assert "start the container as root" in said


def test_a_folder_that_may_not_be_entered_is_told_too(python: tuple[str, dict[str, str]], model: Path) -> None:
    model.chmod(0o700)
    assert "may not be read" in ended(start(python, model, port=free_port(), as_nobody=True))


def test_a_model_that_may_not_be_read_is_not_taken_for_a_damaged_one(
    python: tuple[str, dict[str, str]], model: Path
) -> None:
    (model / "model.json").chmod(0o644)
    assert "model.onnx may not be read" in ended(start(python, model, port=free_port(), as_nobody=True))


def test_another_user_than_root_serves_a_model_that_it_may_read(
    python: tuple[str, dict[str, str]], model: Path
) -> None:
    for file in model.iterdir():
        file.chmod(0o644)
    port = free_port()
    process = start(python, model, port=port, as_nobody=True)
    try:
        wait_for_ping(port, process)
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_a_link_in_the_model_does_not_make_root_read_another_file(
    python: tuple[str, dict[str, str]], model: Path
) -> None:
    (model / "model.json").rename(model / "of-root")
    (model / "model.json").symlink_to(model / "of-root")
    assert "model.json may not be read" in ended(start(python, model, port=free_port()))


@pytest.mark.parametrize(("user", "reason"), [("no-such-user", "there is no user"), ("root", "does not run as root")])
def test_a_user_that_it_cannot_become_is_named(
    python: tuple[str, dict[str, str]], model: Path, user: str, reason: str
) -> None:
    assert reason in ended(start(python, model, port=free_port(), SERVE_USER=user))


def test_the_image_starts_as_root_and_names_a_user_that_it_makes() -> None:
    text = (ROOT / "inference" / "Dockerfile").read_text().replace("\\\n", " ")
    assert not re.search(r"^USER\b", text, re.MULTILINE), "SageMaker asks for a container that starts as root"
    (user,) = re.findall(r"\bSERVE_USER=(\w+)", text)
    assert re.search(rf"^RUN\b.*\buseradd\b.* {user}\b", text, re.MULTILINE)
