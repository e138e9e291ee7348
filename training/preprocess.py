"""From a photo's bytes to the pixels the network sees: the same code in the training jobs and in the endpoint.

Pillow and numpy only. Decoding is the attack surface of the whole system: `open_image` refuses what is too large, and
`training.file_limits` what is made of too many parts.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

import contract
from training.colour import raw_mode, to_srgb
from training.file_limits import LimitError, check_file, check_opened
from training.whole_jpeg import lacks_pixels, same_pixels

__all__ = [
    "FORMATS",
    "ImageError",
    "Preprocessing",
    "center_crop",
    "decode",
    "open_image",
    "orientation",
    "plain_view",
    "resize_box",
]

FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""What Pillow may try. Its other decoders are rarely met in photos and often behind its security notices."""


_HEIC_BRANDS: Final = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1"}
)
_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
"""Brands of phones' formats in a file's first box (ISO/IEC 14496-12, `ftyp`); `mif1` stands for either."""

_XMP_ORIENTATION: Final = re.compile(rb"""tiff:Orientation\s*(?:=\s*["']|>)\s*([1-8])\s*["'<]""")
"""As an attribute or as an element: both are met."""

_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_FILTERS: Final[dict[contract.Interpolation, Image.Resampling]] = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}

_TAILS: Final = (b"\x00" * 64 + b"\xff\xd9", b"\x55" * 64 + b"\xff\xd9")
"""Two ends for a JPEG that was cut short, of which neither decodes to the other's pixels."""


class ImageError(ValueError):
    """The bytes are no image that can be classified; the message says why, in plain words."""


class _CutShortError(ImageError):
    """A JPEG ends before its end marker."""


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How a decoded photo becomes the square that the network sees: the plain view, and the filter of every view."""

    image_size: int
    """Side of the square crop, in pixels."""
    resize: int
    """Shorter side of the photo before the crop, in pixels."""
    interpolation: contract.Interpolation

    @classmethod
    def usual(cls, image_size: int) -> Preprocessing:
        """Return what most of ImageNet's older networks are evaluated with: 256 for a crop of 224, bilinear."""
        return cls(image_size=image_size, resize=round(image_size * 256 / 224), interpolation="bilinear")


