"""Whether a fine-tuning on CPUs can end within the time limits of its jobs."""

from __future__ import annotations

from typing import Final

import contract

from .overrides import InvalidInput, RunSettings

__all__ = ["check_training_time"]

_RESNET50: Final = "resnet50"
_SIZE: Final = 224
"""Side in pixels of the photos that the estimate of a machine's rate holds for."""

_CERTAIN: Final = {True: 1.5, False: 10.0}
"""By how much an estimate must pass a limit: little for the network that was measured, whole. The smallest networks,
trained from a late stage on, are some ten times as fast."""


def check_training_time(
    summary: contract.DatasetSummary, *, settings: RunSettings, machines: contract.Machines
) -> None:
    """Refuse a fine-tuning that its time limits would end, before anything of it costs.

    Only what is certain is refused: a network that nobody measured here may be much faster than a ResNet50.

    Raises:
        InvalidInput: a trial or the training would take far longer than its limit.
    """
    rate = machines["fine_tuning_rate"]
    if rate is None:
        return
    values = settings.hyperparameters
    photos = sum(label["train"] for label in summary["classes"])
    measured = values.backbone == _RESNET50 and not values.unfreeze_from
    minutes_an_epoch = photos * (values.image_size / _SIZE) ** 2 / rate / 60

    for what, epochs, limit, setting in (
        ("a trial", settings.trial_epochs, settings.trial_minutes, "tuning.max_minutes"),
        ("the training", values.epochs, settings.training_minutes, "training.max_minutes"),
    ):
        minutes = minutes_an_epoch * epochs
        if minutes > _CERTAIN[measured] * limit:
            raise InvalidInput(
                f"fine-tuning on a machine without a GPU: {what} of {epochs} epochs with {photos} photos would take "
                f"about {minutes:.0f} minutes with a ResNet50, and {setting}={limit} ends it before that; set "
                "training.instance_type to a type with a GPU such as ml.g5.xlarge, train a head with "
                f"training.mode=features, or raise {setting}"
            )
