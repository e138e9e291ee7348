"""CheckDataset: are these photos something to train on, and if so, what exactly will the run do?"""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import ClientError

import contract

from .features_cache import find_features
from .listing import list_photos
from .overrides import InvalidInput, RunSettings, resolve
from .splits import Manifest, make_manifest
from .warm_start import NewTuning, find_warm_start

__all__ = ["handler"]

logger = Logger()
s3 = boto3.client("s3")
sagemaker = boto3.client("sagemaker")

_QUEUE_SECONDS = 3600
_SPOT_QUEUE_SECONDS = 24 * 3600
"""What fine-tuning trials on spot instances may wait for capacity."""
_LONGEST_TUNING_SECONDS = 30 * 24 * 3600
"""SageMaker's quota for a tuning job."""


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Check `event["overrides"]` and the photos, write the manifest, and return the plan of the run.

    Raises:
        InvalidInput: the overrides are wrong.
        BadDataset: the photos cannot be trained on.
    """
    bucket, name_prefix = os.environ["BUCKET"], os.environ["NAME_PREFIX"]
    settings = resolve(
        json.loads(os.environ["SETTINGS"]), event["overrides"], readable_prefix=os.environ["READABLE_PREFIX"]
    )
    run = contract.run_id(event["execution"])
    weights = _weights_identity(bucket, settings.weights_key)
    listing = list_photos(s3, bucket=bucket, prefix=settings.dataset_prefix)
    manifest = make_manifest(
        listing, prefix=settings.dataset_prefix, min_images_per_class=settings.min_images_per_class
    )
    _write(bucket, f"runs/{run}/manifest/", manifest)
    logger.info(
        "data set checked",
        extra={key: value for key, value in manifest.summary.items() if key != "classes"} | {"run": run},
    )
    plan = _plan(bucket, name_prefix, run=run, settings=settings, manifest=manifest, weights=weights)
    if settings.warm_start and settings.hyperparameters.mode == "features":
        _begin_with_earlier(plan, name_prefix, settings=settings, trial=event["trial"])
    return plan


def _plan(
    bucket: str, name_prefix: str, *, run: str, settings: RunSettings, manifest: Manifest, weights: str
) -> dict[str, Any]:
    """Everything the later states need that is not known when the stack is deployed."""
    hyperparameters = settings.hyperparameters
    key = contract.features_key(
        dataset_fingerprint=manifest.summary["fingerprint"], hyperparameters=hyperparameters, weights=weights
    )
    same_transform = f"features/{contract.feature_spec_key(hyperparameters=hyperparameters, weights=weights)}/"
    features_prefix = f"{same_transform}{key}/"
    found = previous = None
    if hyperparameters.mode == "features":
        found = find_features(s3, bucket=bucket, prefix=features_prefix)
        previous = found or find_features(s3, bucket=bucket, prefix=same_transform)
    features_job = contract.features_job_name(name_prefix, run)
    features_folder = found or f"{features_prefix}{features_job}/output/model/"
    queue_seconds = _SPOT_QUEUE_SECONDS if settings.spot and hyperparameters.mode == "finetune" else _QUEUE_SECONDS
    rounds = math.ceil(settings.trials / settings.parallel_trials)
    base = f"s3://{bucket}/"
    return {
        "run": run,
        "name": contract.job_prefix(name_prefix, run),
        "images": manifest.summary["images"],
        "classes": len(manifest.summary["classes"]),
        "dataset_uri": base + settings.dataset_prefix,
        "manifest_uri": f"{base}runs/{run}/manifest/",
        "hyperparameters": hyperparameters.to_strings(),
        "features": {
            "ready": found is not None,
            "extends": found is None and previous is not None,
            "previous": base + previous if previous else "",
            "key": key,
            "job": features_job,
            "output": base + features_prefix,
            "uri": base + features_folder,
        },
        "tuning": {
            "job": contract.tuning_job_name(name_prefix, run),
            "output": f"{base}runs/{run}/tuning/",
            "checkpoints": f"{base}runs/{run}/checkpoints/{contract.tuning_job_name(name_prefix, run)}/",
            "epochs": str(replace(hyperparameters, epochs=settings.trial_epochs).epochs),
            "trials": settings.trials,
            "parallel_trials": settings.parallel_trials,
            "max_seconds": min(rounds * settings.trial_minutes * 60 + queue_seconds, _LONGEST_TUNING_SECONDS),
            "ranges": contract.parameter_ranges(
                learning_rate=settings.learning_rate,
                batch_sizes=settings.batch_sizes,
                scaling=settings.learning_rate_scale,
                also=settings.also_searched,
            ),
        },
        "training": {
            "job": contract.training_job_name(name_prefix, run),
            "output": f"{base}runs/{run}/training/",
            "checkpoints": f"{base}runs/{run}/checkpoints/{contract.training_job_name(name_prefix, run)}/",
        },
        "rules": {
            "job": contract.rules_job_name(name_prefix, run),
            "output": f"{base}runs/{run}/rules/",
            "tensors": f"{base}runs/{run}/debug/",
        },
    }


def _begin_with_earlier(
    plan: dict[str, Any], name_prefix: str, *, settings: RunSettings, trial: dict[str, str]
) -> None:
    """Add `tuning.warm_start` to the plan where an earlier tuning job fits; `trial` has a trial's image and source."""
    searched = frozenset({"learning_rate", "batch_size", *settings.also_searched})
    values = {**plan["hyperparameters"], "epochs": plan["tuning"]["epochs"]}
    static = {name: value for name, value in values.items() if name not in searched}
    new = NewTuning(
        objective=contract.OBJECTIVES[settings.objective].metric.name,
        static={
            "sagemaker_program": contract.EntryPoint.TRIAL.value,
            "sagemaker_submit_directory": trial["source"],
            **static,
        },
        searched=searched,
        features_uri=plan["features"]["uri"],
        image=trial["image"],
    )
    warm_start = find_warm_start(sagemaker, name_prefix=name_prefix, new=new)
    if warm_start is not None:
        plan["tuning"]["warm_start"] = warm_start
    logger.info("looked for an earlier tuning job", extra={"warm_start": warm_start})


def _weights_identity(bucket: str, key: str | None) -> str:
    """What tells these weights from others: the hub's own, or the file and its content.

    Raises:
        InvalidInput: the file that the settings name is not there.
    """
    if key is None:
        return "hub"
    try:
        etag = s3.head_object(Bucket=bucket, Key=key)["ETag"].strip('"')
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] not in (403, 404):
            raise
        raise InvalidInput(
            f"the setting training.weights names s3://{bucket}/{key}, which is not there; upload the weights file or "
            "empty the setting to take the weights from the hub"
        ) from None
    return f"s3://{bucket}/{key}#{etag}"


def _write(bucket: str, prefix: str, manifest: Manifest) -> None:
    for name, text in (
        (contract.Artefact.MANIFEST, manifest.lines()),
        (contract.Artefact.DATASET_SUMMARY, json.dumps(manifest.summary, ensure_ascii=False, indent=2)),
    ):
        s3.put_object(Bucket=bucket, Key=prefix + name, Body=text.encode(), ContentType="application/json")
