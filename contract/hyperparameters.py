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
    "DECLARED",
    "FINETUNE_ONLY",
    "LEARNING_RATE_BOUNDS",
    "LEARNING_RATE_LIMITS",
    "MODES",
    "OVERRIDABLE",
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


def declared(
    default: Any,
    meaning: str,
    *,
    within: tuple[float, float] | None = None,
    finetune_only: bool = False,
    tuned: bool = False,
) -> Any:
    """A hyperparameter, said once: settings, run overrides, README and jobs all read it here."""
    said = {"meaning": meaning, "within": within, "finetune_only": finetune_only, "tuned": tuned}
    return dataclasses.field(default=default, metadata=said)


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """Every hyperparameter a job takes, with its default.

    SageMaker carries hyperparameters as strings: `to_strings` writes them, `from_strings` reads them back.
    """

    backbone: str = declared(
        "resnet50", "Backbone by name: any classifier of torchvision, or another such as efficientnet_lite0."
    )
    image_size: int = declared(224, "Side of the crop the network sees, in pixels.", within=(32, 1024))
    views: int = declared(4, "Augmented views of each training photo beside the plain one.", within=(0, 64))
    flip: bool = declared(True, "Mirror augmented views; switch off for digits, text, left-or-right.")
    epochs: int = declared(20, "Epochs of the best trial's training.", within=(1, 1000))
    learning_rate: float = declared(0.01, "Of the head.", within=LEARNING_RATE_BOUNDS, tuned=True)
    batch_size: int = declared(64, "Photos of an optimiser step.", within=BATCH_SIZE_LIMITS, tuned=True)
    weight_decay: float = declared(1e-4, "Decoupled weight decay (AdamW).", within=(0, 1))
    label_smoothing: float = declared(0.0, "Of the cross-entropy loss.", within=(0, 0.5))
    seed: int = declared(0, "The same seed gives the same result.", within=(0, 2**32 - 1))
    quantize: bool = declared(
        True, "Serve the model in 8-bit integers where that costs at most half a point of accuracy."
    )
    mode: str = declared("features", "Train a head on the frozen backbone's features, or fine-tune the backbone, too.")
    unfreeze_from: str = declared(
        "",
        "Fine-tuning: first stage of the backbone that is trained, such as layer4; empty: all of it.",
        finetune_only=True,
    )
    backbone_rate: float = declared(
        0.1, "Fine-tuning: the backbone's learning rate relative to the head's.", within=(0, 1)
    )
    warmup_epochs: float = declared(
        1.0, "Fine-tuning: epochs over which the learning rate rises from zero.", within=(0, 1000)
    )
    ema: float = declared(
        0.0, "Fine-tuning: decay of the weights' moving average; 0: none.", within=(0, 0.99999), finetune_only=True
    )
    mixup: float = declared(0.0, "Fine-tuning: alpha of mixup; 0: none.", within=(0, 10), finetune_only=True)
    cutmix: float = declared(0.0, "Fine-tuning: alpha of CutMix; 0: none.", within=(0, 10), finetune_only=True)
    randaugment: int = declared(
        0, "Fine-tuning: magnitude of RandAugment, of 30; 0: none.", within=(0, 30), finetune_only=True
    )

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ContractError(f"hyperparameter mode={self.mode!r} is not known; give one of {', '.join(MODES)}")
        for name, field in DECLARED.items():
            value, (low, high) = getattr(self, name), field.metadata["within"] or (None, None)
            if low is not None and not low <= value <= high:
                raise ContractError(f"hyperparameter {name}={value} is outside {low} to {high}; keep it in that range")
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", self.backbone):
            raise ContractError(
                f"hyperparameter backbone={self.backbone!r} is not a model's name; "
                "give a name in lower case such as resnet50 or efficientnet_lite0"
            )
        if not re.fullmatch(r"(\w+(\.\w+)*)?", self.unfreeze_from, re.ASCII):
            raise ContractError(
                f"hyperparameter unfreeze_from={self.unfreeze_from!r} is not a stage's name; "
                "give a dotted name such as layer4 or features.7, or nothing for the whole network"
            )
        if self.mode != "finetune":
            for name in FINETUNE_ONLY:
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


DECLARED: Final = {field.name: field for field in dataclasses.fields(Hyperparameters)}
FINETUNE_ONLY: Final = tuple(name for name, field in DECLARED.items() if field.metadata["finetune_only"])
OVERRIDABLE: Final = tuple(name for name, field in DECLARED.items() if not field.metadata["tuned"])
"""What an execution's input may set by itself; the tuning job chooses the others."""


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
