"""`whippet export`: the model in service as a folder that needs neither AWS nor whippet."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import contract
from cli import CliError
from cli.target import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RUNTIME", "write_export"]

READERS: Final = Path(__file__).parent / "exported"
RUNTIME: Final = ROOT / "node_modules" / "onnxruntime-web"
"""The package with ONNX Runtime for the browser; package-lock.json pins it."""
_RUNTIME_FILES: Final = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")


def write_export(folder: Path, files: Mapping[str, bytes], card: contract.ModelCard) -> None:
    """Write the model, its card, its labels, and readers in Python and for the browser into a new folder.

    Args:
        folder: does not exist, or is empty. It appears whole or not at all.
        files: the model file and its card, by `contract.Artefact`.
        card: the same card, read.

    Raises:
        CliError: the folder holds something, cannot be written, or the browser's runtime is not installed.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CliError(f"{folder} is no empty folder: give the name of a new one")
    if not all((RUNTIME / "dist" / name).is_file() for name in _RUNTIME_FILES):
        raise CliError(f"{RUNTIME} is not there, or not whole: install it with `make setup`")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as made:
            _write(Path(made) / "export", files, card)
            (Path(made) / "export").replace(folder)
    except OSError as error:
        raise CliError(f"{folder} cannot be written ({error.strerror}): give another folder") from None


def _write(folder: Path, files: Mapping[str, bytes], card: contract.ModelCard) -> None:
    folder.mkdir()
    for name in (contract.Artefact.MODEL, contract.Artefact.MODEL_CARD):
        (folder / name).write_bytes(files[name])
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in card["labels"]), encoding="utf-8")

    # the readers, and what the browser's one imports
    for reader in ("classify.py", "classify.js", "photo.js", "index.html"):
        shutil.copyfile(READERS / reader, folder / reader)
    (folder / RUNTIME.name).mkdir()
    for part in _RUNTIME_FILES:
        shutil.copyfile(RUNTIME / "dist" / part, folder / RUNTIME.name / part)

    templates = Environment(loader=FileSystemLoader(READERS), autoescape=False, undefined=StrictUndefined)  # noqa: S701 (Markdown)
    version = json.loads((RUNTIME / "package.json").read_text(encoding="utf-8"))["version"]
    text = templates.get_template("README.md.jinja").render(card=card, runtime=version)
    (folder / "README.md").write_text(f"{text}\n", encoding="utf-8")
