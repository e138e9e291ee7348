"""Every setting a user may change: typed, limited, documented; read from cdk.json and `-c` overrides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from infra.instances import gpus
from infra.settings_context import SettingsError, from_context
from infra.settings_debugger import DebuggerSettings
from infra.settings_section import InstanceType, Section
from training import contract

__all__ = [
    "ApiSettings",
    "DebuggerSettings",
    "ReleaseSettings",
    "Settings",
    "SettingsError",
    "TrainingSettings",
    "TuningSettings",
]


class DatasetSettings(Section):
    """The photos and the bucket they lie in."""

    bucket: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
        description="Name of an existing bucket with the photos; empty: the stack makes one.",
    )
    prefix: str = Field(
        default="dataset/",
        pattern=r"^([A-Za-z0-9._-]+/)+$",
        description="Key prefix of the photos' class folders, with a slash at its end.",
    )
    min_images_per_class: int = Field(
        default=5, ge=3, le=10_000, description="A class with fewer photos than this stops the run."
    )
    input_mode: Literal["File", "FastFile"] = Field(
        default="File",
        description="How a job gets the photos: copied to its disk before it starts, or read from S3 as it goes "
        "(FastFile, for data sets larger than the disk).",
    )
    keep_at_destroy: bool = Field(
        default=True, description="Keep the bucket and the photos when the stack is destroyed."
    )
    noncurrent_days: int = Field(
        default=30, ge=1, le=3650, description="Days an overwritten or deleted object can be brought back."
    )


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


class ReleaseSettings(Section):
    """When a model goes into service, and what it runs on."""

    min_accuracy: float = Field(default=0.7, ge=0, le=1, description="Floor of the test accuracy; below it no release.")
    min_class_recall: float = Field(
        default=0.2, ge=0, le=1, description="Floor of the worst class's recall; below it no release."
    )
    tolerance: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="How much worse than the model in service a new one may be, on the same photos.",
    )
    significance: float = Field(
        default=0.05,
        ge=0.000001,
        le=1,
        description="A model that is worse by more than the tolerance is kept out where chance does that less often "
        "than this (McNemar's test).",
    )
    approval: Literal["automatic", "manual"] = Field(
        default="automatic",
        description="Whether a model that passed every check goes into service by itself, or a person is asked first.",
    )
    approval_hours: int = Field(
        default=24, ge=1, le=720, description="How long the person may take; afterwards the model is rejected."
    )
    instance_type: InstanceType = Field(default="ml.m5.large", description="Machine of the endpoint.")
    instance_count: int = Field(default=1, ge=1, le=100, description="Machines of the endpoint.")
    image_uri: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9./:@_-]+$",
        description="Another serving image; empty: the stack builds its own.",
    )


class ApiSettings(Section):
    """What an API key may do."""

    rate: float = Field(
        default=10, gt=0, le=10_000, description="Requests a second an API key may make, in the long run."
    )
    burst: int = Field(default=20, ge=1, le=5_000, description="Requests an API key may make at once.")
    daily_quota: int = Field(default=10_000, ge=1, le=1_000_000_000, description="Requests a day an API key may make.")


class NotificationSettings(Section):
    """Who hears how the runs end."""

    email: str | None = Field(
        default=None,
        pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$",
        description="Where runs' results are mailed; empty: to nobody.",
    )


class Settings(Section):
    """The settings of one environment."""

    env: str = Field(default="dev", pattern=r"^[a-z][a-z0-9]{0,7}$", description="Environment; part of every name.")
    dataset: DatasetSettings = DatasetSettings()
    features: FeaturesSettings = FeaturesSettings()
    tuning: TuningSettings = TuningSettings()
    training: TrainingSettings = TrainingSettings()
    debugger: DebuggerSettings = DebuggerSettings()
    release: ReleaseSettings = ReleaseSettings()
    api: ApiSettings = ApiSettings()
    notifications: NotificationSettings = NotificationSettings()

    @model_validator(mode="after")
    def _warm_start_fits(self) -> Settings:
        if self.tuning.warm_start and self.training.mode == "finetune":
            raise ValueError(
                "tuning.warm_start=true has no effect with training.mode=finetune: only trials on features are "
                "compared with earlier ones; switch one of them off"
            )
        return self

    @model_validator(mode="after")
    def _rules_are_evaluated(self) -> Settings:
        self.debugger.check_mode(self.training.mode)
        return self

    @model_validator(mode="after")
    def _batches_can_be_shared(self) -> Settings:
        """A batch is shared evenly by the processes of a fine-tuning: one a GPU, or one a machine without any."""
        training = self.training
        processes = max(1, gpus(training.instance_type)) * training.instance_count
        uneven = [size for size in self.tuning.batch_sizes if size % processes]
        if training.mode == "finetune" and uneven:
            raise ValueError(
                f"training.instance_type={training.instance_type} with training.instance_count="
                f"{training.instance_count} makes {processes} processes, which cannot share a batch of "
                f"{', '.join(map(str, uneven))} evenly; change tuning.batch_sizes or the machines"
            )
        return self

    @property
    def prefix(self) -> str:
        """Start of the name of everything the runs make; IAM is scoped to it. At most 16 characters."""
        return f"whippet-{self.env}"

    @property
    def stack_name(self) -> str:
        """One stack per environment."""
        return f"Whippet-{self.env}"

    @classmethod
    def from_context(cls, context: Mapping[str, Any]) -> Settings:
        """Settings of the chosen environment: the defaults, then cdk.json's `environments`, then `-c` overrides.

        `-c env=prod` chooses the environment, `-c training.epochs=5` overrides one setting of it.

        Raises:
            SettingsError: naming every wrong setting, its value and what is allowed.
        """
        return from_context(cls, context)
