"""From a photo's bytes to the pixels the network sees: the same code in the training jobs and in the endpoint.

Pillow and numpy only. Decoding is the attack surface of the whole system, so every limit on what is read stands here.
"""

from __future__ import annotations

import io
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

import contract

__all__ = ["FORMATS", "ImageError", "center_crop", "decode", "resize_box", "resize_for"]

FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""What Pillow may try. Its other decoders are rarely met in photos and often behind its security notices."""


class ImageError(ValueError):
    """The bytes are no image that can be classified; the message says why, in plain words."""


def resize_for(image_size: int) -> int:
    """Return the shorter side before the centre crop, in pixels: 256 for 224, as ImageNet's networks are evaluated."""
    return round(image_size * 256 / 224)


def decode(data: bytes, *, shorter_side: int | None = None) -> Image.Image:
    """Decode a photo to upright RGB.

    EXIF orientation is applied, transparency is laid on white, the first frame of an animation is taken, 16-bit values
    are brought to 8 bits. With `shorter_side`, a large JPEG may come back smaller (decoded at a half, quarter or
    eighth), but its shorter side never below twice that many pixels.

    Raises:
        ImageError: empty, no image of a known format, damaged, or more than `contract.MAX_IMAGE_PIXELS`.
    """
    if not data:
        raise ImageError("the image is empty: it has 0 bytes")

    # read the header
    known = ", ".join(FORMATS)
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise ImageError(f"this is not an image of a known format; send one of {known}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(f"the image has more than {contract.MAX_IMAGE_PIXELS:,} pixels; send a smaller one") from None
    except Exception as error:  # Pillow's decoders raise many kinds on a damaged header
        raise ImageError(f"the image's header is damaged ({_reason(error)}); send one of {known}") from error

    with image:
        # The header is all that has been read so far: a bomb is refused before it unfolds.
        if image.width * image.height > contract.MAX_IMAGE_PIXELS:
            raise ImageError(
                f"the image has {image.width} x {image.height} pixels, "
                f"more than the {contract.MAX_IMAGE_PIXELS:,} allowed; send a smaller one"
            )
        if image.width < 1 or image.height < 1:
            raise ImageError(f"the image has {image.width} x {image.height} pixels: there is nothing to see")

        # decode
        if shorter_side is not None and image.format in ("JPEG", "MPO"):
            image.draft(None, (2 * shorter_side, 2 * shorter_side))
        try:
            rgb = _to_rgb(image)
        except Exception as error:  # as above: struct.error, SyntaxError, OSError, EOFError, zlib.error, ...
            raise ImageError(f"the image is damaged or incomplete ({_reason(error)})") from error
        _set_upright(rgb, exif_of=image)
    return rgb


def center_crop(image: Image.Image, *, image_size: int, resize: int) -> NDArray[np.uint8]:
    """Return the middle of the image as if its shorter side were `resize` pixels: uint8, (image_size, image_size, 3).

    It cuts first and resizes the cut only, so that a picture of 10 x 1,000,000 pixels costs no more than a square one.
    """
    side = min(image.width, image.height) * image_size / resize
    left, top = (image.width - side) / 2, (image.height - side) / 2
    return resize_box(image, (left, top, left + side, top + side), size=image_size)


def resize_box(image: Image.Image, box: tuple[float, float, float, float], *, size: int) -> NDArray[np.uint8]:
    """Resize a part of the image, (left, top, right, bottom) in pixels, to uint8, (size, size, 3)."""
    left, top, right, bottom = box
    # Rounding must not put the box a hair outside the image: Pillow refuses such a box.
    inside = (max(left, 0), max(top, 0), min(right, image.width), min(bottom, image.height))
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box=inside))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_to_8_bits(np.asarray(image), mode=image.mode)).convert("RGB")
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        white = Image.new("RGBA", seen.size, "white")
        return Image.alpha_composite(white, seen).convert("RGB")
    return image.convert("RGB")


def _to_8_bits(values: NDArray[np.generic], *, mode: str) -> NDArray[np.uint8]:
    """Return grey values of 16 bits (Pillow's modes I;16 and I) or of floats from 0 to 1 (F) as 0 to 255."""
    grey = np.nan_to_num(values.astype(np.float64))
    full_scale = 1.0 if mode == "F" and grey.max(initial=0) <= 1 else 255.0 if mode == "F" else 65535.0
    return np.clip(grey * (255 / full_scale), 0, 255).round().astype(np.uint8)


def _set_upright(rgb: Image.Image, *, exif_of: Image.Image) -> None:
    """Apply the EXIF orientation of the decoded file to its pixels; leave them where none can be read.

    Damaged EXIF is common in photos that went through old software, and the picture itself is whole: no reason to
    refuse it. `exif_transpose` is shown the orientation alone. It would write all other tags anew, and of photos with
    a readable orientation and a few flipped bytes elsewhere in their EXIF it fails on 2 in 100.
    """
    try:
        orientation = Image.Exif()
        orientation[ExifTags.Base.Orientation] = exif_of.getexif().get(ExifTags.Base.Orientation, 1)
        rgb.info = {"exif": orientation.tobytes()}
        ImageOps.exif_transpose(rgb, in_place=True)
    except Exception:  # damaged EXIF raises whatever the parser stumbled over
        return


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
