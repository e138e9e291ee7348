"""The benchmarks' photos: a real data set beside the checkout if there is one, synthetic photos otherwise."""

from __future__ import annotations

import atexit
import io
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import contract

__all__ = ["bench_records", "classes_of", "describe_photos", "write_manifest"]

_REAL = Path(__file__).parents[2] / "shared" / "data" / "clothing10"
_CLASSES = 5


def describe_photos() -> str:
    """Return what the photos are, for the results."""
    return "clothing10" if _REAL.is_dir() else "synthetic photos"


def bench_records(limit: int | None = None) -> tuple[Path, list[contract.ImageRecord]]:
    """Return the photos' root and their records; a fifth each is for validation and for test.

    Args:
        limit: The most photos, taken evenly from all classes; None for all of them.
    """
    root = _REAL if _REAL.is_dir() else _synthetic(limit or 1000)
    files = sorted(root.rglob("*.jpg"))
    if limit is not None and limit < len(files):
        files = [files[at] for at in np.linspace(0, len(files) - 1, num=limit, dtype=int)]
    classes = sorted({file.parent.name for file in files})
    splits: tuple[contract.SplitName, ...] = ("train", "train", "train", "validation", "test")
    return root, [
        {
            "path": file.relative_to(root).as_posix(),
            "label": classes.index(file.parent.name),
            "split": splits[number % len(splits)],
            "etag": str(file.stat().st_size),
        }
        for number, file in enumerate(files)
    ]


def classes_of(records: list[contract.ImageRecord]) -> list[str]:
    """Return the names of the photos' classes, in the order of their labels."""
    return sorted({Path(record["path"]).parent.name for record in records})


def write_manifest(folder: Path, records: list[contract.ImageRecord]) -> None:
    """Make a folder and write the channel `manifest` of these photos into it."""
    folder.mkdir()
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / contract.Artefact.MANIFEST).write_text(lines, encoding="utf-8")
    summary = {
        "classes": [{"name": name} for name in classes_of(records)],
        "fingerprint": "f" * 64,
        "test_fingerprint": "t" * 64,
    }
    (folder / contract.Artefact.DATASET_SUMMARY).write_text(json.dumps(summary), encoding="utf-8")


def _synthetic(count: int) -> Path:
    """Write photos of 400 x 533 pixels and about 40 KB each: smooth shapes with fine noise, coloured by class."""
    root = Path(tempfile.mkdtemp(prefix="whippet-bench-"))
    atexit.register(shutil.rmtree, root)
    for number in range(count):
        rng, label = np.random.default_rng(number), number % _CLASSES
        # a coarse pattern, enlarged, with noise on every pixel
        coarse = rng.integers(40, 200, size=(8, 6, 3), dtype=np.uint8)
        coarse[:, :, label % 3] //= 1 + label
        pixels = np.asarray(Image.fromarray(coarse).resize((400, 533), Image.Resampling.BICUBIC)).astype(np.int16)
        pixels = np.clip(pixels + rng.integers(-6, 6, size=pixels.shape), 0, 255)

        file = root / f"class-{label}" / f"{number:06}.jpg"
        file.parent.mkdir(exist_ok=True)
        data = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(data, "JPEG", quality=85)
        file.write_bytes(data.getvalue())
    return root
