from __future__ import annotations

import io
from typing import Any, Final

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import contract
from tests.training.icc_profiles import ADOBE_RGB, rgb_profile
from training import preprocess
from training.data.jpeg import decode_upright
from training.data.transforms import RandomCrop, ViewMaker, augmented_view, random_view
from training.preprocess import ImageError, Preprocessing

AREA = (0.35, 1.0)


INTERPOLATIONS: Final[tuple[contract.Interpolation, ...]] = ("bilinear", "bicubic")


def seen_at(size: int, *, interpolation: contract.Interpolation = "bilinear") -> Preprocessing:
    return Preprocessing(image_size=size, resize=round(size * 256 / 224), interpolation=interpolation)


def maker_of(size: int, *, flip: bool, interpolation: contract.Interpolation = "bilinear") -> ViewMaker:
    return ViewMaker(seen_at(size, interpolation=interpolation), flip=flip)


def scene(width: int, height: int, *, seed: int = 0) -> Image.Image:
    """Something like a photo: smooth shapes and fine texture."""
    noise = np.random.default_rng(seed)
    coarse = Image.fromarray(noise.integers(0, 255, size=(9, 12, 3), dtype=np.uint8)).resize((width, height), 3)
    pixels = np.asarray(coarse).astype(int) + noise.integers(-12, 12, size=(height, width, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, form: str = "JPEG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def oriented(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(scene(90, 60), exif=exif)


def fast(data: bytes) -> NDArray[np.uint8] | None:
    pixels = decode_upright(data, preprocess.open_image(data))
    return None if pixels is None else pixels.numpy()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(encoded(scene(90, 61)), id="colour"),
        pytest.param(encoded(scene(33, 250), quality=30, subsampling=2), id="4:2:0"),
        pytest.param(encoded(scene(64, 64), subsampling=0, progressive=True), id="progressive 4:4:4"),
        pytest.param(encoded(scene(90, 61).convert("L")), id="grey"),
        pytest.param(encoded(scene(1, 1)), id="one pixel"),
        *(pytest.param(oriented(orientation), id=f"orientation {orientation}") for orientation in range(1, 9)),
    ],
)
def test_the_fast_decoder_gives_pillows_pixels(data: bytes) -> None:
    np.testing.assert_array_equal(fast(data), np.asarray(preprocess.decode(data)))


