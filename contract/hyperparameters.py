"""The hyperparameters of the jobs: names, defaults, limits, and the ranges that a tuning job searches."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from contract.class_weights import CLASS_WEIGHTS

__all__ = [
    "ALSO_SEARCHED",
    "BACKBONE_PATTERN",
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
    "check_backbones",
    "default_of",
    "parameter_ranges",
]

LEARNING_RATE_LIMITS: Final = (0.001, 0.1)
"""Range in which the tuning job searches the learning rate by default."""

BATCH_SIZES: Final = (16, 32, 64, 128, 256, 512)
"""Batch sizes among which the tuning job chooses by default."""

BATCH_SIZE_LIMITS: Final = (1, 4096)
"""Smallest and largest batch size that a job accepts."""

LEARNING_RATE_BOUNDS: Final = (1e-6, 10.0)
"""Smallest and largest learning rate that a job accepts."""

MODES: Final = ("features", "finetune")
"""What is trained: only a head, on the features of the frozen backbone, or the backbone as well."""

BACKBONE_PATTERN: Final = r"^(timm/)?[a-z][a-z0-9_]{0,63}(\.[A-Za-z0-9_]{1,63})?$"
"""A backbone's name: timm's have a prefix, and the tag of the weights may follow after a dot."""

_MAX_ENVIRONMENT_VALUE: Final = 512
"""Longest value of a training job's environment variable (API reference, CreateTrainingJob: Environment)."""

ScalingType = Literal["Auto", "Linear", "Logarithmic", "ReverseLogarithmic"]

ALSO_SEARCHED: Final[dict[str, tuple[float, float, ScalingType]]] = {
    "weight_decay": (1e-6, 0.1, "Logarithmic"),
    "label_smoothing": (0.0, 0.3, "Linear"),
}
"""Hyperparameters that the setting tuning.search_<name> adds to the search, with their ranges and scales."""


class ContractError(ValueError):
    """A value breaks the contract. The message names the value, what was expected, and what to do."""


