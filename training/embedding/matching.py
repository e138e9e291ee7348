"""Whether stored features are those of the network and the photos that a job trains with."""

from __future__ import annotations

from collections.abc import Sequence

import contract
from training.preprocess import Preprocessing
from training.runtime.environment import JobError

__all__ = ["check_features"]


def check_features(
    index: contract.FeaturesIndex,
    *,
    hyperparameters: contract.Hyperparameters,
    preprocessing: Preprocessing,
    classes: Sequence[str],
    weights: str,
) -> None:
    """Refuse features of another backbone, crop, weights or data set: a head on them would be meaningless.

    Args:
        index: of the features.
        hyperparameters: the job's.
        preprocessing: what the backbone's weights expect of a photo.
        classes: names of the manifest's classes.
        weights: SHA-256 of the backbone's weights.

    Raises:
        JobError: they differ; the message says in what.
    """
    for what, of_features, of_job in (
        ("backbone", index["backbone"], hyperparameters.backbone),
        ("image_size", index["image_size"], preprocessing.image_size),
        ("resize", index["resize"], preprocessing.resize),
        ("interpolation", index["interpolation"], preprocessing.interpolation),
        ("weights", index["weights"], weights),
        ("classes", index["classes"], list(classes)),
    ):
        if of_features != of_job:
            raise JobError(
                f"the features were made with {what} {of_features} and this job has {of_job}; "
                "start the state machine again, which makes the features anew"
            )