def test_the_fast_decoder_leaves_to_pillow_what_it_does_not_know() -> None:
    assert fast(encoded(scene(90, 61).convert("CMYK"))) is None
    whole = encoded(scene(90, 61))
    assert fast(whole[: len(whole) // 2]) is None
    assert fast(encoded(scene(90, 61), "PNG")) is None
    assert fast(encoded(scene(90, 61), icc_profile=rgb_profile(ADOBE_RGB, gamma=2.2))) is None


def test_too_many_pixels_are_refused_before_they_unfold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contract.MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ImageError, match="more than the 1,000 allowed"):
        maker_of(32, flip=True).whole(encoded(scene(90, 61)))


@pytest.mark.parametrize("mode", ["RGBA", "P", "LA", "1", "I;16"])
def test_views_of_any_mode(mode: str) -> None:
    image = scene(90, 61)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    view = maker_of(32, flip=False).random(encoded(image if mode == "I;16" else image.convert(mode), "PNG"), seed="s")
    assert view.shape == (32, 32, 3)
    assert view.std() > 5


def test_a_broken_photo_is_an_image_error() -> None:
    maker, whole = maker_of(32, flip=True), encoded(scene(90, 61))
    for data in (b"", b"text", whole[:200], whole[: len(whole) // 2]):
        with pytest.raises(ImageError):
            maker.random(data, seed="s")


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_resizing_is_within_two_levels_of_pillows(interpolation: contract.Interpolation) -> None:
    image = scene(400, 533)
    maker = maker_of(224, flip=False, interpolation=interpolation)
    theirs_is = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[interpolation]
    for box in ((0, 0, 400, 533), (30, 50, 350, 301), (11, 13, 187, 210)):
        cut = image.crop(box)
        theirs = np.asarray(cut.resize((224, 224), theirs_is))
        ours = maker.squeezed(torch.from_numpy(np.array(cut)), side=224)
        assert np.abs(ours.astype(int) - theirs).max() <= 2


@pytest.mark.parametrize("enlarged", [False, True])
def test_what_bicubic_overshoots_is_clamped(enlarged: bool) -> None:
    """At a hard edge the filter leaves 0 to 255; wrapped around, that would be a line of the other colour."""
    edge = np.zeros((20, 20, 3) if enlarged else (300, 300, 3), dtype=np.uint8)
    edge[:, edge.shape[1] // 3 :] = 255
    view = maker_of(64, flip=False, interpolation="bicubic").squeezed(torch.from_numpy(edge), side=64)
    assert (np.diff(view[:, :, 0].astype(int), axis=1) >= 0).all()


@pytest.mark.parametrize(("width", "height"), [(900, 950), (1900, 1750), (4000, 3600)])
def test_a_large_jpeg_is_decoded_smaller_and_looks_the_same(width: int, height: int) -> None:
    """DCT scaling: at half, quarter and eighth size, never below what the smallest crop needs."""
    data = encoded(scene(width, height), quality=92)
    maker = maker_of(224, flip=False)
    scaled, full = maker.whole(data), torch.from_numpy(np.array(preprocess.decode(data)))
    assert scaled.shape[0] < full.shape[0]
    assert min(scaled.shape[:2]) >= 437  # a crop of 35 % of the area at 4:3 is then at least 224 pixels high
    for seed in ("a", "b", "c"):
        ours, exact = (maker.random_of(pixels, seed=seed).astype(int) for pixels in (scaled, full))
        assert np.abs(ours - exact).mean() < 2  # of 255


def test_a_photo_of_a_common_size_is_decoded_whole() -> None:
    assert maker_of(224, flip=False).whole(encoded(scene(600, 800))).shape == (800, 600, 3)


def test_a_squeezed_photo_gives_the_same_part() -> None:
    ramp = np.stack(np.broadcast_arrays(*np.ogrid[0:240:480j, 0:240:320j], 0), axis=2).astype(np.uint8)
    maker = maker_of(64, flip=True)
    pixels = torch.from_numpy(ramp)
    squeezed = torch.from_numpy(maker.squeezed(pixels, side=256))
    for seed in "abcdef":
        direct, cached = (
            maker.random_of(*(given,), seed=seed, sides=sides).astype(int)
            for given, sides in ((pixels, None), (squeezed, (320, 480)))
        )
        assert np.abs(direct - cached).max() <= 4


def test_views_are_mirrored_half_the_time_and_only_where_wanted() -> None:
    ramp = torch.arange(200, dtype=torch.uint8).repeat(200, 1).unsqueeze(2).repeat(1, 1, 3)

    def mirrored(seed: int, *, flip: bool) -> bool:
        view = random_view(ramp, seen_at(32), flip=flip, area=AREA, seed=str(seed))
        return bool(view[0, 0, 0] > view[0, -1, 0])

    assert 30 < sum(mirrored(seed, flip=True) for seed in range(100)) < 70
    assert not any(mirrored(seed, flip=False) for seed in range(100))


def halves(size: tuple[int, int]) -> Image.Image:
    """Left half red, right half blue."""
    image = Image.new("RGB", size, (220, 30, 30))
    image.paste((30, 30, 220), (size[0] // 2, 0, size[0], size[1]))
    return image


def pillow_view(
    image: Image.Image,
    size: int,
    *,
    flip: bool = True,
    seed: str,
    interpolation: contract.Interpolation = "bilinear",
) -> NDArray[np.uint8]:
    return augmented_view(image, seen_at(size, interpolation=interpolation), flip=flip, seed=seed)


def test_the_same_seed_gives_the_same_view_and_another_seed_another() -> None:
    image = halves((60, 40))
    first, again, other = (pillow_view(image, 32, seed=seed) for seed in ("0/a.jpg/1", "0/a.jpg/1", "0/a.jpg/2"))
    assert (first == again).all()
    assert (first != other).any()
    assert first.shape == (32, 32, 3)


def test_views_by_pillow_are_mirrored_only_if_asked() -> None:
    image = halves((64, 64))

    def mirrored(flip: bool) -> int:
        views = [pillow_view(image, 32, flip=flip, seed=str(seed)) for seed in range(60)]
        return sum(int(view[:, -1, 0].mean()) > int(view[:, 0, 0].mean()) for view in views)

    assert mirrored(flip=False) == 0
    assert 10 < mirrored(flip=True) < 50


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_pillow_and_torch_draw_the_same_views(interpolation: contract.Interpolation) -> None:
    image = scene(400, 300)
    pixels = torch.from_numpy(np.array(image))
    for seed in "abcdef":
        exact = pillow_view(image, 64, seed=seed, interpolation=interpolation).astype(int)
        fast = random_view(pixels, seen_at(64, interpolation=interpolation), flip=True, area=AREA, seed=seed).astype(
            int
        )
        assert np.abs(exact - fast).mean() < 6  # of 255: torch's crop is of whole pixels


def test_views_keep_the_share_of_the_area_that_is_asked_for() -> None:
    for seed in map(str, range(50)):
        crop = RandomCrop.draw(seed, width=400, height=300, area=(0.5, 0.5), flip=False)
        assert 0.35 < crop.width * crop.height / (400 * 300) <= 0.5 + 1e-9  # a crop as wide as the photo is cut off
        assert 0 <= crop.left < 1
        assert 0 <= crop.top < 1
