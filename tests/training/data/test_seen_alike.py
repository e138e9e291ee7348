"""Every picture is seen alike by the features job, by fine-tuning and by the endpoint, or refused by all three."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import contract
from inference.classifier import Classifier
from inference.invocation import ClassifyRequest
from tests.training.icc_profiles import ADOBE_RGB, DISPLAY_P3, PROPHOTO, cmyk_profile, rgb_profile
from training import preprocess
from training.data.transforms import ViewMaker
from training.embedding.embedder import views_of
from training.preprocess import ImageError, Preprocessing

SIZE: Final = 224
CASES: Final = Path(__file__).parents[4] / "shared" / "cases" / "images"
VALUES: Final = contract.Hyperparameters(image_size=SIZE, flip=False)

USUAL: Final = Preprocessing.usual(SIZE)
BICUBIC: Final = Preprocessing(image_size=SIZE, resize=235, interpolation="bicubic")

WIDTH, HEIGHT = 120, 80


def scene() -> Image.Image:
    """Something of many colours with no two sides alike, WIDTH x HEIGHT pixels."""
    noise = np.random.default_rng(3).integers(0, 255, size=(5, 7, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def xmp(orientation: int, *, element: bool = False) -> bytes:
    stated = f"<tiff:Orientation>{orientation}</tiff:Orientation>" if element else ""
    attribute = "" if element else f' tiff:Orientation="{orientation}"'
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a{attribute}/>{stated}</x:xmpmeta>'.encode()


def segment(content: bytes) -> bytes:
    return b"\xff\xe1" + (len(content) + 2).to_bytes(2, "big") + content


def jpeg(*segments: bytes, **options: Any) -> bytes:
    file = io.BytesIO()
    scene().save(file, "JPEG", quality=95, **options)
    return file.getvalue()[:2] + b"".join(map(segment, segments)) + file.getvalue()[2:]


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


EXIF, XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
TURNED: Final = {
    "EXIF": (jpeg(EXIF + exif(6)[6:]), 6),
    "XMP before EXIF": (jpeg(XMP + xmp(1), EXIF + exif(6)[6:]), 6),
    "EXIF before XMP": (jpeg(EXIF + exif(8)[6:], XMP + xmp(3)), 8),
    "XMP alone": (jpeg(XMP + xmp(6)), 6),
    "XMP alone, an element": (jpeg(XMP + xmp(5, element=True)), 5),
    "EXIF of another tag, and XMP": (jpeg(EXIF + Image.Exif().tobytes()[6:], XMP + xmp(8)), 8),
    "EXIF of no such orientation, and XMP": (jpeg(EXIF + exif(0)[6:], XMP + xmp(6)), 6),
    "EXIF of no such orientation": (jpeg(EXIF + exif(9)[6:]), 1),
    "EXIF cut short": (jpeg(EXIF + exif(6)[6:][:20]), 1),
    "EXIF that is none": (jpeg(EXIF + b"garbage"), 1),
    "PNG, EXIF": (encoded(scene(), "PNG", exif=exif(6)), 6),
    "WEBP, EXIF": (encoded(scene(), "WEBP", exif=exif(6), lossless=True), 6),
    "WEBP, XMP": (encoded(scene(), "WEBP", xmp=xmp(6), lossless=True), 6),
    "TIFF": (encoded(scene(), "TIFF", exif=exif(6)), 6),
    "AVIF": (encoded(scene(), "AVIF", quality=95, exif=exif(6)), 6),
    "AVIF, XMP": (encoded(scene(), "AVIF", quality=95, xmp=xmp(8)), 8),
}
"""A picture's file, and the orientation that it has by the rule: EXIF first, then XMP."""

