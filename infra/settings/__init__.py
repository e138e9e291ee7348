"""Every setting a user may change: typed, limited, documented; read from cdk.json and `-c` overrides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from infra.instances import gpus
from infra.settings.context import SettingsError, from_context
from infra.settings.debugger import DebuggerSettings
from infra.settings.jobs import FeaturesSettings, TrainingSettings, TuningSettings
from infra.settings_section import InstanceType, Section

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
        self.debugger.check_rules(self.training.mode)
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
