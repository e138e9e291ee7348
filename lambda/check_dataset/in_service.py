"""The archive of the model in service, which the training runs on its own test photos."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError
from shared.aws_errors import is_unreadable_object
from shared.in_service import config_in_service

import contract
from contract import Artefact

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient

__all__ = ["find_model_in_service"]

logger = Logger(child=True)


def find_model_in_service(
    s3: S3Client, sagemaker: SageMakerClient, *, bucket: str, endpoint: str, sleep_record: str, name_prefix: str
) -> str | None:
    """Return the URI of the archive of the model behind the endpoint, or of the one that sleeps, or None.

    There is none where no endpoint works and no model sleeps, where the model came into service by other ways than a
    run of this environment, and where its run's files were deleted: a training then has nothing to run, and does not
    fail.
    """
    config = config_in_service(sagemaker, endpoint=endpoint, sleep_record=sleep_record)
    if config is None:
        return None

    run = config.removeprefix(contract.job_prefix(name_prefix, ""))
    own = f"{contract.RUNS_PREFIX}{run}/"
    try:
        decision = s3.get_object(Bucket=bucket, Key=own + Artefact.DECISION)["Body"].read()
        uri = str(json.loads(decision)["model"])
        key = uri.removeprefix(f"s3://{bucket}/")
        # The file comes from a folder that jobs may write to: it may name nothing but a model of that run.
        if not (key.startswith(own) and key.endswith(f"/{contract.MODEL_ARCHIVE}")):
            raise ValueError(f"{uri} is no {contract.MODEL_ARCHIVE} below s3://{bucket}/{own}")
        s3.head_object(Bucket=bucket, Key=key)
    except (ClientError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, ClientError) and not is_unreadable_object(error):
            raise
        logger.warning("the model in service cannot be run on the new test photos", extra={"run": run, "why": error})
        return None
    return uri
