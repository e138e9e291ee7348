"""Confidence intervals of shares of photos."""

from __future__ import annotations

import math
from statistics import NormalDist

import contract

__all__ = ["LEVEL", "wilson"]

LEVEL = 0.95


def wilson(right: float, images: float) -> contract.Interval:
    """Return Wilson's 95 % score interval of a share, `right` of `images`; from 0 to 1 where there are no photos.

    Neither need be whole: photos that come in groups are worth fewer than they are. It holds what it promises on few
    photos, too, and where all of them are right (Brown, Cai, DasGupta, "Interval Estimation for a Binomial
    Proportion", 2001).
    """
    if not images:
        return {"low": 0.0, "high": 1.0, "level": LEVEL}
    share, square = right / images, NormalDist().inv_cdf((1 + LEVEL) / 2) ** 2
    centre = (share + square / (2 * images)) / (1 + square / images)
    half = math.sqrt(square * (share * (1 - share) / images + square / (4 * images**2))) / (1 + square / images)
    return {"low": max(0.0, centre - half), "high": min(1.0, centre + half), "level": LEVEL}
