"""CheckDataset: checks the settings and the photos of a run, writes the manifest, and plans the run."""

from __future__ import annotations

import json
import os

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import ClientError
from shared.aws_errors import is_unreadable_object
from shared.s3_objects import write_json

import contract

from .ceiling import check_ceiling
from .contents import with_contents
from .features_cache import CachedFeatures, find_cached_features
from .groups import MAX_FILE_BYTES, groups_of_file, with_groups
from .in_service import find_model_in_service
from .listing import BadDataset, Listing, check_disk, list_photos
from .overrides import InvalidInput, RunSettings, resolve
from .quotas import PATIENCE, check_quotas
from .retry import RetriedRun, go_on_with, same_photos
from .run_plan import features_folder, make_plan
from .splits import Manifest, make_manifest
from .training_time import check_training_time
from .warm_start import find_warm_start, next_tuning

__all__ = ["handler"]

logger = Logger()
s3 = boto3.client("s3")
sagemaker = boto3.client("sagemaker")
states = boto3.client("stepfunctions")
service_quotas = boto3.client("service-quotas", config=PATIENCE)


@logger.inject_lambda_context
def handler(event: contract.CheckDatasetInput, context: LambdaContext) -> contract.Plan:
    """Check the overrides and the photos, write the manifest, and return the plan of the run.

    Raises:
        InvalidInput: the overrides are wrong, or a fine-tuning could not end within its time limits.
        BadDataset: the photos cannot be trained on, or do not fit on the disk of a job.
        QuotaTooSmall: a quota of the account is below what the run needs.
        CeilingReached: the run could take the month above budget.ceiling.
    """
    bucket, name_prefix = os.environ["BUCKET"], os.environ["NAME_PREFIX"]
    machines: contract.Machines = json.loads(os.environ["MACHINES"])
    run = contract.run_id(event["execution"], started=event["started"])
    settings = resolve(
        json.loads(os.environ["SETTINGS"]),
        event["overrides"],
        readable_prefix=os.environ["READABLE_PREFIX"],
        processes=machines["processes"],
    )
    weights = _weights_identity(bucket, settings.weights_key)

    # check and split the photos
    listing = list_photos(s3, bucket=bucket, prefix=settings.dataset_prefix)
    check_disk(listing, machines)
    _identify(listing, bucket, settings)
    manifest = make_manifest(
        listing, prefix=settings.dataset_prefix, min_images_per_class=settings.min_images_per_class
    )
    check_training_time(manifest.summary, settings=settings, machines=machines)
    if settings.retry_of is not None:
        manifest.summary["retry_of"] = settings.retry_of
    _write(bucket, f"runs/{run}/manifest/", manifest)
    found = {key: value for key, value in manifest.summary.items() if not isinstance(value, list)}
    logger.info("data set checked", extra=found | {"run": run})

    # plan the run, with what earlier runs left
    plan = make_plan(
        bucket=bucket,
        name_prefix=name_prefix,
        run=run,
        settings=settings,
        summary=manifest.summary,
        weights=weights,
        cached=_cached_features(bucket, settings, manifest, weights),
        in_service=find_model_in_service(
            s3,
            sagemaker,
            bucket=bucket,
            endpoint=os.environ["ENDPOINT_NAME"],
            sleep_record=os.environ["SLEEP_RECORD"],
            name_prefix=name_prefix,
        ),
    )
    if settings.retry_of is not None:
        _go_on(plan, name_prefix, settings=settings, summary=manifest.summary, event=event)
    if settings.warm_start and settings.hyperparameters.mode == "features":
        _add_warm_start(plan, name_prefix, settings=settings, trial=event["trial"])

    # the last checks, for which the plan says what the run takes
    check_quotas(service_quotas, sagemaker, needs=machines["quotas"], plan=plan, endpoint=os.environ["ENDPOINT_NAME"])
    if cost := os.environ["COST_PLAN"]:
        check_ceiling(
            json.loads(cost),
            plan=plan,
            s3=s3,
            sagemaker=sagemaker,
            states=states,
            autoscaling=boto3.client("application-autoscaling"),
            bucket=bucket,
            name_prefix=name_prefix,
            endpoint=os.environ["ENDPOINT_NAME"],
            sleep_record=os.environ["SLEEP_RECORD"],
            state_machine=os.environ["STATE_MACHINE_ARN"],
            started=event["started"],
            region=os.environ["AWS_REGION"],
        )
    return plan