PICTURES: Final = {
    **{name: data for name, (data, _) in TURNED.items()},
    "AdobeRGB": jpeg(icc_profile=rgb_profile(ADOBE_RGB, gamma=2.2)),
    "Display P3, turned": jpeg(EXIF + exif(6)[6:], icc_profile=rgb_profile(DISPLAY_P3, gamma=2.2)),
    "ProPhoto": encoded(scene(), "TIFF", icc_profile=rgb_profile(PROPHOTO, gamma=1.8)),
    "CMYK": encoded(scene().convert("CMYK"), "JPEG", icc_profile=cmyk_profile((70, 40, 60))),
    "CMYK without a profile": encoded(scene().convert("CMYK"), "JPEG"),
    "grey": encoded(scene().convert("L"), "JPEG"),
    "12 bits": encoded(Image.fromarray(np.asarray(scene().convert("L")).astype(np.uint16) * 16), "PNG"),
    "floats": encoded(Image.fromarray(np.asarray(scene().convert("L")).astype(np.float32)), "TIFF"),
    "without its end marker": jpeg()[:-2],
    "half of it": jpeg()[: len(jpeg()) // 2],
    "none": b"hello",
}

Seen = NDArray[np.uint8] | str


def outcome(look: Callable[[], NDArray[np.uint8]]) -> Seen:
    """Return what is seen, or why nothing is."""
    try:
        return look()
    except ImageError as error:
        return str(error)


def served(data: bytes, seen: Preprocessing) -> NDArray[np.uint8]:
    """Return the pixels that the endpoint gives to its model."""
    given: list[NDArray[np.uint8]] = []

    class Watched(Classifier):
        def __init__(self) -> None:
            self._name_unknown = True
            self._release = ""
            self._explains = False
            named = {"labels": ["a"], "run": "a", "test_accuracy": 1.0}
            self.card = {**named, **dataclasses.asdict(seen)}  # type: ignore[typeddict-item]

        def _run(
            self, images: NDArray[np.uint8], *, explain: bool = False
        ) -> tuple[NDArray[np.float32], float | None, NDArray[np.float32] | None]:
            given.append(images[0])
            return np.ones(1, dtype=np.float32), None, None

    Watched().classify(ClassifyRequest(data, top_k=1))
    return given[0]


def embedded(data: bytes, seen: Preprocessing, *, folder: Path) -> NDArray[np.uint8]:
    """Return the plain view of the features job."""
    (folder / "photo").write_bytes(data)
    record: contract.ImageRecord = {"path": "photo", "label": 0}  # type: ignore[typeddict-item]
    plain: NDArray[np.uint8] = views_of(record, photos=folder, views=1, hyperparameters=VALUES, preprocessing=seen)[0]
    return plain


def learnt_from(data: bytes, seen: Preprocessing) -> NDArray[np.uint8]:
    """Return the whole photo as fine-tuning cuts its random views from it, cropped as the endpoint crops."""
    image = Image.fromarray(ViewMaker(seen, flip=False).whole(data).contiguous().numpy())
    return preprocess.center_crop(image, seen)


def check_seen_alike(data: bytes, *, folder: Path, seen: Preprocessing = USUAL) -> Seen:
    endpoint = outcome(lambda: served(data, seen))
    for other in (
        outcome(lambda: embedded(data, seen, folder=folder)),
        outcome(lambda: ViewMaker(seen, flip=False).plain(data)),
        outcome(lambda: learnt_from(data, seen)),
    ):
        if isinstance(endpoint, str):
            assert other == endpoint
        else:
            np.testing.assert_array_equal(other, endpoint)
    return endpoint


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("seen", [USUAL, BICUBIC], ids=["bilinear", "bicubic"])
@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_seen_alike(name: str, seen: Preprocessing, tmp_path: Path) -> None:
    endpoint = check_seen_alike(PICTURES[name], folder=tmp_path, seen=seen)
    assert isinstance(endpoint, str) == (name in ("half of it", "none"))


def test_interpolation_and_resize_make_a_difference() -> None:
    """Else the test above would compare one picture with itself."""
    sharper, larger = (
        dataclasses.replace(USUAL, interpolation="bicubic"),
        dataclasses.replace(USUAL, resize=SIZE),
    )
    noise = np.random.default_rng(0).integers(0, 255, size=(300, 300, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), "PNG")
    pictures = [served(data, seen).astype(int) for seen in (USUAL, sharper, larger)]
    assert np.abs(pictures[0] - pictures[1]).max() > 20
    assert np.abs(pictures[0] - pictures[2]).max() > 20


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("name", TURNED)
def test_exif_says_how_a_picture_is_turned_and_else_xmp(name: str) -> None:
    data, orientation = TURNED[name]
    turn = {5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 8: Image.Transpose.ROTATE_90}.get(orientation)
    upright = scene() if turn is None else scene().transpose(turn)
    found = preprocess.decode(data)
    assert found.size == upright.size
    assert np.abs(np.asarray(found).astype(int) - np.asarray(upright)).mean() < 4


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("lacking", [1, 2])
def test_a_jpeg_that_lacks_its_end_marker_only_is_whole(progressive: bool, lacking: int) -> None:
    whole = jpeg(progressive=progressive)
    np.testing.assert_array_equal(preprocess.decode(whole[:-lacking]), preprocess.decode(whole))
    for missing in (40, 400):
        with pytest.raises(ImageError, match="incomplete"):
            preprocess.decode(whole[:-missing])


@pytest.mark.parametrize("brands", [b"heic", b"mif1\0\0\0\0heic", b"msf1\0\0\0\0hevc", b"heix\0\0\0\0mif1heix"])
def test_a_heic_is_named_with_what_to_do(brands: bytes) -> None:
    box = b"ftyp" + brands
    with pytest.raises(ImageError, match=r"a HEIC image, .* convert it to JPEG"):
        preprocess.decode((len(box) + 4).to_bytes(4, "big") + box + b"\0" * 100)


def test_an_avif_of_the_shared_brand_is_read() -> None:
    data = encoded(scene(), "AVIF", quality=95)
    assert data[8:12] == b"avif"
    shared = data[:8] + b"mif1" + data[12:]
    assert preprocess.decode(shared).size == (WIDTH, HEIGHT)


def cases() -> Iterator[Path]:
    return iter(sorted(CASES.iterdir()) if CASES.is_dir() else [])


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.skipif(not CASES.is_dir(), reason="the cases from the field are not beside this repository")
def test_cases_from_the_field_are_seen_alike(tmp_path: Path) -> None:
    seen = {file.name: check_seen_alike(file.read_bytes(), folder=tmp_path) for file in cases()}
    assert seen
    for name, endpoint in seen.items():
        if name.endswith(".heic"):
            assert isinstance(endpoint, str)
            assert "convert it to JPEG" in endpoint
        else:
            assert not isinstance(endpoint, str), name
    upright = preprocess.decode((CASES / "exif6-after-xmp.jpg").read_bytes())
    assert upright.size == (400, 533)
