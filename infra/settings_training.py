"""The settings of the jobs: features, tuning, and the best-trial training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from infra.settings_section import InstanceType, Section
from training import contract

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

    mode: Literal["features", "finetune"] = Field(
        default="features",
        description="Train a head on the frozen backbone's features, or fine-tune the backbone, too.",
    )
    backbone: str = Field(
        default="resnet50",
        pattern=r"^[a-z][a-z0-9_]{0,63}$",
        description="A torchvision classifier by name, or efficientnet_lite0.",
    )
    weights: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9._/-]+$",
        description="Key of a file with pretrained weights in the data bucket; empty: from the hub.",
    )
    image_size: int = Field(default=224, ge=32, le=1024, description="Side of the crop the network sees, in pixels.")
    views: int = Field(
        default=4, ge=0, le=64, description="Augmented views of each training photo beside the plain one."
    )
    flip: bool = Field(default=True, description="Mirror augmented views; switch off for digits, text, left-or-right.")
    epochs: int = Field(default=20, ge=1, le=1000, description="Epochs of the best trial's training.")
    weight_decay: float = Field(default=1e-4, ge=0, le=1, description="Decoupled weight decay (AdamW).")
    label_smoothing: float = Field(default=0.0, ge=0, le=0.5, description="Of the cross-entropy loss.")
    seed: int = Field(default=0, ge=0, le=2**32 - 1, description="The same seed gives the same result.")
    quantize: bool = Field(
        default=True, description="Serve the model in 8-bit integers where that costs at most half a point of accuracy."
    )
    unfreeze_from: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$",
        description="Fine-tuning: first stage of the backbone that is trained, such as layer4; empty: all of it.",
    )
    backbone_rate: float = Field(
        default=0.1, ge=0, le=1, description="Fine-tuning: the backbone's learning rate relative to the head's."
    )
    warmup_epochs: float = Field(
        default=1.0, ge=0, le=1000, description="Fine-tuning: epochs over which the learning rate rises from zero."
    )
    ema: float = Field(
        default=0.0, ge=0, le=0.99999, description="Fine-tuning: decay of the weights' moving average; 0: none."
    )
    mixup: float = Field(default=0.0, ge=0, le=10, description="Fine-tuning: alpha of mixup; 0: none.")
    cutmix: float = Field(default=0.0, ge=0, le=10, description="Fine-tuning: alpha of CutMix; 0: none.")
    randaugment: int = Field(
        default=0, ge=0, le=30, description="Fine-tuning: magnitude of RandAugment, of 30; 0: none."
    )
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
        for name in ("unfreeze_from", "ema", "mixup", "cutmix", "randaugment"):
            if getattr(self, name):
                raise ValueError(f"{name}={getattr(self, name)} has no effect with mode=features; set mode=finetune")
        if self.instance_count > 1:
            raise ValueError(
                f"instance_count={self.instance_count} has no effect with mode=features, where a head trains in "
                "seconds; set mode=finetune, or features.instance_count to share the embedding"
            )
        return self
