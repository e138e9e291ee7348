"""The settings of the jobs: features, tuning, and the best-trial training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

import contract
from infra.settings_section import InstanceType, Section, hyperparameter

__all__ = ["FeaturesSettings", "TrainingSettings", "TuningSettings"]


class TuningSettings(Section):
    """The search for the best hyperparameters."""

    trials: int = Field(default=8, ge=1, le=750, description="Training jobs of the tuning job.")
    parallel_trials: int = Field(default=2, ge=1, le=100, description="Trials at the same time.")
    strategy: Literal["Bayesian", "Random"] = Field(default="Bayesian", description="How the next trial is chosen.")
    epochs: int = Field(default=5, ge=1, le=1000, description="Epochs of a trial.")
    learning_rate_min: float = Field(
        default=contract.LEARNING_RATE_LIMITS[0], ge=1e-6, le=10, description="Smallest learning rate tried."
    )
    learning_rate_max: float = Field(
        default=contract.LEARNING_RATE_LIMITS[1], ge=1e-6, le=10, description="Largest learning rate tried."
    )
    learning_rate_scale: Literal["Logarithmic", "Linear"] = Field(
        default="Logarithmic", description="Scale on which learning rates are drawn."
    )
    batch_sizes: tuple[Annotated[int, Field(ge=1, le=contract.BATCH_SIZE_LIMITS[1])], ...] = Field(
        default=contract.BATCH_SIZES, min_length=1, max_length=30, description="Batch sizes to choose from."
    )
    search_weight_decay: bool = Field(
        default=False,
        description="Search the weight decay too (0.000001 to 0.1), not take training.weight_decay.",
    )
    search_label_smoothing: bool = Field(
        default=False,
        description="Search the label smoothing too (0 to 0.3), not take training.label_smoothing.",
    )
    objective: contract.ObjectiveName = Field(
        default="accuracy", description="What the best trial is best in, on the validation photos: accuracy or loss."
    )
    warm_start: bool = Field(
        default=False,
        description="Begin the search with what the newest tuning job that fits has found.",
    )
    early_stopping: bool = Field(default=True, description="Let SageMaker stop trials that will not win.")
    instance_type: InstanceType = Field(default="ml.c5.xlarge", description="Machine of a trial.")
    max_minutes: int = Field(default=60, ge=5, le=7200, description="Time limit of one trial.")

    @property
    def also_searched(self) -> tuple[str, ...]:
        """Hyperparameters that are searched beside learning rate and batch size."""
        return tuple(name for name in contract.ALSO_SEARCHED if getattr(self, f"search_{name}"))

    @field_validator("batch_sizes", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: object) -> object:
        """`-c tuning.batch_sizes=32` is a list of one."""
        return [value] if isinstance(value, str | int) else value

    @model_validator(mode="after")
    def _ordered(self) -> TuningSettings:
        if self.learning_rate_min >= self.learning_rate_max:
            raise ValueError(
                f"learning_rate_min={self.learning_rate_min} must be below learning_rate_max={self.learning_rate_max}"
            )
        if self.parallel_trials > self.trials:
            raise ValueError(f"parallel_trials={self.parallel_trials} must not exceed trials={self.trials}")
        return self


class FeaturesSettings(Section):
    """The features job."""

    instance_count: int = Field(
        default=1, ge=1, le=100, description="Machines that share the photos of the features job among them."
    )


class TrainingSettings(Section):
    """The network and the best-trial training."""

    mode: Literal["features", "finetune"] = hyperparameter("mode")
    backbone: str = hyperparameter("backbone", pattern=r"^[a-z][a-z0-9_]{0,63}$")
    weights: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9._/-]+$",
        description="Key of a file with pretrained weights in the data bucket; empty: from the hub.",
    )
    image_size: int = hyperparameter("image_size")
    views: int = hyperparameter("views")
    flip: bool = hyperparameter("flip")
    epochs: int = hyperparameter("epochs")
    weight_decay: float = hyperparameter("weight_decay")
    label_smoothing: float = hyperparameter("label_smoothing")
    seed: int = hyperparameter("seed")
    quantize: bool = hyperparameter("quantize")
    unfreeze_from: str | None = hyperparameter(
        "unfreeze_from", default=None, pattern=r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$"
    )
    backbone_rate: float = hyperparameter("backbone_rate")
    warmup_epochs: float = hyperparameter("warmup_epochs")
    ema: float = hyperparameter("ema")
    mixup: float = hyperparameter("mixup")
    cutmix: float = hyperparameter("cutmix")
    randaugment: int = hyperparameter("randaugment")
    instance_type: InstanceType = Field(
        default="ml.c5.2xlarge", description="Machine of the features job, the training and fine-tuning trials."
    )
    instance_count: int = Field(
        default=1, ge=1, le=32, description="Fine-tuning: machines of the best trial's training; a batch is shared."
    )
    spot: bool = Field(
        default=False,
        description="Train (and try fine-tuning) on spot instances: cheaper, and resumed when interrupted.",
    )
    volume_gib: int = Field(default=50, ge=1, le=16_384, description="Disk of a job, in GiB.")
    max_minutes: int = Field(
        default=240, ge=5, le=7200, description="Time limit of the features job and of the training."
    )

    @model_validator(mode="after")
    def _of_the_mode(self) -> TrainingSettings:
        if self.mode == "finetune":
            return self
        for name in contract.FINETUNE_ONLY:
            if getattr(self, name):
                raise ValueError(f"{name}={getattr(self, name)} has no effect with mode=features; set mode=finetune")
        if self.instance_count > 1:
            raise ValueError(
                f"instance_count={self.instance_count} has no effect with mode=features, where a head trains in "
                "seconds; set mode=finetune, or features.instance_count to share the embedding"
            )
        return self
