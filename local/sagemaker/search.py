"""Which hyperparameters the next trial gets: Optuna behind SageMaker's ranges and strategies."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import optuna  # type: ignore[import-not-found, unused-ignore]  # only the local cloud's environment has it

from local.sagemaker.errors import validation

__all__ = ["Search", "check_ranges"]

_LOG_RATIO = 100
"""ScalingType Auto searches on a log scale where the largest value is at least this many times the smallest."""

Ranges = Mapping[str, Sequence[Mapping[str, Any]]]
"""SageMaker's ParameterRanges."""


class Search:
    """Proposes hyperparameters and learns from the trials' objectives.

    Bayesian is Optuna's TPE, which by default also reckons with the trials still running; Random draws; Grid walks
    through every combination of the categorical values.
    """

    def __init__(self, *, ranges: Ranges, strategy: str, maximise: bool, seed: int | None, trials: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._ranges = ranges
        self._grid = _grid(ranges, seed) if strategy == "Grid" else None
        self._study = optuna.create_study(
            direction="maximize" if maximise else "minimize", sampler=_sampler(strategy, seed, trials)
        )
        self._trials: dict[int, optuna.trial.Trial] = {}

    @property
    def size(self) -> int | None:
        """Number of combinations where it is bounded (Grid), else None."""
        return len(self._grid) if self._grid is not None else None

    def propose(self) -> tuple[int, dict[str, str]]:
        """A trial's number and its hyperparameters, as strings."""
        trial = self._study.ask()
        self._trials[trial.number] = trial
        if self._grid is not None:
            return trial.number, self._grid[trial.number]
        values: dict[str, str] = {}
        for entry in self._ranges.get("ContinuousParameterRanges", []):
            values[entry["Name"]] = repr(_continuous(trial, entry))
        for entry in self._ranges.get("IntegerParameterRanges", []):
            low, high = int(entry["MinValue"]), int(entry["MaxValue"])
            values[entry["Name"]] = str(trial.suggest_int(entry["Name"], low, high, log=_is_log(entry, low, high)))
        for entry in self._ranges.get("CategoricalParameterRanges", []):
            values[entry["Name"]] = str(trial.suggest_categorical(entry["Name"], list(entry["Values"])))
        return trial.number, values

    def learn(self, number: int, objective: float | None) -> None:
        """Tell a trial's objective; None where it has none."""
        trial = self._trials.pop(number)
        if objective is None:
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(trial, objective)


def check_ranges(ranges: Ranges, strategy: str) -> None:
    """Raises SageMakerError (ValidationException) for ranges nothing can be drawn from."""
    names = [entry["Name"] for entries in ranges.values() for entry in entries]
    if not names:
        raise validation("You must specify at least one hyperparameter range.")
    if len(set(names)) != len(names):
        raise validation(f"Hyperparameter names of the ranges must be unique: {', '.join(names)}")
    if ranges.get("AutoParameters"):
        raise validation("The local SageMaker has no AutoParameters; give the ranges.")
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
        raise validation(f"{name}: '{entry['MinValue']}' to '{entry['MaxValue']}' is no range of numbers.") from None
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise validation(f"{name}: MinValue {low} must not be above MaxValue {high}.")
    if scaling == "Logarithmic" and low <= 0:
        raise validation(f"{name}: Logarithmic scaling needs a MinValue above 0, not {low}.")
    if scaling == "ReverseLogarithmic" and not 0 <= low <= high < 1:
        raise validation(f"{name}: ReverseLogarithmic scaling needs a range within 0 <= x < 1, not {low} to {high}.")


def _continuous(trial: optuna.trial.Trial, entry: Mapping[str, Any]) -> float:
    name, low, high = entry["Name"], float(entry["MinValue"]), float(entry["MaxValue"])
    if entry.get("ScalingType") == "ReverseLogarithmic":
        drawn = trial.suggest_float(name, 1 - high, 1 - low, log=True)
        return float(min(max(1 - drawn, low), high))
    return float(trial.suggest_float(name, low, high, log=_is_log(entry, low, high)))


def _is_log(entry: Mapping[str, Any], low: float, high: float) -> bool:
    scaling = entry.get("ScalingType", "Auto")
    return bool(scaling == "Logarithmic" or (scaling == "Auto" and low > 0 and high / low >= _LOG_RATIO))


def _sampler(strategy: str, seed: int | None, trials: int) -> optuna.samplers.BaseSampler:
    if strategy != "Bayesian":
        return optuna.samplers.RandomSampler(seed=seed)
    # Optuna's ten random trials at the start would be all of a small tuning job; with a quarter of them the best of
    # eight trials is nearer to the optimum, with fewer than three the search is blind.
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=min(10, max(3, trials // 4)))


def _grid(ranges: Ranges, seed: int | None) -> list[dict[str, str]]:
    entries = ranges.get("CategoricalParameterRanges", [])
    combinations = itertools.product(*(entry["Values"] for entry in entries))
    grid = [dict(zip((entry["Name"] for entry in entries), values, strict=True)) for values in combinations]
    random.Random(seed or 0).shuffle(grid)  # noqa: S311 - an order, not a secret
    return grid
