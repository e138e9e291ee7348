"""The overrides of settings in an execution's input, checked one by one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import contract

__all__ = ["KNOWN", "InvalidInput", "RunSettings", "resolve"]

KNOWN = (*contract.OVERRIDABLE, *contract.RunOverrides.__annotations__)
"""Keys that the input may have."""

_PREFIX = re.compile(r"^([A-Za-z0-9._-]+/)+$")
"""Key prefixes of what the runs write."""

_PASSED_OVER = re.compile(r"Comment|AWS_STEP_FUNCTIONS_\w+")
"""Keys that Step Functions' console and a parent state machine add; they say nothing to a run."""

_EVENT = frozenset(
    ("version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail", "replay-name")
)
"""Members of an EventBridge event, of a rule or of the Scheduler (EventBridge user guide, "Event structure")."""

_EVERY_EVENT = frozenset(("id", "detail-type", "source", "detail"))

_RUN = re.compile(r"[a-z0-9][a-z0-9-]{0,10}")
"""`contract.run_id`"""

_MAX_TRIALS = 750
"""SageMaker's quota for the training jobs of a tuning job with random or Bayesian search."""


class InvalidInput(ValueError):
    """The execution's input is wrong; the message names the key, its value and what is allowed."""


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """The settings of one run: those of the stack, with the overrides of the execution's input."""

    dataset_prefix: str
    min_images_per_class: int
    group_pattern: str | None
    hyperparameters: contract.Hyperparameters
    trials: int
    parallel_trials: int
    trial_epochs: int
    trial_minutes: int
    training_minutes: int
    learning_rate: tuple[float, float]
    learning_rate_scale: contract.ScalingType
    batch_sizes: tuple[int, ...]
    also_searched: tuple[str, ...]
    backbones: tuple[str, ...]
    """Those that the search chooses among; none: the hyperparameter alone."""
    objective: contract.ObjectiveName
    warm_start: bool
    weights_key: str | None
    spot: bool
    retry_of: str | None
    """The run to go on with."""


def resolve(settings: Mapping[str, Any], overrides: Any, *, readable_prefix: str, processes: int) -> RunSettings:
    """Return the settings of a run.

    Args:
        settings: The sections `dataset`, `tuning` and `training` of the stack's settings.
        overrides: The execution's input.
        readable_prefix: The key prefix below which the jobs may read photos; empty: anywhere.
        processes: Processes of the training, which share each batch.

    Raises:
        InvalidInput: a key is unknown, or a value has the wrong type or is outside its limits.
    """
    if not isinstance(overrides, Mapping):
        raise InvalidInput(
            f"the input is {_kind(overrides)}, but it must be a JSON object; give {{}} to take every setting as it is"
        )

    # what starts a run says by what it was started; a whole event overrides no setting, whatever its detail has
    overrides = {key: value for key, value in overrides.items() if not _PASSED_OVER.fullmatch(key)}
    if _EVERY_EVENT <= set(overrides) <= _EVENT:
        overrides = {}

    # refuse what the input may not say
    dataset, tuning, training = settings["dataset"], settings["tuning"], settings["training"]
    _refuse_mode(overrides, training["mode"])
    unknown = sorted(set(overrides) - set(KNOWN))
    if unknown:
        raise InvalidInput(f"unknown key in the input: {', '.join(unknown)}; known are {', '.join(sorted(KNOWN))}")

    # take each value from the input, or else from the settings
    trials = _whole(overrides, "trials", tuning["trials"], low=1, high=_MAX_TRIALS)
    hyperparameters = _hyperparameters(overrides, training)
    backbones = _backbones(overrides, tuple(tuning["backbones"]), hyperparameters, trials=trials)
    return RunSettings(
        dataset_prefix=_prefix(overrides, dataset["prefix"], readable_prefix),
        min_images_per_class=dataset["min_images_per_class"],
        group_pattern=dataset["group_pattern"],
        hyperparameters=hyperparameters,
        trials=trials,
        parallel_trials=min(tuning["parallel_trials"], trials),
        trial_epochs=_whole(overrides, "trial_epochs", tuning["epochs"], low=1, high=1000),
        trial_minutes=tuning["max_minutes"],
        training_minutes=training["max_minutes"],
        learning_rate=_learning_rate(overrides, (tuning["learning_rate_min"], tuning["learning_rate_max"])),
        learning_rate_scale=tuning["learning_rate_scale"],
        batch_sizes=_batch_sizes(overrides, tuple(tuning["batch_sizes"]), processes),
        also_searched=tuple(name for name in contract.ALSO_SEARCHED if tuning[f"search_{name}"]),
        backbones=backbones,
        objective=tuning["objective"],
        warm_start=tuning["warm_start"],
        weights_key=training["weights"],
        spot=training["spot"],
        retry_of=_retry_of(overrides),
    )


def _retry_of(overrides: Mapping[str, Any]) -> str | None:
    value = overrides.get("retry_of")
    if value is not None and (not isinstance(value, str) or not _RUN.fullmatch(value)):
        raise InvalidInput(
            f"retry_of={value!r} in the input is not a run; give its name as `whippet status` lists it, such as "
            "0ab1c2d3-e4, or leave it out"
        )
    return value