def plain_view(data: bytes, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Return the photo as the endpoint sees it: uint8, (image_size, image_size, 3).

    Raises:
        ImageError: see `decode`.
    """
    return center_crop(decode(data, shorter_side=preprocessing.resize), preprocessing)


def decode(data: bytes, *, shorter_side: int | None = None) -> Image.Image:
    """Decode a photo to upright RGB: sRGB, 8 bits.

    Its orientation is applied (`orientation`), and its colour profile; transparency is laid on white, the first frame
    of an animation is taken, and values of more than 8 bits are scaled by their own range (`colour.to_srgb`). With
    `shorter_side`, a large JPEG may come back smaller (decoded at a half, quarter or eighth), but its shorter side
    never below twice that many pixels. A JPEG that lacks nothing but its end marker is taken.

    Raises:
        ImageError: see `open_image`; or the pixels are damaged, or fewer than the header announces.
    """
    try:
        return _decoded(data, shorter_side=shorter_side)
    except _CutShortError as error:
        # Whatever follows the last pixel is not read: if the rest of the file matters, the picture lacks pixels.
        ends = [_decoded(data.rstrip(b"\xff") + tail, shorter_side=shorter_side) for tail in _TAILS]
        if not same_pixels(*ends):
            raise ImageError(str(error)) from error
        return ends[0]


def open_image(data: bytes) -> Image.Image:
    """Read an image's header and no more, so that a bomb is refused before it unfolds.

    Raises:
        ImageError: empty, no image of a known format, a damaged header, more than `contract.MAX_IMAGE_PIXELS`, or more
            parts than `training.file_limits` allows.
    """
    if not data:
        raise ImageError("the image is empty: it has 0 bytes")

    known = ", ".join(FORMATS)
    if _is_heic(data):
        raise ImageError("this is a HEIC image, which is not an image of a known format; convert it to JPEG")
    try:
        check_file(data)
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except LimitError as error:
        raise ImageError(str(error)) from None
    except UnidentifiedImageError:
        raise ImageError(f"this is not an image of a known format; send one of {known}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(f"the image has more than {contract.MAX_IMAGE_PIXELS:,} pixels; send a smaller one") from None
    except Exception as error:  # Pillow's decoders raise many kinds on a damaged header
        raise ImageError(f"the image's header is damaged ({_reason(error)}); send one of {known}") from error

    if image.width * image.height > contract.MAX_IMAGE_PIXELS:
        raise ImageError(
            f"the image has {image.width} x {image.height} pixels, "
            f"more than the {contract.MAX_IMAGE_PIXELS:,} allowed; send a smaller one"
        )
    if image.width < 1 or image.height < 1:
        raise ImageError(f"the image has {image.width} x {image.height} pixels: there is nothing to see")
    try:
        check_opened(image, data)
    except LimitError as error:
        raise ImageError(str(error)) from None
    return image


def orientation(image: Image.Image) -> int:
    """Return how an opened image is stored, 1 to 8 as EXIF numbers it; 1 is upright.

    The rule, for every format: EXIF's orientation counts, else XMP's, else the image is upright. A value that is none
    of 1 to 8 counts as none, and so does what cannot be read: damaged EXIF is common in photos that went through old
    software, and the picture itself is whole.
    """
    try:
        found = image.getexif().get(ExifTags.Base.Orientation)
        if found is not None and found in range(1, 9):
            return int(found)
    except Exception:  # noqa: S110  # damaged EXIF raises whatever the parser stumbled over
        pass
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    stated = _XMP_ORIENTATION.search(xmp.encode(errors="replace") if isinstance(xmp, str) else xmp)
    return int(stated[1]) if stated else 1


def center_crop(image: Image.Image, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Return the middle of the image as if its shorter side were `resize` pixels: uint8, (image_size, image_size, 3).

    It cuts first and resizes the cut only, so that a picture of 10 x 1,000,000 pixels costs no more than a square one.
    """
    side = min(image.width, image.height) * preprocessing.image_size / preprocessing.resize
    left, top = (image.width - side) / 2, (image.height - side) / 2
    return resize_box(image, (left, top, left + side, top + side), preprocessing)


def resize_box(
    image: Image.Image, box: tuple[float, float, float, float], preprocessing: Preprocessing
) -> NDArray[np.uint8]:
    """Resize a part of the image, (left, top, right, bottom) in pixels, to uint8, (image_size, image_size, 3)."""
    left, top, right, bottom = box
    # Rounding must not put the box a hair outside the image: Pillow refuses such a box.
    inside = (max(left, 0), max(top, 0), min(right, image.width), min(bottom, image.height))
    size = (preprocessing.image_size, preprocessing.image_size)
    return np.asarray(image.resize(size, _FILTERS[preprocessing.interpolation], box=inside))


def _decoded(data: bytes, *, shorter_side: int | None) -> Image.Image:
    image, stored = _loaded(data, shorter_side=shorter_side)
    if image.format in ("JPEG", "MPO") and lacks_pixels(
        image, data, decoded=lambda longer: _loaded(longer, shorter_side=shorter_side)[0]
    ):
        raise ImageError(
            "the image is damaged or incomplete (its header announces more pixels than there are); send the whole file"
        )
    # A PNG's EXIF may stand behind its pixels. Pillow itself sets TIFFs upright.
    method = None if image.format == "TIFF" else _UPRIGHT.get(orientation(image))
    try:
        rgb = to_srgb(image, stored=stored, data=data)
    except Exception as error:  # as below
        raise ImageError(f"the image is damaged or incomplete ({_reason(error)})") from error
    return rgb if method is None else rgb.transpose(method)


def _loaded(data: bytes, *, shorter_side: int | None) -> tuple[Image.Image, str]:
    """Return the image with its pixels, and how they are stored (`colour.raw_mode`)."""
    with open_image(data) as image:
        is_jpeg = image.format in ("JPEG", "MPO")
        if shorter_side is not None and is_jpeg:
            image.draft(None, (2 * shorter_side, 2 * shorter_side))
        stored = raw_mode(image)
        try:
            image.load()
        except Exception as error:  # Pillow's: struct.error, SyntaxError, OSError, EOFError, zlib.error, ...
            kind = _CutShortError if is_jpeg and "truncated" in str(error) else ImageError
            raise kind(f"the image is damaged or incomplete ({_reason(error)})") from error
    return image, stored


def _is_heic(data: bytes) -> bool:
    """Return whether the first box says that this is a HEIC and no AVIF: they share a container and a brand."""
    if data[4:8] != b"ftyp":
        return False
    box = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
    brands = {box[:4], *(box[at : at + 4] for at in range(8, len(box), 4))}
    return bool(brands & _HEIC_BRANDS) and not brands & _AVIF_BRANDS


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