def _go_on(
    plan: contract.Plan,
    name_prefix: str,
    *,
    settings: RunSettings,
    summary: contract.DatasetSummary,
    event: contract.CheckDatasetInput,
) -> None:
    """Add to the plan what the run left that is tried again.

    Raises:
        InvalidInput: there is no such run, or what it did is not what this one would do.
    """
    run = settings.retry_of
    assert run is not None  # noqa: S101 (asked for by the caller)
    runs = same_photos(s3, bucket=os.environ["BUCKET"], run=run, summary=summary)
    tuning = next_tuning(plan, settings=settings, trial=event["trial"])
    retried = RetriedRun(runs=runs, name_prefix=name_prefix, tuning=tuning, training=event["training"])
    go_on_with(sagemaker, plan, retried=retried)
    logger.info("going on with an earlier run", extra={"reused": plan["reused"]})


def _identify(listing: Listing, bucket: str, settings: RunSettings) -> None:
    """Find out which photos are the same, and which belong together.

    Raises:
        BadDataset: the groups that a person gave are wrong.
    """
    prefix = settings.dataset_prefix
    listing.photos, remarks = with_contents(s3, listing.photos, bucket=bucket, prefix=prefix)
    listing.remarks += remarks

    def groups_in(name: str) -> dict[str, str]:
        body = s3.get_object(Bucket=bucket, Key=prefix + name)["Body"]
        return groups_of_file(body.read(MAX_FILE_BYTES + 1), name=name)

    # what the upload found is a help that no run fails for
    found: dict[str, str] = {}
    if listing.has_found_groups:
        try:
            found = groups_in(contract.FOUND_GROUPS_FILE)
        except BadDataset as error:
            listing.remarks.append(f"Bursts are not kept together: {error}. Upload the photos again.")

    listing.photos, remarks = with_groups(
        listing.photos,
        listed=groups_in(contract.GROUPS_FILE) if listing.has_groups else {},
        pattern=settings.group_pattern,
        found=found,
    )
    listing.remarks += remarks


def _cached_features(bucket: str, settings: RunSettings, manifest: Manifest, weights: str) -> CachedFeatures:
    """Look for features of earlier runs: fine-tuning, too, begins with a head on them."""
    folder = features_folder(manifest.summary, settings=settings, weights=weights)
    return find_cached_features(s3, bucket=bucket, folder=folder)


def _add_warm_start(plan: contract.Plan, name_prefix: str, *, settings: RunSettings, trial: contract.TrialCode) -> None:
    """Add `tuning.warm_start` to the plan where an earlier tuning job fits."""
    warm_start = find_warm_start(
        sagemaker, name_prefix=name_prefix, new=next_tuning(plan, settings=settings, trial=trial)
    )
    if warm_start is not None:
        plan["tuning"]["warm_start"] = warm_start
    logger.info("looked for an earlier tuning job", extra={"warm_start": warm_start})


def _weights_identity(bucket: str, key: str | None) -> str:
    """Return what identifies the pretrained weights: `hub`, or the URI and the ETag of the file.

    Raises:
        InvalidInput: the file that the settings name does not exist.
    """
    if key is None:
        return "hub"
    try:
        etag = s3.head_object(Bucket=bucket, Key=key)["ETag"].strip('"')
    except ClientError as error:
        if not is_unreadable_object(error):
            raise
        raise InvalidInput(
            f"the setting training.weights names s3://{bucket}/{key}, which is not there; upload the weights file or "
            "empty the setting to take the weights from the hub"
        ) from None
    return f"s3://{bucket}/{key}#{etag}"


def _write(bucket: str, prefix: str, manifest: Manifest) -> None:
    s3.put_object(
        Bucket=bucket,
        Key=prefix + contract.Artefact.MANIFEST,
        Body=manifest.lines().encode(),
        ContentType="application/json",
    )
    s3.put_object(
        Bucket=bucket,
        Key=prefix + contract.Artefact.LEFT_OUT,
        Body=manifest.left_out_table().encode(),
        ContentType="text/csv; charset=utf-8",
    )
    write_json(s3, bucket=bucket, key=prefix + contract.Artefact.DATASET_SUMMARY, value=manifest.summary)
