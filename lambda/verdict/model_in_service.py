"""The model that the endpoint serves now, or that sleeps, and what its run left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from shared.aws_errors import is_missing_object
from shared.in_service import config_in_service
from shared.s3_objects import read_if_present

import contract
from contract import Artefact, ImageRecord, result_key

from .service_comparison import ModelInService

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient

__all__ = ["StoredRun", "find_model_in_service"]


@dataclass(frozen=True)
class StoredRun:
    """A run's long files in the data bucket, read as streams: of 500,000 photos, a manifest has 100 MB."""

    s3: S3Client
    bucket: str
    run: str

    def manifest(self) -> Iterator[ImageRecord] | None:
        """Return the photos that the run's model was trained and tested on, or None where no file says so any more."""
        lines = self._lines(f"{contract.RUNS_PREFIX}{self.run}/manifest/{Artefact.MANIFEST}")
        return None if lines is None else map(json.loads, lines)

    def predictions(self) -> Iterator[str] | None:
        """Return the lines of `Artefact.PREDICTIONS`, or None where there is no such file."""
        return self._lines(result_key(self.run, Artefact.PREDICTIONS))

    def _lines(self, key: str) -> Iterator[str] | None:
        try:
            body = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"]
        except ClientError as error:
            if is_missing_object(error):
                return None
            raise
        # With its end, so that a path with a line break stays whole in a table.
        return (line.decode() for line in body.iter_lines(chunk_size=1 << 16, keepends=True))


def find_model_in_service(
    s3: S3Client, sagemaker: SageMakerClient, *, bucket: str, endpoint: str, sleep_record: str, name_prefix: str
) -> ModelInService | None:
    """Return the model behind the endpoint, or the one that sleeps; None where there is neither."""
    config = config_in_service(sagemaker, endpoint=endpoint, sleep_record=sleep_record)
    if config is None:
        return None
    run = config.removeprefix(contract.job_prefix(name_prefix, ""))
    decision = read_if_present(s3, bucket=bucket, key=f"{contract.RUNS_PREFIX}{run}/{Artefact.DECISION}")
    return ModelInService(
        config=config,
        decision=json.loads(decision) if decision is not None else None,
        files=StoredRun(s3, bucket, run),
    )
