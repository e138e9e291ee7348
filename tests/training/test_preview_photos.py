"""The thumbnails that `whippet feedback` asks for, of photos that strangers sent."""

from __future__ import annotations

import base64
import io
import json
import zlib
from pathlib import Path

import pytest
from PIL import Image

import contract
from tests.training.doctor.pictures import jpeg, photo
from training import preview_photos


def png_of(side: int) -> bytes:
    """Return a small file that announces a picture of so many pixels a side."""
    header = side.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")
        for kind, content in chunks
    )


def test_what_can_be_read_has_a_thumbnail_and_the_rest_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    whole = jpeg(photo(0))
    files = {"whole.jpg": whole, "cut.jpg": whole[: len(whole) // 2], "bomb.png": png_of(60_000), "text.jpg": b"<svg/>"}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (tmp_path / "secret.jpg").write_bytes(whole)

    request: contract.PreviewsRequest = {
        "folder": str(folder),
        "photos": [*files, "../secret.jpg", "gone.jpg"],
        "output": str(tmp_path / "previews.json"),
    }
    (tmp_path / "request.json").write_text(json.dumps(request))
    monkeypatch.setattr("sys.argv", ["preview_photos", str(tmp_path / "request.json")])
    preview_photos.main()

    made: contract.Previews = json.loads((tmp_path / "previews.json").read_text())
    assert made["thumbnails"].keys() == {"whole.jpg"}
    with Image.open(io.BytesIO(base64.b64decode(made["thumbnails"]["whole.jpg"]))) as thumbnail:
        assert (thumbnail.format, max(thumbnail.size)) == ("JPEG", 176)
    assert made["unreadable"].keys() == {"cut.jpg", "bomb.png", "text.jpg", "../secret.jpg", "gone.jpg"}
    assert "pixels" in made["unreadable"]["bomb.png"]
