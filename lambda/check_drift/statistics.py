"""The two-sample tests of a check, in the standard library: of shares of classes, and of numbers.

Chi-squared test of homogeneity: Pearson (1900); expected counts below five are pooled (Cochran, "Some methods for
strengthening the common χ² tests", Biometrics 1954). Kolmogorov-Smirnov test: the asymptotic distribution with
Stephens's correction for small samples ("Use of the Kolmogorov-Smirnov, Cramér-von Mises and related statistics without
extensive tables", Journal of the Royal Statistical Society B, 1970). Both are conservative where the test photos are
chosen with the same share of each class.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

__all__ = ["chi_squared_tail", "compare_numbers", "compare_shares", "kolmogorov_tail", "wilson"]

_FEWEST_EXPECTED: Final = 5
_TERMS: Final = 200
_PRECISION: Final = 1e-12
_Z95: Final = 1.959963984540054


def compare_shares(first: Mapping[str, int], second: Mapping[str, int]) -> tuple[float, float]:
    """Return the total variation distance of two samples of classes, and the p-value of the chi-squared test.

    Both are of the groups that classes are pooled to, from the rarest on, until at least five of each are expected in
    either sample. Which are pooled depends on both samples together alone.

    Args:
        first: number of each class in one sample, which is not empty.
        second: in the other one, not empty either.
    """
    groups = _pooled(first, second)
    of_first, of_second = sum(first.values()), sum(second.values())
    distance = sum(abs(one / of_first - other / of_second) for one, other in groups) / 2
    if len(groups) < 2:
        return distance, 1.0

    # Pearson's statistic of a table with two columns
    statistic = 0.0
    for one, other in groups:
        expected = (one + other) * of_first / (of_first + of_second)
        statistic += (one - expected) ** 2 * (1 / expected + 1 / (one + other - expected))
    return distance, chi_squared_tail(statistic, len(groups) - 1)


def compare_numbers(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Return the Kolmogorov-Smirnov statistic of two samples of numbers, neither of them empty, and its p-value."""
    one, other = sorted(first), sorted(second)
    difference, below_one, below_other = 0.0, 0, 0
    while below_one < len(one) and below_other < len(other):
        value = min(one[below_one], other[below_other])
        while below_one < len(one) and one[below_one] == value:
            below_one += 1
        while below_other < len(other) and other[below_other] == value:
            below_other += 1
        difference = max(difference, abs(below_one / len(one) - below_other / len(other)))
    root = math.sqrt(len(one) * len(other) / (len(one) + len(other)))
    return difference, kolmogorov_tail((root + 0.12 + 0.11 / root) * difference)


def wilson(count: int, total: int) -> tuple[float, float]:
    """Return Wilson's 95 % score interval of a share."""
    share, square = count / total, _Z95**2
    middle = share + square / (2 * total)
    half = _Z95 * math.sqrt(share * (1 - share) / total + square / (4 * total**2))
    scale = 1 + square / total
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def chi_squared_tail(statistic: float, degrees: int) -> float:
    """Return the probability that a chi-squared variable is at least as large: the regularised gamma function Q(a, x).

    Its series and its continued fraction are 6.5.29 and 6.5.31 of Abramowitz and Stegun, "Handbook of Mathematical
    Functions".
    """
    a, x = degrees / 2, statistic / 2
    if x <= 0:
        return 1.0
    scale = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:
        term = total = 1 / a
        n = a
        while term > total * _PRECISION:
            n += 1
            term *= x / n
            total += term
        return max(0.0, 1 - scale * total)
    return scale * _fraction(a, x)


def kolmogorov_tail(value: float) -> float:
    """Return the probability that the limit of the scaled Kolmogorov-Smirnov statistic is at least as large."""
    if value < 0.2:  # beyond fifteen decimals of 1, where the series converges slowly
        return 1.0
    total = 0.0
    for number in range(1, _TERMS):
        term = math.exp(-2 * (number * value) ** 2)
        total += term if number % 2 else -term
        if term < _PRECISION:
            break
    return min(1.0, max(0.0, 2 * total))


def _fraction(a: float, x: float) -> float:
    """Evaluate the continued fraction of Q(a, x) by Lentz's method."""
    tiny = 1e-300
    b = x + 1 - a
    c, d = 1 / tiny, 1 / b
    value = d
    for number in range(1, 10_000):
        step = -number * (number - a)
        b += 2
        d = 1 / (step * d + b or tiny)
        c = b + step / c or tiny
        value *= c * d
        if abs(c * d - 1) < _PRECISION:
            break
    return value


def _pooled(first: Mapping[str, int], second: Mapping[str, int]) -> list[tuple[int, int]]:
    """Return the counts of groups of classes, of each of which enough are expected in the smaller sample."""
    of_first, of_second = sum(first.values()), sum(second.values())
    smaller = min(of_first, of_second) / (of_first + of_second)
    # classes of the same number are in the order of their names: any order that a sample decides would part the samples
    names = sorted({**first, **second}, key=lambda name: (first.get(name, 0) + second.get(name, 0), name))

    groups: list[tuple[int, int]] = []
    one = other = 0
    for name in names:
        one, other = one + first.get(name, 0), other + second.get(name, 0)
        if (one + other) * smaller >= _FEWEST_EXPECTED:
            groups.append((one, other))
            one = other = 0
    if one + other:
        last = groups.pop() if groups else (0, 0)
        groups.append((last[0] + one, last[1] + other))
    return groups
