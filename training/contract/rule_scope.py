"""Rules that cannot apply to a training, whoever would evaluate them."""

from __future__ import annotations

from typing import Final

__all__ = ["NOT_APPLICABLE"]

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
