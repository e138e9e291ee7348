"""The plan of a run: names, places and limits of its jobs."""

from __future__ import annotations

import math
from dataclasses import replace

import contract

from .features_cache import CachedFeatures, FeaturesFolder
from .overrides import RunSettings

__all__ = ["features_folder", "make_plan"]

_SECOND = 2
"""The number in the name of a job's second attempt."""

_QUEUE_SECONDS = 3600
"""Time that a tuning job may wait for machines, beside the time of its trials."""

_SPOT_QUEUE_SECONDS = 24 * 3600
"""The same for fine-tuning trials on spot instances."""

_LONGEST_TUNING_SECONDS = 30 * 24 * 3600
"""SageMaker's quota for the runtime of a tuning job."""


def features_folder(summary: contract.DatasetSummary, *, settings: RunSettings, weights: str) -> FeaturesFolder:
    """Return where the features of these photos are kept: those of the backbone, or of all that are searched."""
    values, backbones = settings.hyperparameters, settings.backbones
    key = contract.features_key(
        dataset_fingerprint=summary["fingerprint"], hyperparameters=values, weights=weights, backbones=backbones
    )
    recipe = contract.feature_spec_key(hyperparameters=values, weights=weights, backbones=backbones)
    return FeaturesFolder(recipe=f"features/{recipe}/", key=key, backbones=backbones)


def make_plan(
    *,
    bucket: str,
    name_prefix: str,
    run: str,
    settings: RunSettings,
    summary: contract.DatasetSummary,
    weights: str,
    cached: CachedFeatures,
    in_service: str | None,
) -> contract.Plan:
    """Return everything that later states need and that is not known when the stack is deployed.

    `in_service` is the URI of the archive of the model in service, or None.
    """
    hyperparameters = settings.hyperparameters
    base = f"s3://{bucket}/"
    own = f"{base}{contract.RUNS_PREFIX}{run}/"
    checkpoints = f"{base}{contract.CHECKPOINTS_PREFIX}{run}/"
    tuning_job = contract.tuning_job_name(name_prefix, run)
    training_job = contract.training_job_name(name_prefix, run)

    # `$.plan` of the state machine: each job's names and places, and the limits of the tuning job
    return contract.Plan(
        run=run,
        name=contract.job_prefix(name_prefix, run),
        images=summary["images"],
        classes=len(summary["classes"]),
        dataset_uri=base + settings.dataset_prefix,
        manifest_uri=f"{own}manifest/",
        # A channel without any object fails a job, so where there is no model it has a small file that is there anyway.
        in_service_uri=in_service or f"{own}manifest/{contract.Artefact.DATASET_SUMMARY}",
        hyperparameters=hyperparameters.to_strings(),
        features=_features(
            base,
            features_folder(summary, settings=settings, weights=weights),
            job=contract.features_job_name(name_prefix, run),
            cached=cached,
        ),
        tuning=contract.TuningPlan(
            job=tuning_job,
            next_name=_SECOND,
            output=f"{own}tuning/",
            checkpoints=f"{checkpoints}{tuning_job}/",
            # `replace` checks the epochs of a trial by the contract's limits.
            epochs=str(replace(hyperparameters, epochs=settings.trial_epochs).epochs),
            trials=settings.trials,
            parallel_trials=settings.parallel_trials,
            max_seconds=_longest_tuning(settings),
            ranges=contract.parameter_ranges(
                learning_rate=settings.learning_rate,
                batch_sizes=settings.batch_sizes,
                scaling=settings.learning_rate_scale,
                also=settings.also_searched,
                backbones=settings.backbones,
            ),
        ),
        training=contract.TrainingPlan(
            job=training_job,
            next_name=_SECOND,
            output=f"{own}training/",
            checkpoints=f"{checkpoints}{training_job}/",
        ),
        rules=contract.RulesPlan(
            job=contract.rules_job_name(name_prefix, run),
            next_name=_SECOND,
            output=f"{own}rules/",
            tensors=f"{base}{contract.TENSORS_PREFIX}{run}/",
        ),
    )


def _features(base: str, folder: FeaturesFolder, *, job: str, cached: CachedFeatures) -> contract.FeaturesPlan:
    """Plan the features: take those of the same photos, extend those of other photos, or compute all of them."""
    ready, previous = cached.same_photos, cached.same_photos or cached.other_photos
    return contract.FeaturesPlan(
        ready=ready is not None,
        extends=ready is None and previous is not None,
        previous=base + previous if previous else "",
        key=folder.key,
        job=job,
        next_name=_SECOND,
        output=base + folder.prefix,
        uri=base + (ready or f"{folder.prefix}{job}/output/model/"),
    )


def _longest_tuning(settings: RunSettings) -> int:
    """Return the seconds that the tuning job may take: all rounds of trials, and the wait for machines."""
    rounds = math.ceil(settings.trials / settings.parallel_trials)
    fine_tuning = settings.hyperparameters.mode == "finetune"
    queue = _SPOT_QUEUE_SECONDS if settings.spot and fine_tuning else _QUEUE_SECONDS
    return min(rounds * settings.trial_minutes * 60 + queue, _LONGEST_TUNING_SECONDS)
