"""Every hyperparameter a job takes, its limits, and what a tuning job searches."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

__all__ = [
    "ALSO_SEARCHED",
    "BATCH_SIZES",
    "BATCH_SIZE_LIMITS",
    "LEARNING_RATE_BOUNDS",
    "LEARNING_RATE_LIMITS",
    "MODES",
    "ContractError",
    "Hyperparameters",
    "ScalingType",
    "parameter_ranges",
]

LEARNING_RATE_LIMITS: Final = (0.001, 0.1)
"""The seed's search space for the learning rate."""

BATCH_SIZES: Final = (16, 32, 64, 128, 256, 512)
"""The seed's search space for the batch size: the powers of two from 16 to 512."""

BATCH_SIZE_LIMITS: Final = (1, 4096)
LEARNING_RATE_BOUNDS: Final = (1e-6, 10.0)

MODES: Final = ("features", "finetune")
"""What is trained: a head on the frozen backbone's features, or the backbone too."""

ScalingType = Literal["Auto", "Linear", "Logarithmic", "ReverseLogarithmic"]

ALSO_SEARCHED: Final[dict[str, tuple[float, float, ScalingType]]] = {
    "weight_decay": (1e-6, 0.1, "Logarithmic"),
    "label_smoothing": (0.0, 0.3, "Linear"),
}
"""Hyperparameters that a setting adds to the search, with their ranges and scales."""


class ContractError(ValueError):
    """A value broke the contract; the message names it, what was expected and what to do."""


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """Every hyperparameter a job takes, with its default.

    SageMaker carries hyperparameters as strings: `to_strings` writes them, `from_strings` reads them back.
    """

    backbone: str = "resnet50"
    """A torchvision classifier by its builder's name, or `efficientnet_lite0`."""
    image_size: int = 224
    """Side of the square crop the backbone sees, in pixels."""
    views: int = 4
    """Augmented views of every training image whose features are kept, beside the plain centre crop."""
    flip: bool = True
    """Whether augmented views may be mirrored: right for things, wrong for digits, text and left-or-right."""
    epochs: int = 20
    learning_rate: float = 0.01
    batch_size: int = 64
    weight_decay: float = 1e-4
    label_smoothing: float = 0.0
    seed: int = 0
    quantize: bool = True
    """Whether an int8 model is made, which is served if it is as good as the float32 one."""
    mode: str = "features"
    """`features`: a head on the frozen backbone's features; `finetune`: the backbone is trained too (`MODES`)."""
    unfreeze_from: str = ""
    """Fine-tuning: dotted name of the first stage of the backbone that is trained; empty for the whole network."""
    backbone_rate: float = 0.1
    """Fine-tuning: learning rate of the deepest backbone stage relative to the head's; earlier ones are lower still."""
    warmup_epochs: float = 1.0
    """Fine-tuning: epochs over which the learning rate rises from zero, at most half of all."""
    ema: float = 0.0
    """Fine-tuning: decay of the moving average of the weights, which is then what is evaluated; 0 for none."""
    mixup: float = 0.0
    """Fine-tuning: alpha of mixup's Beta distribution; 0 for none."""
    cutmix: float = 0.0
    """Fine-tuning: alpha of CutMix's Beta distribution; 0 for none. With mixup too, each batch takes one of them."""
    randaugment: int = 0
    """Fine-tuning: magnitude of RandAugment's two operations, of 30; 0 for none."""

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ContractError(f"hyperparameter mode={self.mode!r} is not known; give one of {', '.join(MODES)}")
        for name, (low, high) in _LIMITS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ContractError(f"hyperparameter {name}={value} is outside {low} to {high}; keep it in that range")
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", self.backbone):
            raise ContractError(
                f"hyperparameter backbone={self.backbone!r} is not a model's name; "
                "give a torchvision classifier's builder such as resnet50, or efficientnet_lite0"
            )
        if not re.fullmatch(r"(\w+(\.\w+)*)?", self.unfreeze_from, re.ASCII):
            raise ContractError(
                f"hyperparameter unfreeze_from={self.unfreeze_from!r} is not a stage's name; "
                "give a dotted name such as layer4 or features.7, or nothing for the whole network"
            )
        if self.mode != "finetune":
            for name in ("unfreeze_from", "ema", "mixup", "cutmix", "randaugment"):
                if getattr(self, name):
                    raise ContractError(
                        f"hyperparameter {name}={getattr(self, name)} has no effect with mode={self.mode}; "
                        "set mode to finetune, or leave it out"
                    )

    def to_strings(self) -> dict[str, str]:
        """As SageMaker's `HyperParameters`: every value a string."""
        return {name: str(value) for name, value in dataclasses.asdict(self).items()}

    @classmethod
    def from_strings(cls, given: Mapping[str, str]) -> Hyperparameters:
        """Parse SageMaker's `HyperParameters`.

        Names of SageMaker's own (`sagemaker_…`, `_tuning_…`) are passed over; any other unknown name is an error,
        since a misspelt hyperparameter would otherwise train with the default unnoticed.

        Raises:
            ContractError: an unknown name, or a value of the wrong type or outside its limits.
        """
        fields: dict[str, type[Any]] = {field.name: type(field.default) for field in dataclasses.fields(cls)}
        values: dict[str, Any] = {}
        for name, text in given.items():
            if name.startswith(("sagemaker_", "_tuning_")):
                continue
            if name not in fields:
                raise ContractError(f"unknown hyperparameter {name!r}; known are {', '.join(sorted(fields))}")
            try:
                values[name] = _parsed(str(text).strip('"'), fields[name])
            except ValueError:
                raise ContractError(
                    f"hyperparameter {name}={text!r} is not of type {fields[name].__name__}; give such a value"
                ) from None
        return cls(**values)


def _parsed(text: str, kind: type) -> Any:
    if kind is not bool:
        return kind(text)
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


_LIMITS: Final[dict[str, tuple[float, float]]] = {
    "image_size": (32, 1024),
    "views": (0, 64),
    "epochs": (1, 1000),
    "learning_rate": LEARNING_RATE_BOUNDS,
    "batch_size": BATCH_SIZE_LIMITS,
    "weight_decay": (0.0, 1.0),
    "label_smoothing": (0.0, 0.5),
    "seed": (0, 2**32 - 1),
    "backbone_rate": (0.0, 1.0),
    "warmup_epochs": (0.0, 1000.0),
    "ema": (0.0, 0.99999),
    "mixup": (0.0, 10.0),
    "cutmix": (0.0, 10.0),
    "randaugment": (0, 30),
}


def parameter_ranges(
    *,
    learning_rate: tuple[float, float] = LEARNING_RATE_LIMITS,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    scaling: ScalingType = "Logarithmic",
    also: Sequence[str] = (),
) -> dict[str, list[dict[str, Any]]]:
    """SageMaker's `ParameterRanges` of the tuning job: what is searched, under the names the trials parse.

    `also` names hyperparameters of `ALSO_SEARCHED` that are searched beside the two.
    """
    continuous = [("learning_rate", *learning_rate, scaling), *((name, *ALSO_SEARCHED[name]) for name in also)]
    return {
        "ContinuousParameterRanges": [
            {
                "Name": name,
                "MinValue": repr(float(low)),
                "MaxValue": repr(float(high)),
                "ScalingType": scale,
            }
            for name, low, high, scale in continuous
        ],
        "CategoricalParameterRanges": [{"Name": "batch_size", "Values": [str(size) for size in batch_sizes]}],
    }
