"""Which of the debugger's rules are used here, with which parameters, and which of them keep a model out of service.

The parameters were measured with digits (4,000) and clothing10 (1,172 photos) over the search space, learning rates
0.001 to 0.1 and batches of 16 to 512, with 3 and 20 epochs, and with fine-tunings: docs/debugger.md.
"""

from __future__ import annotations

from typing import Final

from training.contract.rules import RULES, ParameterValue

__all__ = ["BLOCKING_RULES", "DEFAULT_PARAMETERS", "DEFAULT_RULES"]

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
