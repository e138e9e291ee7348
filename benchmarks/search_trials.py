"""How many trials a search needs to come within 1 % of the best, on the recorded surface of real trainings.

Ours is the `Search` of the local SageMaker's tuning jobs, on scikit-learn's Gaussian process, one trial at a time. A
trial's objective is the surface, interpolated between its grid points, plus noise with the standard deviation that the
recorded seeds had. Whether a trial is within 1 % of the best is decided on the surface without noise.
"""

from __future__ import annotations

import itertools
import json
import math
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import contract
from benchmarks.result import Result, emit
from local.sagemaker.tuning.search import Search

SURFACE = Path(__file__).parent / "surfaces" / "heads.json"
MOST_TRIALS = 100
WITHIN = 0.01
GOAL = 12

Trial = tuple[float, int]
"""Learning rate and batch size."""


@dataclass(frozen=True)
class Surface:
    """An objective over learning rate and batch size; higher is better (a loss is negated)."""

    learning_rates: NDArray[np.float64]
    batch_sizes: list[int]
    mean: NDArray[np.float64]
    """(batch sizes, learning rates)"""
    noise: float

    def __call__(self, trial: Trial) -> float:
        rate, size = trial
        row = self.mean[self.batch_sizes.index(size)]
        return float(np.interp(math.log(rate), np.log(self.learning_rates), row))

    def is_good(self, trial: Trial) -> bool:
        """Whether a trial is within 1 % of the best, as accuracy or as loss."""
        best = float(self.mean.max())
        return self(trial) >= best - WITHIN * abs(best)


def load(objective: str) -> Surface:
    """Return the recorded surface of an objective, "loss" or "accuracy"."""
    recorded = json.loads(SURFACE.read_text(encoding="utf-8"))
    sign = -1.0 if objective == "loss" else 1.0
    return Surface(
        learning_rates=np.array(recorded["learning_rates"]),
        batch_sizes=recorded["batch_sizes"],
        mean=sign * np.array(recorded[objective]["mean"]),
        noise=recorded[objective]["standard_deviation"],
    )


Ask = Iterator[Trial]
Searcher = Callable[[int, Callable[[Trial], float]], Ask]
"""A search: takes a seed and a function that measures a trial, and yields its trials one after the other."""


def ours(seed: int, measure: Callable[[Trial], float]) -> Ask:
    """Search as the local SageMaker's Bayesian tuning jobs do, without parallel trials."""
    search = Search(ranges=contract.parameter_ranges(), strategy="Bayesian", maximise=True, seed=seed)
    while True:
        number, values = search.propose()
        trial = float(values["learning_rate"]), int(values["batch_size"])
        yield trial
        search.learn(number, measure(trial))


def random_search(seed: int, measure: Callable[[Trial], float]) -> Ask:
    """Draw learning rates on a linear scale, as the project this one replaces did."""
    rng = np.random.default_rng(seed)
    while True:
        yield float(rng.uniform(*contract.LEARNING_RATE_LIMITS)), int(rng.choice(contract.BATCH_SIZES))


def random_log_search(seed: int, measure: Callable[[Trial], float]) -> Ask:
    """Draw learning rates on a logarithmic scale."""
    rng = np.random.default_rng(seed)
    low, high = contract.LEARNING_RATE_LIMITS
    while True:
        yield float(low * (high / low) ** rng.random()), int(rng.choice(contract.BATCH_SIZES))


def optuna_default(seed: int, measure: Callable[[Trial], float]) -> Ask:
    """Search with Optuna's default, TPE: the learning rate on a log scale, the batch size categorical."""
    import optuna  # type: ignore[import-not-found, unused-ignore]  # only the local cloud's environment has it

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    while True:
        asked = study.ask()
        trial = (
            asked.suggest_float("learning_rate", *contract.LEARNING_RATE_LIMITS, log=True),
            asked.suggest_categorical("batch_size", contract.BATCH_SIZES),
        )
        yield trial
        study.tell(asked, measure(trial))


PEERS: dict[str, Searcher] = {
    "random, linear scale": random_search,
    "random, log scale": random_log_search,
    "optuna TPE": optuna_default,
}


def trials_needed(searcher: Searcher, surface: Surface, *, seed: int) -> int:
    """Return the number of trials until one is within 1 % of the best, at most `MOST_TRIALS`."""
    noise = np.random.default_rng([seed, 1])

    def measure(trial: Trial) -> float:
        return surface(trial) + float(noise.normal(scale=surface.noise))

    trials = itertools.islice(searcher(seed, measure), MOST_TRIALS)
    return next((number for number, trial in enumerate(trials, start=1) if surface.is_good(trial)), MOST_TRIALS)


def run(*, quick: bool) -> list[Result]:
    seeds = range(3 if quick else 10)
    results = []
    for name, objective in (("search_trials", "loss"), ("search_trials_accuracy", "accuracy")):
        surface = load(objective)
        needed = {
            peer: statistics.median(trials_needed(searcher, surface, seed=seed) for seed in seeds)
            for peer, searcher in {"ours": ours, **PEERS}.items()
        }
        mine = needed.pop("ours")
        results.append(
            Result(
                name=name,
                unit=f"trials to within 1 % of the best validation {objective}, median of {len(seeds)} seeds",
                ours=mine,
                peers=needed,
                ratio=needed["optuna TPE"] / mine,
                against="optuna TPE",
                goal=f"<= {GOAL} trials",
                holds=mine <= GOAL,
            )
        )
    return results


if __name__ == "__main__":
    emit(run(quick="--quick" in sys.argv))
