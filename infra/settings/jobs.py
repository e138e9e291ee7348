"""The settings of the jobs: features, tuning, and the training of the best trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

import contract
from infra.settings.section import ONE_OR_MORE, JobInstanceType, Section, hyperparameter

__all__ = ["FeaturesSettings", "TrainingSettings", "TuningSettings"]


class TuningSettings(Section):
    """The search for the best hyperparameters."""

    trials: int = Field(default=8, ge=1, le=750, description="Number of trials, the training jobs of the tuning job.")
    parallel_trials: int = Field(
        default=4,
        ge=1,
        le=100,
        description="Trials that run at the same time. SageMaker's quota for a tuning job is 10 unless AWS raised it, "
        "and the account's quota for the instance type must hold all of them.",
    )
    strategy: Literal["Bayesian", "Random"] = Field(
        default="Bayesian", description="How the values of the next trial are chosen."
    )
    epochs: int = Field(default=5, ge=1, le=1000, description="Epochs of a trial.")
    learning_rate_min: float = Field(
        default=contract.LEARNING_RATE_LIMITS[0], ge=1e-6, le=10, description="Lowest learning rate to search."
    )
    learning_rate_max: float = Field(
        default=contract.LEARNING_RATE_LIMITS[1], ge=1e-6, le=10, description="Highest learning rate to search."
    )
    learning_rate_scale: Literal["Logarithmic", "Linear"] = Field(
        default="Logarithmic", description="Scale on which learning rates are searched."
    )
    batch_sizes: Annotated[tuple[Annotated[int, Field(ge=1, le=contract.BATCH_SIZE_LIMITS[1])], ...], ONE_OR_MORE] = (
        Field(default=contract.BATCH_SIZES, min_length=1, max_length=30, description="Batch sizes to search.")
    )
    backbones: Annotated[tuple[str, ...], ONE_OR_MORE] = Field(
        default=(),
        max_length=30,
        description="Backbones to search, instead of taking training.backbone; empty: none. In features mode, the "
        "features job embeds the photos with each.",
    )
    search_weight_decay: bool = Field(
        default=False,
        description="Search the weight decay too (0.000001 to 0.1) instead of taking training.weight_decay.",
    )
    search_label_smoothing: bool = Field(
        default=False,
        description="Search the label smoothing too (0 to 0.3) instead of taking training.label_smoothing.",
    )
    objective: contract.ObjectiveName = Field(
        default=contract.DEFAULT_OBJECTIVE,
        description="Measure by which the best trial is chosen, on the validation photos. By accuracy, one photo more "
        "or less decides.",
    )
    warm_start: bool = Field(
        default=False,
        description="Start the search from the results of the newest compatible tuning job.",
    )
    early_stopping: bool = Field(
        default=True, description="Let SageMaker stop trials that are unlikely to be the best."
    )
    instance_type: JobInstanceType = Field(
        default="ml.m5.large",
        description="Instance type of a trial on features, which computes on one thread.",
    )
    max_minutes: int = Field(default=60, ge=5, le=7200, description="Time limit of a trial, in minutes.")

    @property
    def also_searched(self) -> tuple[str, ...]:
        """Hyperparameters of `ALSO_SEARCHED` that are searched besides learning rate and batch size."""
        return tuple(name for name in contract.ALSO_SEARCHED if getattr(self, f"search_{name}"))

    @model_validator(mode="after")
    def _ordered(self) -> TuningSettings:
        if self.learning_rate_min >= self.learning_rate_max:
            raise ValueError(
                f"learning_rate_min={self.learning_rate_min} must be below learning_rate_max={self.learning_rate_max}"
            )
        # The default is lowered to the trials by CheckDataset; a number that was chosen must be possible.
        if "parallel_trials" in self.model_fields_set and self.parallel_trials > self.trials:
            raise ValueError(f"parallel_trials={self.parallel_trials} must not exceed trials={self.trials}")
        return self


class FeaturesSettings(Section):
    """The features job."""

    instance_count: int = Field(
        default=1,
        ge=1,
        le=100,
        description="Instances of the features job, which share the photos; several stream their shares from S3 "
        "(FastFile) whatever dataset.input_mode says.",
    )


class TrainingSettings(Section):
    """The network and the training of the best trial."""

    mode: Literal["features", "finetune"] = hyperparameter("mode")
    backbone: str = hyperparameter("backbone", pattern=contract.BACKBONE_PATTERN)
    weights: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9._/-]+$",
        description="Key of a file with the backbone's weights in the data bucket; empty: its library's hub.",
    )
    wheels: str | None = Field(
        default=None,
        pattern=r"^([A-Za-z0-9._-]+/)+$",
        description="Key prefix in the data bucket of the wheels of training/requirements.txt, which jobs install "
        "instead of downloading packages, as without internet; ends with a slash; empty: from PyPI.",
    )
    image_size: int = hyperparameter("image_size")
    views: int = hyperparameter("views")
    flip: bool = hyperparameter("flip")
    epochs: int = hyperparameter("epochs")
    weight_decay: float = hyperparameter("weight_decay")
    label_smoothing: float = hyperparameter("label_smoothing")
    class_weights: Literal["auto", "none", "balanced"] = hyperparameter("class_weights")
    seed: int = hyperparameter("seed")
    quantize: bool = hyperparameter("quantize")
    average_mirrored: bool = hyperparameter("average_mirrored")
    unfreeze_from: str | None = hyperparameter(
        "unfreeze_from", default=None, pattern=r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$"
    )
    backbone_rate: float = hyperparameter("backbone_rate")
    warmup_epochs: float = hyperparameter("warmup_epochs")
    ema: float = hyperparameter("ema")
    mixup: float = hyperparameter("mixup")
    cutmix: float = hyperparameter("cutmix")
    randaugment: int = hyperparameter("randaugment")
    instance_type: JobInstanceType = Field(
        default="ml.c5.2xlarge",
        description="Instance type of the features job, of the training and, when fine-tuning, of the trials.",
    )
    instance_count: int = Field(
        default=1, ge=1, le=32, description="Fine-tuning: instances of the training, which share each batch."
    )
    spot: bool = Field(
        default=False,
        description="Train, and when fine-tuning try, on spot instances: cheaper, and resumed after interruptions.",
    )
    volume_gib: int = Field(
        default=50,
        ge=1,
        le=16_384,
        description="Disk of a job's instance, in GiB; an instance type with local storage (g4dn, g5, p4d …) has a "
        "fixed one instead.",
    )
    max_minutes: int = Field(
        default=240, ge=5, le=7200, description="Time limit of the features job and of the training, in minutes."
    )

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_mode(cls, values: Any) -> Any:
        """Give the hyperparameters that are not set the defaults of the mode."""
        if not isinstance(values, Mapping):
            return values
        mode = values.get("mode") or contract.default_of("mode", mode="features")
        own = {
            name: contract.default_of(name, mode=mode)
            for name, field in contract.DECLARED.items()
            if field.default is None and values.get(name) is None
        }
        return {**values, **own}

    @model_validator(mode="after")
    def _mirror_images_mean_the_same(self) -> TrainingSettings:
        if self.average_mirrored and not self.flip:
            raise ValueError(
                "average_mirrored=true contradicts flip=false, which says that mirror images mean something else "
                "(digits, text, left or right); leave average_mirrored out, or set flip=true"
            )
        return self

    @model_validator(mode="after")
    def _of_the_mode(self) -> TrainingSettings:
        if self.mode == "finetune":
            return self
        for name in contract.FINETUNE_ONLY:
            if getattr(self, name):
                raise ValueError(f"{name}={getattr(self, name)} has no effect with mode=features; set mode=finetune")
        if self.instance_count > 1:
            raise ValueError(
                f"instance_count={self.instance_count} has no effect with mode=features, where the head trains on one "
                "machine in seconds; set mode=finetune, or features.instance_count for more machines that embed photos"
            )
        return self
