"""The debugger's rules: their names, parameters and defaults as SageMaker documents them.

Sources: "List of Debugger built-in rules" and "List of Debugger built-in profiler rules" (Amazon SageMaker AI developer
guide), and the package smdebug-rulesconfig, which declares the profiler rules' parameters. The page gives two defaults
for LossNotDecreasing's `mode`, GLOBAL and none; here it is none, as its text describes.

Below them stands which rules this project uses, with which parameters, and which of them keep a model out of service.
These parameters were measured with digits (4,000) and clothing10 (1,172 photos) over the search space, learning rates
0.001 to 0.1 and batches of 16 to 512, with 3 and 20 epochs, and with fine-tunings: docs/debugger.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from contract.hyperparameters import ContractError

__all__ = [
    "BLOCKING_RULES",
    "DEFAULT_PARAMETERS",
    "DEFAULT_RULES",
    "NOT_APPLICABLE",
    "RULES",
    "ParameterValue",
    "Rule",
    "RuleKind",
    "checked_parameters",
]

ParameterValue = bool | int | float | str | None
RuleKind = Literal["tensor", "profiler"]


@dataclass(frozen=True)
class Rule:
    """A built-in rule; its parameters by name, each with its documented default."""

    name: str
    kind: RuleKind
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)


_SCAN: Final = {"scan_interval_us": 60_000_000}

RULES: Final[dict[str, Rule]] = {
    rule.name: rule
    for rule in (
        Rule("VanishingGradient", "tensor", {"threshold": 1e-7}),
        Rule("ExplodingTensor", "tensor", {"collection_names": None, "tensor_regex": None, "only_nan": False}),
        Rule(
            "LossNotDecreasing",
            "tensor",
            {
                "collection_names": None,
                "tensor_regex": None,
                "use_losses_collection": True,
                "num_steps": 10,
                "diff_percent": 0.1,
                "increase_threshold_percent": 5.0,
                "mode": None,
            },
        ),
        Rule("Overfit", "tensor", {"tensor_regex": None, "start_step": 0, "patience": 1, "ratio_threshold": 0.1}),
        Rule("Overtraining", "tensor", {"patience_train": 5, "patience_validation": 10, "delta": 0.01}),
        Rule(
            "PoorWeightInitialization",
            "tensor",
            {
                "activation_inputs_regex": ".*relu_input",
                "threshold": 10.0,
                "distribution_range": 0.001,
                "patience": 5,
                "steps": 10,
            },
        ),
        Rule(
            "DeadRelu",
            "tensor",
            {"tensor_regex": ".*relu_output", "threshold_inactivity": 1.0, "threshold_layer": 50.0},
        ),
        Rule("AllZero", "tensor", {"collection_names": None, "tensor_regex": None, "threshold": 100.0}),
        Rule(
            "SaturatedActivation",
            "tensor",
            {
                "collection_names": None,
                "tensor_regex": ".*tanh_input|.*sigmoid_input",
                "threshold_tanh_min": -9.4999,
                "threshold_tanh_max": 9.4999,
                "threshold_sigmoid_min": -23.0,
                "threshold_sigmoid_max": 16.99999,
                "threshold_inactivity": 1.0,
                "threshold_layer": 50.0,
            },
        ),
        Rule(
            "UnchangedTensor",
            "tensor",
            {
                "collection_names": None,
                "tensor_regex": None,
                "num_steps": 3,
                "rtol": 1e-5,
                "atol": 1e-8,
                "equal_nan": False,
            },
        ),
        Rule(
            "WeightUpdateRatio",
            "tensor",
            {"num_steps": None, "large_threshold": 10.0, "small_threshold": 1e-8, "epsilon": 1e-9},
        ),
        Rule(
            "ClassImbalance",
            "tensor",
            {
                "threshold_imbalance": 10.0,
                "threshold_misprediction": 0.7,
                "samples": 500,
                "argmax": False,
                "labels_regex": ".*labels",
                "predictions_regex": ".*predictions",
            },
        ),
        Rule(
            "Confusion",
            "tensor",
            {
                "category_no": None,
                "labels": "labels",
                "predictions": "predictions",
                "labels_collection": "labels",
                "predictions_collection": "predictions",
                "min_diag": 0.9,
                "max_off_diag": 0.1,
            },
        ),
        Rule(
            "BatchSize",
            "profiler",
            {
                "cpu_threshold_p95": 70,
                "gpu_threshold_p95": 70,
                "gpu_memory_threshold_p95": 70,
                "patience": 1000,
                "window": 500,
                **_SCAN,
            },
        ),
        Rule(
            "CPUBottleneck",
            "profiler",
            {"threshold": 50, "gpu_threshold": 10, "cpu_threshold": 90, "patience": 1000, **_SCAN},
        ),
        Rule("Dataloader", "profiler", {"min_threshold": 70, "max_threshold": 200, **_SCAN}),
        Rule("GPUMemoryIncrease", "profiler", {"increase": 5, "patience": 1000, "window": 10, **_SCAN}),
        Rule(
            "IOBottleneck",
            "profiler",
            {"threshold": 50, "gpu_threshold": 10, "io_threshold": 50, "patience": 1000, **_SCAN},
        ),
        Rule("LoadBalancing", "profiler", {"threshold": 0.5, "patience": 1000, **_SCAN}),
        Rule(
            "LowGPUUtilization",
            "profiler",
            {"threshold_p95": 70, "threshold_p5": 10, "window": 500, "patience": 1000, **_SCAN},
        ),
        Rule("MaxInitializationTime", "profiler", {"threshold": 20, **_SCAN}),
        Rule("OverallSystemUsage", "profiler", _SCAN),
        Rule("StepOutlier", "profiler", {"stddev": 3, "mode": None, "n_outliers": 10, **_SCAN}),
        Rule("ProfilerReport", "profiler"),
    )
}


_PROFILER_RULES: Final = tuple(name for name, rule in RULES.items() if rule.kind == "profiler")

_EVERYWHERE: Final = (
    "ExplodingTensor",
    "VanishingGradient",
    "LossNotDecreasing",
    "Overfit",
    "Overtraining",
    "PoorWeightInitialization",
    "UnchangedTensor",
    "AllZero",
    "WeightUpdateRatio",
    "ClassImbalance",
)

DEFAULT_RULES: Final[dict[str, tuple[str, ...]]] = {
    "features": (*_EVERYWHERE, *_PROFILER_RULES),
    "finetune": (*_EVERYWHERE, "DeadRelu", *_PROFILER_RULES),
}
"""By the hyperparameter `mode`."""

_PARAMETERS: Final[dict[str, dict[str, ParameterValue]]] = {
    # Gradients of a head that knows its photos by heart: 1e-16 measured, in good health. Only none at all is wrong.
    "VanishingGradient": {"threshold": 1e-30},
    # Steps are epochs here, and the losses means over all validation photos. A healthy head's rose by 20 % in ten
    # epochs (learning rate 0.1), its accuracy staying; and in long trainings it settles, changing by less than
    # 0.01 % in ten epochs, but not by nothing.
    "LossNotDecreasing": {"mode": "EVAL", "diff_percent": 0.0001, "increase_threshold_percent": 50.0},
    # A healthy head of 678 photos reached 115 at learning rate 0.1.
    "Overfit": {"patience": 3, "ratio_threshold": 150.0},
    # A head is often settled after two epochs of the default 20, and the best epoch is kept anyway.
    "Overtraining": {"patience_validation": 20},
    # SageMaker wants its tensors named. A new head is zero, and so is its bias's gradient where the classes
    # are balanced in a batch.
    "AllZero": {"tensor_regex": "^gradient/.*weight$"},
    # At the end of the cosine, weights of healthy heads changed by less than 1e-5 between saved steps.
    "UnchangedTensor": {"collection_names": "weights", "num_steps": 5, "rtol": 1e-7, "atol": 1e-12},
    # A head begins at zero: the weight of step 50 is 17 times that of step 2.
    "WeightUpdateRatio": {"num_steps": 10},
    # A head after three epochs at learning rate 0.001 missed 75 % of a class of 12 validation photos.
    "ClassImbalance": {"threshold_misprediction": 0.9},
    # Of 5,000 steps of 1 ms on a busy machine, 75 were three deviations above the mean, and one was ten.
    "StepOutlier": {"stddev": 10},
}

DEFAULT_PARAMETERS: Final[dict[str, dict[str, dict[str, ParameterValue]]]] = {
    "features": _PARAMETERS,
    "finetune": {
        **_PARAMETERS,
        # Pretrained networks' variances differ by nature: by 41 in efficientnet_lite0. Their first gradients may be as
        # narrow as the photos are easy, since the head is a trained one, and mostly zero in a 5 x 5 convolution over
        # maps of 2 x 2; and its first loss may be the lowest of ten.
        "PoorWeightInitialization": {"threshold": 10_000.0, "distribution_range": 0.0, "patience": 10},
        # Channels that a few photos leave silent are half of a pretrained layer where its maps are 2 x 2.
        "DeadRelu": {"threshold_layer": 95.0},
    },
}
"""By `mode` and rule: where this project's own default differs from SageMaker's, which suits long trainings of large
networks from nothing."""

BLOCKING_RULES: Final = (
    "ExplodingTensor",
    "LossNotDecreasing",
    "PoorWeightInitialization",
    "VanishingGradient",
    "Overfit",
)
"""Rules that, unless a setting says otherwise, keep a model out of service when they find an issue."""

_ONE_LAYER: Final = "a head on features is one linear layer and has"

NOT_APPLICABLE: Final[dict[str, dict[str, str]]] = {
    "features": {
        "DeadRelu": f"{_ONE_LAYER} no ReLU; train with mode finetune for this rule",
        "SaturatedActivation": f"{_ONE_LAYER} neither tanh nor sigmoid",
        "PoorWeightInitialization": f"{_ONE_LAYER} no activation function whose inputs could be compared; it begins "
        "at zero, so there is no chance in its initialisation",
    },
    "finetune": {},
}
"""By the hyperparameter `mode` and rule: why.

