"""`whippet export`: the model in service in a folder, whole or not at all."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli import CliError, export, main
from cli.commands import shared
from infra.outputs import StackOutput
from tests.cli.stack import FakeStack
from tests.fakes.s3 import client_error
from tests.fakes.ssm import RECORD, FakeParameter

CARD = {
    "run": "run-7",
    "backbone": "efficientnet_lite0",
    "labels": ["whippet", "größer"],
    "image_size": 224,
    "resize": 256,
    "test_accuracy": 0.98765,
    "precision": "int8",
}
ARCHIVE = "runs/run-7/train/whippet-dev-run-7-train/output/model.tar.gz"


class FakeSageMaker:
    """An endpoint, its configuration and its model; or none."""

    def __init__(self, *, model: str | None = "whippet-dev-run-7") -> None:
        self.model = model

    def describe_endpoint(self, *, EndpointName: str) -> dict[str, Any]:  # noqa: N803
        assert EndpointName == "whippet-dev"
        if self.model is None:
            raise client_error("ValidationException", 'Could not find endpoint "whippet-dev".')
        return {"EndpointConfigName": "whippet-dev-run-7", "EndpointStatus": "InService"}

    def describe_endpoint_config(self, *, EndpointConfigName: str) -> dict[str, Any]:  # noqa: N803
        assert EndpointConfigName == "whippet-dev-run-7"
        return {"ProductionVariants": [{"ModelName": self.model}]}

    def describe_model(self, *, ModelName: str) -> dict[str, Any]:  # noqa: N803
        assert ModelName == self.model
        return {"PrimaryContainer": {"ModelDataUrl": f"s3://data/{ARCHIVE}"}}


def archive(**files: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name.replace("_", "."))
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


class SleepingSageMaker(FakeSageMaker):
    """No endpoint, and what brings it back."""

    def describe_endpoint(self, *, EndpointName: str) -> dict[str, Any]:  # noqa: N803
        raise client_error("ValidationException", f'Could not find endpoint "{EndpointName}".')


def exported(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    objects: dict[str, bytes],
    *,
    model: str | None = "whippet-dev-run-7",
    sleeps: bool = False,
) -> Any:
    stack = FakeStack(objects, sagemaker=(SleepingSageMaker if sleeps else FakeSageMaker)(model=model))
    if sleeps:
        stack.clients["ssm"] = FakeParameter("whippet-dev-run-7")
        stack.outputs[StackOutput.SLEEP_RECORD] = RECORD
    output = stack.output
    monkeypatch.setattr(
        stack, "output", lambda name: "whippet-dev" if name == StackOutput.ENDPOINT_NAME else output(name)
    )
    monkeypatch.setattr(shared, "find_target", lambda **_: stack)
    return CliRunner().invoke(main.typer_app, ["export", str(folder)])


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "node_modules" / "onnxruntime-web"
    (folder / "dist").mkdir(parents=True)
    for name in ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"):
        (folder / "dist" / name).write_text(name)
    (folder / "package.json").write_text('{"version": "1.2.3"}')
    monkeypatch.setattr(export, "RUNTIME", folder)
    return folder


@pytest.mark.usefixtures("runtime")
def test_the_folder_holds_the_model_its_card_and_both_readers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    packed = archive(model_onnx=b"network", model_json=json.dumps(CARD).encode(), other_txt=b"not this")
    result = exported(monkeypatch, tmp_path / "new" / "taken", {ARCHIVE: packed})
    assert result.exit_code == 0, result.exception

    folder = tmp_path / "new" / "taken"
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == [
        "README.md",
        "classify.js",
        "classify.py",
        "index.html",
        "labels.txt",
        "model.json",
        "model.onnx",
        "onnxruntime-web/ort-wasm-simd-threaded.wasm",
        "onnxruntime-web/ort.wasm.bundle.min.mjs",
        "photo.js",
    ]
    assert (folder / "model.onnx").read_bytes() == b"network"
    assert json.loads((folder / "model.json").read_text()) == CARD
    assert (folder / "labels.txt").read_text(encoding="utf-8") == "whippet\ngrößer\n"
    readme = (folder / "README.md").read_text(encoding="utf-8")
    for told in ("run run-7", "0.9877", "2 classes", "1.2.3", "224"):
        assert told in readme
    assert list((tmp_path / "new").iterdir()) == [folder], "something was left beside the folder"


@pytest.mark.usefixtures("runtime")
def test_a_model_that_sleeps_is_exported_without_waking_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    packed = archive(model_onnx=b"network", model_json=json.dumps(CARD).encode())
    result = exported(monkeypatch, tmp_path / "new", {ARCHIVE: packed}, sleeps=True)
    assert result.exit_code == 0, result.exception
    assert (tmp_path / "new" / "model.onnx").read_bytes() == b"network"


@pytest.mark.usefixtures("runtime")
def test_a_folder_with_something_in_it_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    packed = archive(model_onnx=b"network", model_json=json.dumps(CARD).encode())
    result = exported(monkeypatch, tmp_path / "mine", {ARCHIVE: packed})
    assert isinstance(result.exception, CliError)
    assert "no empty folder" in str(result.exception)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("objects", "model", "told"),
    [
        ({}, None, "no model is in service"),
        ({}, "whippet-dev-run-7", "is no longer at s3://data/runs/run-7/"),
        ({ARCHIVE: archive(model_onnx=b"network")}, "whippet-dev-run-7", "lacks model.json"),
    ],
)
@pytest.mark.usefixtures("runtime")
def test_what_is_missing_is_said_and_no_folder_appears(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, objects: dict[str, bytes], model: str | None, told: str
) -> None:
    result = exported(monkeypatch, tmp_path / "taken", objects, model=model)
    assert isinstance(result.exception, CliError)
    assert told in str(result.exception)
    assert not (tmp_path / "taken").exists()


def test_without_the_browsers_runtime_it_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, runtime: Path
) -> None:
    (runtime / "dist" / "ort-wasm-simd-threaded.wasm").unlink()
    packed = archive(model_onnx=b"network", model_json=json.dumps(CARD).encode())
    result = exported(monkeypatch, tmp_path / "taken", {ARCHIVE: packed})
    assert isinstance(result.exception, CliError)
    assert "make setup" in str(result.exception)
    assert not (tmp_path / "taken").exists()