def _refuse_mode(overrides: Mapping[str, Any], deployed: str) -> None:
    """Refuse `mode`, since the stack's state machine has only the states of one mode."""
    if "mode" in overrides:
        other = next(mode for mode in contract.MODES if mode != deployed)
        raise InvalidInput(
            f"mode={overrides['mode']!r} in the input is not possible: the mode is fixed when the stack is deployed "
            f"(now {deployed}); leave it out, or change it for all runs with `cdk deploy -c training.mode={other}`"
        )


def _hyperparameters(overrides: Mapping[str, Any], training: Mapping[str, Any]) -> contract.Hyperparameters:
    values: dict[str, Any] = {}
    for name, field in contract.DECLARED.items():
        # The tuning job chooses these.
        if field.metadata["tuned"]:
            continue

        # A setting without a value leaves the choice to the default.
        default = contract.default_of(name, mode=training["mode"])
        value = overrides.get(name, default if training[name] is None else training[name])
        fits = isinstance(value, type(default)) or (isinstance(default, float) and isinstance(value, int))
        if not fits or (isinstance(value, bool) and not isinstance(default, bool)):
            raise InvalidInput(f"{name}={value!r} in the input is {_kind(value)}; give {_kind(default)}")
        values[name] = type(default)(value)
    try:
        return contract.Hyperparameters(**values)
    except contract.ContractError as error:
        raise InvalidInput(f"in the input: {error}") from None


def _backbones(
    overrides: Mapping[str, Any], backbones: tuple[str, ...], hyperparameters: contract.Hyperparameters, *, trials: int
) -> tuple[str, ...]:
    """Return the setting tuning.backbones, if the other values of this run go with it."""
    if backbones and "backbone" in overrides:
        raise InvalidInput(
            f"backbone={overrides['backbone']!r} in the input has no effect: the search chooses among "
            f"{', '.join(backbones)} (setting tuning.backbones); leave it out, or deploy without tuning.backbones"
        )
    try:
        contract.check_backbones(backbones, trials=trials, unfreeze_from=hyperparameters.unfreeze_from)
    except contract.ContractError as error:
        raise InvalidInput(f"in the input: {error}") from None
    return backbones


def _prefix(overrides: Mapping[str, Any], default: str, readable_prefix: str) -> str:
    value = overrides.get("dataset_prefix", default)
    if not isinstance(value, str) or not _PREFIX.fullmatch(value):
        raise InvalidInput(
            f"dataset_prefix={value!r} in the input is not a key prefix; give folders of letters, digits, '.', '_', "
            "'-' with a slash at the end, such as dataset/"
        )
    if value.startswith(contract.OWN_PREFIXES):
        raise InvalidInput(
            f"dataset_prefix={value!r} is where the runs keep their own files; upload the photos to another prefix"
        )
    if not value.startswith(readable_prefix):
        raise InvalidInput(
            f"dataset_prefix={value!r} is outside {readable_prefix}, the only place of this bucket that the jobs may "
            "read; change the setting dataset.prefix and deploy again"
        )
    return value


def _whole(overrides: Mapping[str, Any], name: str, default: int, *, low: int, high: int) -> int:
    value = overrides.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidInput(f"{name}={value!r} in the input is wrong; give a whole number from {low} to {high}")
    return value


def _learning_rate(overrides: Mapping[str, Any], default: tuple[float, float]) -> tuple[float, float]:
    low, high = contract.LEARNING_RATE_BOUNDS
    value = overrides.get("learning_rate", {"min": default[0], "max": default[1]})
    expected = f'give {{"min": …, "max": …}} with {low} <= min < max <= {high}'
    if not isinstance(value, Mapping) or set(value) != {"min", "max"}:
        raise InvalidInput(f"learning_rate={value!r} in the input is not a range; {expected}")
    smallest, largest = value["min"], value["max"]
    if not (_is_number(smallest) and _is_number(largest) and low <= smallest < largest <= high):
        raise InvalidInput(f"learning_rate={dict(value)!r} in the input is not a range within the limits; {expected}")
    return float(smallest), float(largest)


def _batch_sizes(overrides: Mapping[str, Any], default: tuple[int, ...], processes: int) -> tuple[int, ...]:
    low, high = contract.BATCH_SIZE_LIMITS
    value = overrides.get("batch_sizes", list(default))
    whole = isinstance(value, list) and all(isinstance(size, int) and not isinstance(size, bool) for size in value)
    if (
        not whole
        or not 1 <= len(value) <= 30
        or len(set(value)) != len(value)
        or not all(low <= size <= high for size in value)
    ):
        raise InvalidInput(
            f"batch_sizes={value!r} in the input is wrong; give a list of 1 to 30 different whole numbers from {low} "
            f"to {high}"
        )
    if uneven := [size for size in value if size % processes]:
        raise InvalidInput(
            f"batch_sizes={value!r} in the input is wrong: the {processes} processes of the training, one for each GPU "
            f"or machine, cannot share a batch of {', '.join(map(str, uneven))} evenly; give multiples of {processes}"
        )
    return tuple(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _kind(value: object) -> str:
    if value is None:
        return "null"
    kinds = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "a text",
        list: "a list",
        dict: "an object",
    }
    return kinds.get(type(value), type(value).__name__)