Nobody is asked to evaluate such a rule, for one that finds no tensors may end as an error and so block a good model; it
stands in the results as `NotApplicable` with this detail.
"""


def checked_parameters(rule: str, given: Mapping[str, object]) -> dict[str, ParameterValue]:
    """The given parameters of a rule, each of its default's type.

    Raises:
        ContractError: no such rule, no such parameter of it, or a value of another type; lists the right ones.
    """
    if rule not in RULES:
        raise ContractError(f"there is no debugger rule {rule!r}; known are {', '.join(RULES)}")
    known = RULES[rule].parameters
    checked: dict[str, ParameterValue] = {}
    for name, value in given.items():
        if name not in known:
            allowed = ", ".join(f"{key} (default {default})" for key, default in known.items()) or "none"
            raise ContractError(f"rule {rule} has no parameter {name!r}; it has {allowed}")
        checked[name] = _converted(rule, name, value, known[name])
    return checked


_WHOLE_NUMBERS: Final = ("num_steps", "category_no")
"""Parameters that hold a whole number, also where their default is none."""

_TRAINING_MODES: Final = ("TRAIN", "EVAL", "GLOBAL")


def _converted(rule: str, name: str, value: object, default: ParameterValue) -> ParameterValue:
    text = str(value).strip()
    if default is None and (value is None or text in ("", "None")):
        return None
    if name == "mode" and text not in _TRAINING_MODES:
        raise ContractError(f"parameter mode={value!r} of rule {rule} is wrong; give {', '.join(_TRAINING_MODES)}")
    if name.endswith("regex"):
        _compiled(rule, name, text)
    try:
        if name in _WHOLE_NUMBERS:
            return int(text)
        if isinstance(default, bool):
            return {"true": True, "false": False}[text.lower()]
        if isinstance(default, int):
            return int(text)
        if isinstance(default, float):
            return float(text)
    except (ValueError, KeyError):
        if isinstance(default, bool):
            expected = "true or false"
        elif default is None or isinstance(default, int):
            expected = f"a whole number such as {10 if default is None else default}"
        else:
            expected = f"a number such as {default}"
        raise ContractError(f"parameter {name}={value!r} of rule {rule} is wrong; give {expected}") from None
    return text


def _compiled(rule: str, name: str, text: str) -> None:
    try:
        re.compile(text)
    except re.error as error:
        raise ContractError(
            f"parameter {name}={text!r} of rule {rule} is no regular expression: {error}; give one such as '.*weight'"
        ) from None
