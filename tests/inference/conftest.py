from __future__ import annotations

import io
import json
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

import contract
from tests.fakes.model_card import model_card
from tests.inference.onnx_file import write_colour_model

LABELS = ["red", "green", "blue é"]


def write_model(folder: Path, *, earlier: bool = False) -> Path:
    """A model that names a picture's colour, with its card: of this release, or of one before distances."""
    folder.mkdir(parents=True, exist_ok=True)
    write_colour_model(folder / contract.Artefact.MODEL, image_size=32, distance=not earlier, evidence=not earlier)
    card = model_card(LABELS, image_size=32, resize=37)
    if not earlier:
        card["known_share"] = 0.95
        card["coverage"] = {"photos": 50, "levels": [0.5, 0.9, 0.95], "lowest_scores": [0.4, 0.01, 0.0]}
    (folder / contract.Artefact.MODEL_CARD).write_text(json.dumps(card), encoding="utf-8")
    return folder


def picture(colour: str = "red", *, form: str = "JPEG", size: tuple[int, int] = (60, 40)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, form)
    return file.getvalue()


def huge_png() -> bytes:
    """A PNG that announces 2.5 thousand million pixels in a hundred bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))
