"""Whether two small grey pictures show the same photo, one of them perhaps cut from the other."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

__all__ = ["correlations"]

_SHARES: Final = tuple(1 - step / 100 for step in range(0, 45, 3))
"""Shares of a photo's longer side that may be left of it, in the steps that are tried first."""

_FINER: Final = (-0.02, -0.01, 0.0, 0.01, 0.02)
"""Steps around the best share that are tried at full size: a detail of one pixel is lost in steps of three percent."""

_WORTH_A_LOOK: Final = 0.3
"""Correlation at half the size without which a pair is not looked at in full size."""

_DETAIL: Final = 5
"""Side of the square, in pixels, whose mean is taken off to leave the detail."""

_PAIRS: Final = 256
"""Pairs that are compared at once."""

_SAME_RATIO: Final = 0.01
"""Logarithm of how far apart two ratios of proportions may be to be compared together."""


def correlations(
    thumbnails: NDArray[np.uint8], pairs: NDArray[np.int64], *, proportions: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return how well each pair's pictures are found in one another, at best: correlations of their detail, (pairs,).

    Each picture is looked for in the other, whole and in smaller sizes, at every place: normalised cross-correlation
    (J. P. Lewis, "Fast Normalized Cross-Correlation", 1995) of what is left when the local mean is taken off. Without
    that, any two pale garments in the middle of a dark floor would be alike.

    Args:
        thumbnails: uint8, (photos, S, S), whatever the photos' proportions.
        pairs: positions of two photos each, (pairs, 2).
        proportions: width by height of each photo, (photos,).
    """
    found = np.zeros(len(pairs), dtype=np.float32)
    ratios = np.log(proportions[pairs[:, 1]] / proportions[pairs[:, 0]])
    kinds = np.round(ratios / _SAME_RATIO).astype(np.int64)
    for kind in np.unique(kinds):
        members = np.flatnonzero(kinds == kind)
        for start in range(0, len(members), _PAIRS):
            some = members[start : start + _PAIRS]
            first, second = (torch.from_numpy(thumbnails[pairs[some, side]]).float() for side in (0, 1))
            found[some] = _compared(first, second, ratio=float(np.exp(kind * _SAME_RATIO))).numpy()
    return found


def _compared(first: Tensor, second: Tensor, *, ratio: float) -> Tensor:
    """Return the best correlations of pictures (N, S, S) of which the second are `ratio` times as wide as the first."""
    pictures = (first, second)
    # a resized picture may have other proportions; a part of one has not
    ways = [(0, 1, 1.0, 1.0)]
    ways += [(0, 1, share, ratio) for share in _SHARES]
    ways += [(1, 0, share, 1 / ratio) for share in _SHARES]

    # at half the size: which is a part of which, and how large a part
    halves = [functional.avg_pool2d(some[:, None], 2)[:, 0] for some in pictures]
    tried = [_found(halves[whole], halves[part], share=share, ratio=wider) for whole, part, share, wider in ways]
    best, at = torch.stack(tried).max(dim=0)

    # around that at full size
    promising = best >= _WORTH_A_LOOK
    for number in sorted(set(at[promising].tolist())):
        members = torch.nonzero((at == number) & promising)[:, 0]
        whole, part, share, wider = ways[number]
        near = [
            _found(pictures[whole][members], pictures[part][members], share=finer, ratio=wider)
            for finer in sorted({min(1.0, share + step) for step in _FINER})
        ]
        best[members] = torch.stack(near).amax(dim=0)
    return best


def _found(whole: Tensor, part: Tensor, *, share: float, ratio: float) -> Tensor:
    """Return the best correlation of parts with wholes, (N,), if a part is `share` of its whole's longer side.

    Args:
        whole: (N, S, S)
        part: (N, S, S)
        share: of the longer side.
        ratio: how many times as wide by its height the part is as the whole.
    """
    side = whole.shape[-1]
    height, width = (share / ratio, share) if ratio >= 1 else (share, share * ratio)
    rows, columns = round(side * height), round(side * width)
    if min(rows, columns) < side // 3:
        return torch.full((len(whole),), -1.0)
    smaller = functional.interpolate(part[:, None], size=(rows, columns), mode="bilinear", antialias=True)[:, 0]
    field, sought = _detail(whole), _detail(smaller)
    sought = sought - sought.mean(dim=(1, 2), keepdim=True)

    # Products at every place by the Fourier transform. It wraps around, but not at the places where the part fits.
    spectrum = torch.fft.rfft2(field) * torch.fft.rfft2(sought, s=(side, side)).conj()
    fits = (slice(None), slice(0, side - rows + 1), slice(0, side - columns + 1))
    products = torch.fft.irfft2(spectrum, s=(side, side))[fits]

    # by the lengths of what is covered at each place, and of the part
    count = rows * columns
    sums, squares = (_window_sums(values, rows=rows, columns=columns) for values in (field, field.square()))
    covered = (squares - sums.square() / count).clamp(min=0).sqrt()
    length = sought.square().sum(dim=(1, 2)).sqrt()[:, None, None]
    # a picture without detail is like no other
    values: Tensor = products / (covered * length).clamp(min=float(count))
    return values.amax(dim=(1, 2))


def _detail(pictures: Tensor) -> Tensor:
    padded = functional.pad(pictures[:, None], (_DETAIL // 2,) * 4, mode="replicate")
    detail: Tensor = pictures - functional.avg_pool2d(padded, _DETAIL, stride=1)[:, 0]
    return detail


def _window_sums(values: Tensor, *, rows: int, columns: int) -> Tensor:
    """Return the sums over every window of this size, (N, S - rows + 1, S - columns + 1)."""
    sums = functional.pad(values.double(), (1, 0, 1, 0)).cumsum(dim=1).cumsum(dim=2)
    down = sums[:, rows:] - sums[:, :-rows]
    return (down[:, :, columns:] - down[:, :, :-columns]).float()
