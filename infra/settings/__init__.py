"""Every setting that a user may change: typed, limited and described; read from cdk.json and `-c` overrides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

import contract
from infra.instances import gpus
from infra.settings.api import ApiSettings
from infra.settings.batch import BatchSettings
from infra.settings.budget import BudgetSettings
from infra.settings.context import SettingsError, from_context
from infra.settings.dataset import DatasetSettings
from infra.settings.debugger import DebuggerSettings
from infra.settings.jobs import FeaturesSettings, TrainingSettings, TuningSettings
from infra.settings.monitoring import MonitoringSettings
from infra.settings.notifications import NotificationSettings
from infra.settings.release import ReleaseSettings
from infra.settings.rollout import RolloutSettings
from infra.settings.scaling import ScalingSettings
from infra.settings.section import Section
from infra.settings.security import SecuritySettings
from infra.settings.serving import ServingSettings
from infra.settings.triggers import TriggersSettings

__all__ = [
    "ApiSettings",
    "BatchSettings",
    "BudgetSettings",
    "DatasetSettings",
    "DebuggerSettings",
    "MonitoringSettings",
    "NotificationSettings",
    "ReleaseSettings",
    "ScalingSettings",
    "SecuritySettings",
    "ServingSettings",
    "Settings",
    "SettingsError",
    "TrainingSettings",
    "TuningSettings",
]


class Settings(Section):
    """The settings of one environment."""

    env: str = Field(
        default="dev",
        pattern=r"^[a-z][a-z0-9]{0,7}$",
        description="Name of the environment; part of every resource's name.",
    )
    dataset: DatasetSettings = DatasetSettings()
    features: FeaturesSettings = FeaturesSettings()
    tuning: TuningSettings = TuningSettings()
    training: TrainingSettings = TrainingSettings()
    debugger: DebuggerSettings = DebuggerSettings()
    release: ReleaseSettings = ReleaseSettings()
    serving: ServingSettings = ServingSettings()
    scaling: ScalingSettings = ScalingSettings()
    batch: BatchSettings = BatchSettings()
    api: ApiSettings = ApiSettings()
    notifications: NotificationSettings = NotificationSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    security: SecuritySettings = SecuritySettings()
    budget: BudgetSettings = BudgetSettings()
    triggers: TriggersSettings = TriggersSettings()

    @model_validator(mode="after")
    def _warm_start_fits(self) -> Settings:
        if self.tuning.warm_start and self.training.mode == "finetune":
            raise ValueError(
                "tuning.warm_start=true has no effect with training.mode=finetune: only trials on features can start "
                "from earlier ones; set tuning.warm_start=false or training.mode=features"
            )
        return self

    @model_validator(mode="after")
    def _only_machines_scale(self) -> Settings:
        most, fewest = self.scaling.max_instances, self.release.instance_count
        if most is None:
            return self
        if self.serving.mode == "serverless":
            raise ValueError(
                f"scaling.max_instances={most} has no effect with serving.mode=serverless, where SageMaker scales by "
                "itself up to serving.max_concurrency; empty scaling.max_instances, or set serving.mode=realtime"
            )
        if most < fewest:
            raise ValueError(
                f"scaling.max_instances={most} is below release.instance_count={fewest}, the fewest instances; raise "
                "scaling.max_instances, lower release.instance_count, or empty scaling.max_instances"
            )
        return self

    @model_validator(mode="after")
    def _rules_are_evaluated(self) -> Settings:
        self.debugger.check_rules(self.training.mode)
        return self

    @model_validator(mode="after")
    def _backbones_can_be_searched(self) -> Settings:
        tuning, training = self.tuning, self.training
        contract.check_backbones(tuning.backbones, trials=tuning.trials, unfreeze_from=training.unfreeze_from or "")
        if tuning.backbones and training.weights:
            raise ValueError(
                f"training.weights={training.weights} holds the weights of one backbone, and the search chooses among "
                f"{', '.join(tuning.backbones)}; empty training.weights or tuning.backbones"
            )
        return self

    @model_validator(mode="after")
    def _photos_and_weights_lie_apart(self) -> Settings:
        """Refuse a place where the runs write, and where S3 deletes what is old."""
        places = {
            "dataset.prefix": self.dataset.prefix,
            "training.weights": self.training.weights or "",
            "training.wheels": self.training.wheels or "",
        }
        for name, place in places.items():
            if place.startswith(contract.OWN_PREFIXES):
                raise ValueError(
                    f"{name}={place} lies where the runs keep their own files, some of which S3 deletes after days; "
                    f"put it below another prefix than {', '.join(contract.OWN_PREFIXES)}"
                )
        return self

    @model_validator(mode="after")
    def _a_buckets_key_has_its_bucket(self) -> Settings:
        if self.dataset.bucket_key and not self.dataset.bucket:
            raise ValueError(
                f"dataset.bucket_key={self.dataset.bucket_key} has no effect without dataset.bucket: the stack's own "
                "bucket is encrypted by security.kms_key; set dataset.bucket, or empty dataset.bucket_key"
            )
        return self

    @model_validator(mode="after")
    def _kept_photos_keep_their_key(self) -> Settings:
        """Refuse to delete the key of photos that stay."""
        kept = self.dataset.keep_at_destroy or self.dataset.bucket
        if self.security.key_at_destroy == "delete" and kept:
            raise ValueError(
                "security.key_at_destroy=delete would make what stays in the bucket unreadable for good; set "
                "dataset.keep_at_destroy=false with a bucket of the stack's own, or security.key_at_destroy=keep"
            )
        return self

    @model_validator(mode="after")
    def _isolated_jobs_have_all_they_need(self) -> Settings:
        """Refuse jobs without a network that would have to download something."""
        training = self.training
        if not self.security.isolate_training:
            return self
        backbones = self.tuning.backbones or (training.backbone,)
        if not training.wheels:
            raise ValueError(
                "security.isolate_training=true keeps the jobs from PyPI: put the packages of "
                "training/requirements.txt into the data bucket and set training.wheels to their prefix "
                "(docs/security.md), or set security.isolate_training=false"
            )
        downloaded = [name for name in backbones if not name.startswith("efficientnet_lite")]
        if downloaded and not training.weights:
            raise ValueError(
                f"security.isolate_training=true keeps the jobs from the weights of {', '.join(downloaded)}: put them "
                "into the data bucket and set training.weights to their key, or choose training.backbone="
                "efficientnet_lite0, whose weights come as a package"
            )
        return self

    @model_validator(mode="after")
    def _feedback_is_deleted(self) -> Settings:
        """Refuse to keep strangers' photos where the stack cannot let S3 delete them."""
        if self.api.feedback and self.dataset.bucket:
            raise ValueError(
                f"api.feedback=true would keep callers' photos in dataset.bucket={self.dataset.bucket}, where nothing "
                "deletes them after api.feedback_days, as it is not the stack's own; set api.feedback=false, or empty "
                "dataset.bucket"
            )
        return self

    @model_validator(mode="after")
    def _answers_can_be_captured(self) -> Settings:
        """Refuse to capture where SageMaker cannot, and where nothing would delete what was captured."""
        percent = self.monitoring.capture_percent
        if percent and self.serving.mode == "serverless":
            raise ValueError(
                f"monitoring.capture_percent={percent} cannot be set with serving.mode=serverless: SageMaker captures "
                "nothing of serverless endpoints; set it to 0, or set serving.mode=realtime"
            )
        if percent and self.dataset.bucket:
            raise ValueError(
                f"monitoring.capture_percent={percent} would keep answers in dataset.bucket={self.dataset.bucket}, "
                "where nothing deletes them after monitoring.capture_days, as it is not the stack's own; set it to 0, "
                "or empty dataset.bucket"
            )
        return self

    @model_validator(mode="after")
    def _rollout_is_guarded(self) -> Settings:
        """Refuse settings of the rollout where SageMaker has no guardrails."""
        given = sorted(set(RolloutSettings.model_fields) & self.release.model_fields_set)
        if given and self.serving.mode == "serverless":
            names = ", ".join(f"release.{name}" for name in given)
            raise ValueError(
                f"{names} cannot be set with serving.mode=serverless: SageMaker changes serverless endpoints all at "
                "once, without alarms that take a model back; leave it out, or set serving.mode=realtime"
            )
        return self

    @model_validator(mode="after")
    def _batches_can_be_shared(self) -> Settings:
        """Refuse batch sizes that a fine-tuning's processes, one for each GPU or CPU machine, cannot share evenly."""
        training = self.training
        if uneven := [size for size in self.tuning.batch_sizes if size % self.processes]:
            raise ValueError(
                f"training.instance_type={training.instance_type} with training.instance_count="
                f"{training.instance_count} makes {self.processes} processes, which cannot share a batch of "
                f"{', '.join(map(str, uneven))} evenly; change tuning.batch_sizes or the machines"
            )
        return self

    @model_validator(mode="after")
    def _ceiling_can_be_kept(self) -> Settings:
        """Refuse a ceiling that an endpoint alone would pass, and machines whose price nobody could count."""
        ceiling = self.budget.ceiling
        if ceiling is None:
            return self
        machines = {
            "training.instance_type": self.training.instance_type,
            "tuning.instance_type": self.tuning.instance_type,
            "debugger.instance_type": self.debugger.instance_type,
            "batch.instance_type": self.batch.instance_type,
            **({"release.instance_type": self.release.instance_type} if self.serving.mode == "realtime" else {}),
        }
        if unknown := [f"{name}={kind}" for name, kind in machines.items() if contract.hourly_price(kind) is None]:
            raise ValueError(
                f"budget.ceiling={ceiling:g} cannot be kept with {', '.join(unknown)}, whose price is not in "
                "contract/prices.py; choose another type, add its price there, or empty budget.ceiling"
            )
        hourly = contract.hourly_price(self.release.instance_type)
        if self.serving.mode == "realtime" and hourly is not None:
            month = hourly * self.most_instances * contract.FULL_MONTH_HOURS
            if month > ceiling:
                raise ValueError(
                    f"budget.ceiling={ceiling:g} is below what the endpoint alone costs in a month, {month:.2f} dollars"
                    f" for {contract.machines_in_words(self.release.instance_type, self.most_instances)} "
                    f"({contract.PRICES_NOTE}); raise budget.ceiling, or set serving.mode=serverless"
                    f"{', or lower scaling.max_instances' if self.scales else ''}"
                )
        return self

    @property
    def scales(self) -> bool:
        """Whether the endpoint's number of instances follows the requests."""
        return self.most_instances > self.release.instance_count

    @property
    def most_instances(self) -> int:
        """The most instances that a real-time endpoint may have."""
        return self.scaling.max_instances or self.release.instance_count

    @property
    def processes(self) -> int:
        """Processes of the training that share each batch: when fine-tuning, one for each GPU or CPU machine."""
        if self.training.mode != "finetune":
            return 1
        return max(1, gpus(self.training.instance_type)) * self.training.instance_count

    @property
    def prefix(self) -> str:
        """Prefix of the name of everything the runs create, at most 16 characters; IAM is scoped to it."""
        return f"whippet-{self.env}"

    @property
    def stack_name(self) -> str:
        """Name of the stack; there is one for each environment."""
        return f"Whippet-{self.env}"

    @classmethod
    def from_context(cls, context: Mapping[str, Any]) -> Settings:
        """Return the settings of the chosen environment: defaults, then cdk.json's `environments`, then overrides.

        `-c env=prod` chooses the environment and `-c training.epochs=5` overrides one of its settings.

        Raises:
            SettingsError: a setting is unknown or its value is wrong; the message names every such setting.
        """
        return from_context(cls, context)
