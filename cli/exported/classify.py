"""Classify photos with the model in this folder, as the endpoint does: `python classify.py PHOTO…`.

It needs Python's packages numpy, onnxruntime and pillow, and no network. For photos of strangers, bound their bytes and
pixels first, as the endpoint does; a photo that is cut short, which the endpoint refuses, is read as far as it goes.
"""

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFile, ImageOps

FOLDER = Path(__file__).parent
CARD = json.loads((FOLDER / "model.json").read_text(encoding="utf-8"))
SESSION = onnxruntime.InferenceSession(FOLDER / "model.onnx", providers=["CPUExecutionProvider"])
SRGB = ImageCms.createProfile("sRGB")
BITS = (1, 8, 10, 12, 14, 16, 24, 31)
ImageFile.LOAD_TRUNCATED_IMAGES = True


def classify(data: bytes) -> dict[str, Any]:
    """Return the label, its score, whether the photo is known, and every class's score, the likeliest first."""
    names = [output.name for output in SESSION.get_outputs() if output.name in ("probabilities", "distance")]
    found = dict(zip(names, SESSION.run(names, {"image": pixels(data)[np.newaxis]}), strict=True))
    scores = found["probabilities"][0]
    order = np.argsort(-scores, kind="stable")
    predictions = [{"label": CARD["labels"][index], "score": float(scores[index])} for index in order]
    distance = float(found["distance"][0]) if "distance" in found else None
    known = None if distance is None else distance <= 1
    return {**predictions[0], "known": known, "distance": distance, "predictions": predictions}


def pixels(data: bytes) -> NDArray[np.uint8]:
    """Return what the network sees of a photo: uint8, (image_size, image_size, 3)."""
    size, resize = CARD["image_size"], CARD["resize"]
    with Image.open(io.BytesIO(data)) as image:
        if image.format in ("JPEG", "MPO"):
            image.draft(None, (2 * resize, 2 * resize))  # a large JPEG is decoded at a half, a quarter or an eighth
        image.load()
        rgb = to_srgb(upright(image), image.info.get("icc_profile"))
    side = min(rgb.size) * size / resize
    left, top = (rgb.width - side) / 2, (rgb.height - side) / 2
    box = (max(left, 0), max(top, 0), min(left + side, rgb.width), min(top + side, rgb.height))
    method = Image.Resampling.BICUBIC if CARD.get("interpolation") == "bicubic" else Image.Resampling.BILINEAR
    return np.asarray(rgb.resize((size, size), method, box=box))


def upright(image: Image.Image) -> Image.Image:
    """Apply the orientation that EXIF states, or else XMP; an image whose EXIF is damaged is left as it is."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # the parser raises whatever it stumbled over
        return image


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return the image in 8 bits by its own range, on white, in sRGB."""
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image).astype(np.float32)
        low, high = min(float(values.min()), 0.0), float(values.max())
        depth = next((2.0**bits - 1 for bits in BITS if high < 2**bits), high)
        white = high - low if low < 0 else 1.0 if image.mode == "F" and high <= 2 else depth
        image = Image.fromarray(np.clip((values - low) * np.float32(255 / white), 0, 255).round().astype(np.uint8))
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")
    elif image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    if not profile:
        return image.convert("RGB")

    # a profile counts where it moves a colour by more than two levels
    levels = np.arange(0, 256, 51, dtype=np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    colours = Image.fromarray(grid).convert(image.mode)
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(given, SRGB, image.mode, "RGB")
        moved = np.asarray(transform.apply(colours)).astype(int) - np.asarray(colours.convert("RGB"))
    except (ImageCms.PyCMSError, OSError, ValueError):  # damaged, or of another colour space than the image
        return image.convert("RGB")
    return transform.apply(image) if image.mode == "CMYK" or np.abs(moved).max() > 2 else image.convert("RGB")


def answer(photo: Path) -> dict[str, Any]:
    """Return what `classify` says of a photo, or an error in words."""
    try:
        data = photo.read_bytes()
    except OSError as error:
        return {"error": f"the file cannot be read: {error.strerror}"}
    try:
        return classify(data)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # what Pillow's decoders raise
        return {"error": "this Pillow cannot decode it, or it is damaged; convert it to JPEG or PNG"}


if __name__ == "__main__":
    failed = False
    for name in sys.argv[1:]:
        found = answer(Path(name))
        failed |= "error" in found
        print(json.dumps({"photo": name, **found}, ensure_ascii=False), flush=True)
    sys.exit(failed)
