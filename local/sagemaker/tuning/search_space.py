"""SageMaker's ParameterRanges as a unit cube in which points that are close stand for similar hyperparameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from local.sagemaker.errors import validation

__all__ = ["Ranges", "SearchSpace", "check_ranges"]

_LOG_RATIO = 100
"""ScalingType Auto searches on a log scale where the largest value is at least this many times the smallest."""

Ranges = Mapping[str, Sequence[Mapping[str, Any]]]
"""SageMaker's ParameterRanges."""

Array = NDArray[np.float64]


class SearchSpace:
    """The unit cube of a tuning job's ranges. Every hyperparameter has one or more dimensions of it."""

    def __init__(self, ranges: Ranges):
        self._axes: dict[str, _Axis] = {}
        for entry in ranges.get("ContinuousParameterRanges", []):
            self._axes[entry["Name"]] = _Number(entry, whole=False)
        for entry in ranges.get("IntegerParameterRanges", []):
            self._axes[entry["Name"]] = _Number(entry, whole=True)
        for entry in ranges.get("CategoricalParameterRanges", []):
            values = [str(value) for value in entry["Values"]]
            numbers = _numbers(values)
            self._axes[entry["Name"]] = _Choices(values) if numbers is None else _Steps(values, numbers)

    @property
    def dimensions(self) -> int:
        """The number of the cube's dimensions."""
        return sum(axis.dimensions for axis in self._axes.values())

    def values(self, point: Array) -> dict[str, str]:
        """Return the hyperparameters at a point (dimensions,), as strings."""
        return {name: axis.value(part) for name, axis, part in self._parts(point)}

    def snapped(self, point: Array) -> Array:
        """Return the nearest point that stands for hyperparameters exactly, such as that of a batch size."""
        return np.concatenate([axis.place(axis.value(part)) for _, axis, part in self._parts(point)])

    def point(self, values: Mapping[str, str]) -> Array | None:
        """Return the point (dimensions,) of hyperparameters; None if one is missing or outside of its range."""
        places = []
        for name, axis in self._axes.items():
            if name not in values or not axis.holds(values[name]):
                return None
            places.append(axis.place(values[name]))
        return np.concatenate(places)

    def _parts(self, point: Array) -> list[tuple[str, _Axis, Array]]:
        ends = np.cumsum([axis.dimensions for axis in self._axes.values()])
        parts = np.split(point, ends[:-1])
        return [(name, axis, part) for (name, axis), part in zip(self._axes.items(), parts, strict=True)]


class _Axis(Protocol):
    @property
    def dimensions(self) -> int: ...

    def value(self, part: Array) -> str: ...

    def place(self, value: str) -> Array: ...

    def holds(self, value: str) -> bool: ...


@dataclass(frozen=True)
class _Number:
    """A continuous or integer range on its scale: one dimension."""

    entry: Mapping[str, Any]
    whole: bool
    dimensions: int = 1

    def value(self, part: Array) -> str:
        low, high = self._bounds()
        scaled = self._scaled(low) + float(part[0]) * (self._scaled(high) - self._scaled(low))
        number = min(max(self._unscaled(scaled), low), high)
        return str(round(number)) if self.whole else repr(number)

    def place(self, value: str) -> Array:
        low, high = (self._scaled(bound) for bound in self._bounds())
        return np.array([(self._scaled(float(value)) - low) / (high - low) if high > low else 0.5])

    def holds(self, value: str) -> bool:
        low, high = self._bounds()
        try:
            return low <= float(value) <= high
        except ValueError:
            return False

    def _bounds(self) -> tuple[float, float]:
        return float(self.entry["MinValue"]), float(self.entry["MaxValue"])

    def _scaling(self) -> str:
        low, high = self._bounds()
        given = str(self.entry.get("ScalingType", "Auto"))
        if given != "Auto":
            return given
        return "Logarithmic" if low > 0 and high / low >= _LOG_RATIO else "Linear"

    def _scaled(self, number: float) -> float:
        scaling = self._scaling()
        if scaling == "Logarithmic":
            return math.log(number)
        return -math.log(1 - number) if scaling == "ReverseLogarithmic" else number

    def _unscaled(self, scaled: float) -> float:
        scaling = self._scaling()
        if scaling == "Logarithmic":
            return math.exp(scaled)
        return 1 - math.exp(-scaled) if scaling == "ReverseLogarithmic" else scaled


class _Steps:
    """Categorical values that are numbers, such as batch sizes: one dimension, in order and evenly spaced."""

    dimensions = 1

    def __init__(self, values: Sequence[str], numbers: Sequence[float]):
        self._values = [value for _, value in sorted(zip(numbers, values, strict=True))]

    def value(self, part: Array) -> str:
        return self._values[min(int(float(part[0]) * len(self._values)), len(self._values) - 1)]

    def place(self, value: str) -> Array:
        return np.array([(self._values.index(value) + 0.5) / len(self._values)])

    def holds(self, value: str) -> bool:
        return value in self._values


class _Choices:
    """Categorical values without an order: one dimension each, so that all are equally far from one another."""

    def __init__(self, values: Sequence[str]):
        self._values = list(values)
        self.dimensions = len(values)

    def value(self, part: Array) -> str:
        return self._values[int(part.argmax())]

    def place(self, value: str) -> Array:
        place: Array = np.eye(self.dimensions)[self._values.index(value)]
        return place

    def holds(self, value: str) -> bool:
        return value in self._values


def _numbers(values: Sequence[str]) -> list[float] | None:
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


def check_ranges(ranges: Ranges, strategy: str) -> None:
    """Check that hyperparameters can be drawn from the ranges by this strategy.

    Raises:
        SageMakerError: ValidationException that names the range and what is wrong with it.
    """
    names = [entry["Name"] for entries in ranges.values() for entry in entries]
    if not names:
        raise validation("You must specify at least one hyperparameter range.")
    if len(set(names)) != len(names):
        raise validation(f"Hyperparameter names of the ranges must be unique: {', '.join(names)}")
    if ranges.get("AutoParameters"):
        raise validation("The local SageMaker does not support AutoParameters; give the ranges.")
    if strategy == "Grid" and (ranges.get("ContinuousParameterRanges") or ranges.get("IntegerParameterRanges")):
        raise validation("Grid search supports categorical hyperparameters only.")

    for kind, number in (("ContinuousParameterRanges", float), ("IntegerParameterRanges", int)):
        for entry in ranges.get(kind, []):
            _check_range(entry, number)
            if kind == "IntegerParameterRanges" and entry.get("ScalingType") == "ReverseLogarithmic":
                raise validation(f"{entry['Name']}: ReverseLogarithmic scaling is for continuous ranges only.")


def _check_range(entry: Mapping[str, Any], number: type[float] | type[int]) -> None:
    name, scaling = entry["Name"], entry.get("ScalingType", "Auto")
    try:
        low, high = number(entry["MinValue"]), number(entry["MaxValue"])
    except ValueError:
        raise validation(
            f"{name}: MinValue and MaxValue must be numbers, not '{entry['MinValue']}' and '{entry['MaxValue']}'."
        ) from None
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise validation(f"{name}: MinValue {low} must not be above MaxValue {high}.")
    if scaling == "Logarithmic" and low <= 0:
        raise validation(f"{name}: Logarithmic scaling needs a MinValue above 0, not {low}.")
    if scaling == "ReverseLogarithmic" and not 0 <= low <= high < 1:
        raise validation(f"{name}: ReverseLogarithmic scaling needs a range within 0 <= x < 1, not {low} to {high}.")