def declared(
    default: Any,
    meaning: str,
    *,
    finetune_default: Any = None,
    within: tuple[float, float] | None = None,
    augments: bool = False,
    finetune_only: bool = False,
    tuned: bool = False,
    deployed: bool = False,
) -> Any:
    """Declare a hyperparameter: the one place from which settings, run overrides, documentation and jobs take it.

    Args:
        default: The default value, whose type is the hyperparameter's.
        meaning: A phrase for users: the setting's description.
        finetune_default: The default value with `mode=finetune`, where it is another one.
        within: The smallest and the largest value allowed, where it is a number with limits.
        augments: Whether it changes the random views of a photo, so that features made with another value are not
            reused.
        finetune_only: Whether a value other than the default of `mode=features` needs `mode=finetune`.
        tuned: Whether the tuning job chooses the value.
        deployed: Whether only a deployment can change the value, since the state machine depends on it.
    """
    by_mode = finetune_default is not None
    metadata = {
        "default": default,
        "finetune_default": finetune_default if by_mode else default,
        "meaning": f"{meaning} When fine-tuning, {finetune_default} unless set." if by_mode else meaning,
        "within": within,
        "augments": augments,
        "finetune_only": finetune_only,
        "tuned": tuned,
        "deployed": deployed,
    }
    # None stands for the default of the mode, which only the whole object knows
    return dataclasses.field(default=None if by_mode else default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """All hyperparameters of a job, with their defaults.

    SageMaker carries hyperparameters as text: `to_strings` writes it, `from_strings` parses it.
    """

    backbone: str = declared(
        "resnet50",
        "Backbone: a classifier of torchvision, timm/ and one of timm, or efficientnet_lite0 to 2; after a dot, the "
        "tag of its weights, such as resnet50.IMAGENET1K_V2.",
    )
    image_size: int = declared(224, "Side of the square crop that the network sees, in pixels.", within=(32, 1024))
    views: int = declared(4, "Augmented views of each training photo, in addition to the plain one.", within=(0, 64))
    flip: bool = declared(
        True, "Mirror augmented views at random; switch off for digits, text, left-or-right.", augments=True
    )
    epochs: int = declared(20, "Epochs of the training with the best values.", within=(1, 1000))
    learning_rate: float = declared(0.01, "Learning rate of the head.", within=LEARNING_RATE_BOUNDS, tuned=True)
    batch_size: int = declared(64, "Photos in a training step.", within=BATCH_SIZE_LIMITS, tuned=True)
    weight_decay: float = declared(1e-4, "Decoupled weight decay (as in AdamW).", within=(0, 1))
    label_smoothing: float = declared(
        0.0, "Label smoothing of the cross-entropy loss; 0: none.", finetune_default=0.1, within=(0, 0.5)
    )
    class_weights: str = declared(
        "auto",
        "Weights of the classes in the loss: balanced, none, or auto: balanced where the most frequent class has at "
        "least 5 times the training photos of the least frequent.",
    )
    seed: int = declared(0, "Seed of all random numbers: the same seed gives the same result.", within=(0, 2**32 - 1))
    quantize: bool = declared(
        True, "Serve the model in 8-bit integers where that costs at most half a point of accuracy."
    )
    average_mirrored: bool = declared(
        False,
        "Serve the average over each photo and its mirror image (test-time augmentation), which takes twice the time; "
        "every run measures what it brings.",
    )
    mode: str = declared(
        "features", "Train a head on the frozen backbone's features, or fine-tune the backbone as well.", deployed=True
    )
    unfreeze_from: str = declared(
        "",
        "Fine-tuning: the first stage of the backbone that is trained, such as layer4; empty: the whole backbone.",
        finetune_only=True,
    )
    backbone_rate: float = declared(
        0.1, "Fine-tuning: learning rate of the backbone, as a share of the head's.", within=(0, 1)
    )
    warmup_epochs: float = declared(
        1.0, "Fine-tuning: epochs in which the learning rate rises from zero to its full value.", within=(0, 1000)
    )
    ema: float = declared(
        0.0,
        "Fine-tuning: largest decay of the moving average of the weights; a short training has a smaller one; 0: none.",
        finetune_default=0.9998,
        within=(0, 0.99999),
        finetune_only=True,
    )
    mixup: float = declared(
        0.0, "Fine-tuning: mixup's alpha; 0: no mixup.", finetune_default=0.2, within=(0, 10), finetune_only=True
    )
    cutmix: float = declared(0.0, "Fine-tuning: CutMix's alpha; 0: no CutMix.", within=(0, 10), finetune_only=True)
    randaugment: int = declared(
        0, "Fine-tuning: magnitude of RandAugment, from 1 to 30; 0: no RandAugment.", within=(0, 30), finetune_only=True
    )

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ContractError(f"hyperparameter mode={self.mode!r} is not known; give one of {', '.join(MODES)}")

        for name in DECLARED:
            if getattr(self, name) is None:
                object.__setattr__(self, name, default_of(name, mode=self.mode))  # as the frozen class's own __init__

        if self.class_weights not in CLASS_WEIGHTS:
            raise ContractError(
                f"hyperparameter class_weights={self.class_weights!r} is not known; "
                f"give one of {', '.join(CLASS_WEIGHTS)}"
            )

        for name, field in DECLARED.items():
            value, (low, high) = getattr(self, name), field.metadata["within"] or (None, None)
            if low is not None and not low <= value <= high:
                raise ContractError(f"hyperparameter {name}={value} is outside {low} to {high}; keep it in that range")

        if not re.fullmatch(BACKBONE_PATTERN, self.backbone):
            raise ContractError(
                f"hyperparameter backbone={self.backbone!r} is not a model's name; give a name in lower case such as "
                "resnet50, resnet50.IMAGENET1K_V2, timm/convnext_tiny.fb_in22k or efficientnet_lite0"
            )

        if not re.fullmatch(r"(\w+(\.\w+)*)?", self.unfreeze_from, re.ASCII):
            raise ContractError(
                f"hyperparameter unfreeze_from={self.unfreeze_from!r} is not a stage's name; "
                "give a dotted name such as layer4 or features.7, or nothing for the whole network"
            )

        if self.average_mirrored and not self.flip:
            raise ContractError(
                "hyperparameter average_mirrored=True contradicts flip=False, which says that mirror images mean "
                "something else (digits, text, left or right); leave average_mirrored out, or set flip=true"
            )

        # A value without effect would mislead whoever set it.
        if self.mode != "finetune":
            for name in FINETUNE_ONLY:
                if getattr(self, name):
                    raise ContractError(
                        f"hyperparameter {name}={getattr(self, name)} has no effect with mode={self.mode}; "
                        f"leave {name} out, or deploy with the setting training.mode=finetune"
                    )

    def to_strings(self) -> dict[str, str]:
        """Return SageMaker's `HyperParameters`: every value as text."""
        return {name: str(value) for name, value in dataclasses.asdict(self).items()}

    @classmethod
    def from_strings(cls, given: Mapping[str, str]) -> Hyperparameters:
        """Parse SageMaker's `HyperParameters`.

        SageMaker's own names (`sagemaker_…`, `_tuning_…`) are ignored. Any other unknown name is an error, because a
        misspelt hyperparameter would otherwise train with the default, unnoticed.

        Raises:
            ContractError: a name is unknown, or a value has the wrong type or is outside its limits.
        """
        fields: dict[str, type[Any]] = {name: type(field.metadata["default"]) for name, field in DECLARED.items()}
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
                    f"hyperparameter {name}={text!r} is not of type {fields[name].__name__}; "
                    f"give a value such as {DECLARED[name].metadata['default']}"
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
OVERRIDABLE: Final = tuple(
    name for name, field in DECLARED.items() if not (field.metadata["tuned"] or field.metadata["deployed"])
)
"""Hyperparameters that an execution's input may set; the tuning job or the deployment decides on the others."""


def check_backbones(backbones: Sequence[str], *, trials: int, unfreeze_from: str) -> None:
    """Check that the search can choose among these backbones; none: there is nothing to choose.

    Args:
        backbones: The setting tuning.backbones.
        trials: Trials of the search.
        unfreeze_from: The hyperparameter.

    Raises:
        ContractError: a name is no backbone's or stands there twice, or they do not go with the other values.
    """
    for name in backbones:
        Hyperparameters(backbone=name)
    if twice := sorted({name for name in backbones if backbones.count(name) > 1}):
        raise ContractError(f"tuning.backbones names {', '.join(twice)} twice; name each backbone once")
    if len(",".join(backbones)) > _MAX_ENVIRONMENT_VALUE:
        raise ContractError(
            f"tuning.backbones has names of more than {_MAX_ENVIRONMENT_VALUE} characters together, which a job cannot "
            "be given; name fewer backbones"
        )
    if trials < len(backbones):
        raise ContractError(
            f"{trials} trials are fewer than the {len(backbones)} backbones of tuning.backbones, some of which would "
            "never be tried; raise tuning.trials or name fewer backbones"
        )
    if backbones and unfreeze_from:
        raise ContractError(
            f"unfreeze_from={unfreeze_from} names a stage of one network, and the search chooses among several; "
            "leave out unfreeze_from or tuning.backbones"
        )


def default_of(name: str, *, mode: str) -> Any:
    """Return the default value of a hyperparameter in a mode."""
    return DECLARED[name].metadata["finetune_default" if mode == "finetune" else "default"]


def parameter_ranges(
    *,
    learning_rate: tuple[float, float] = LEARNING_RATE_LIMITS,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    scaling: ScalingType = "Logarithmic",
    also: Sequence[str] = (),
    backbones: Sequence[str] = (),
) -> dict[str, list[dict[str, Any]]]:
    """Return the tuning job's `ParameterRanges`, under the names that the trials parse.

    Beside learning rate and batch size, the hyperparameters of `ALSO_SEARCHED` that `also` names are searched, and the
    backbone where `backbones` names any.
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
        "CategoricalParameterRanges": [
            {"Name": "batch_size", "Values": [str(size) for size in batch_sizes]},
            *([{"Name": "backbone", "Values": list(backbones)}] if backbones else []),
        ],
    }
