"""Pictures of what the model looked at: a photo as the network saw it, with the heat of its answer over it."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import contract
from training.data.manifest import read_photo
from training.preprocess import ImageError, Preprocessing, plain_view
from training.runtime.environment import write_json

__all__ = ["SIDE", "heat_over", "write_heat_maps"]

SIDE: Final = 192
"""Side of a picture, in pixels: one takes some 10 kB in base64."""

MOST: Final = 20
"""Photos that have a picture, at most."""


class Explaining(Protocol):
    """A model that may give evidence."""

    def evidence(self, images: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """Return what speaks for the likeliest classes, (N, rows, columns); None where the model cannot tell."""


def heat_over(pixels: NDArray[np.uint8], values: Sequence[Sequence[float]], *, side: int) -> Image.Image:
    """Return a square picture of a photo with heat over it: orange speaks for the label, blue against it.

    Args:
        pixels: as the network saw the photo, (S, S, 3).
        values: as `contract.heat_values` returns them; between the places' centres the heat changes gradually.
        side: of the picture, in pixels.
    """
    photo = np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS), dtype=np.float32)
    small = Image.fromarray(np.asarray(values, dtype=np.float32))
    heat = np.clip(np.asarray(small.resize((side, side), Image.Resampling.BILINEAR)), -1, 1)[:, :, None]
    opacity = contract.heat_opacity(1) * np.abs(heat)
    colours = contract.HEAT_COLOURS
    colour = np.where(
        heat > 0, np.array(colours["for"], dtype=np.float32), np.array(colours["against"], dtype=np.float32)
    )
    return Image.fromarray((photo * (1 - opacity) + colour * opacity).round().astype(np.uint8))


def write_heat_maps(
    folder: Path, paths: Sequence[str], *, model: Explaining, photos: Path, preprocessing: Preprocessing
) -> None:
    """Write `Artefact.HEAT_MAPS`: pictures of the photos at these paths, of the first `MOST` ones.

    Args:
        folder: the job's output folder.
        paths: the photos, the most important first.
        model: the one that is served.
        photos: the dataset channel.
        preprocessing: the model's.
    """
    found: dict[str, str] = {}
    for path in paths[:MOST]:
        try:
            pixels = plain_view(read_photo(photos, path), preprocessing)
        except ImageError as error:
            print(f"no heat map of {path}: {error}", flush=True)
            continue
        evidence = model.evidence(pixels[np.newaxis])
        if evidence is None:
            break
        file = io.BytesIO()
        heat_over(pixels, contract.heat_values(evidence[0].tolist()), side=SIDE).save(file, "JPEG", quality=75)
        found[path] = base64.b64encode(file.getvalue()).decode("ascii")
    write_json(folder / contract.Artefact.HEAT_MAPS, found)
