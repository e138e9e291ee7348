"""AWS's quotas that this project meets: names and codes of Service Quotas, and the numbers of a new account.

`quotas.csv` is the table. Its sources, looked up on 2026-11-28:

- Codes and names: Service Quotas, as public lists have them that were made with ListAWSDefaultServiceQuotas in March
  2026.
- Defaults: the same operation in February 2024. Reports of 2026-07 and 2026-08 agree: every on-demand quota of training
  is 0, and so is every one of processing but those of ml.t3; ml.m5.large has 4 for spot training and 0 for endpoints.
  Types that are newer than that list have 0, as every other one that is not burstable. Those of transform jobs are an
  assumption: as those of processing jobs.
- The two limits of tuning jobs have no code: SageMaker developer guide, "Resource Limits for Automatic Model Tuning".

An account that is used for a while may get higher numbers. CodeBuild may refuse builds of a new account although its
quota is not 0.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Final

from local.sagemaker.account.operations import service_model

__all__ = [
    "GENEROUS",
    "PARALLEL_TRIALS",
    "SERVICE_CODES",
    "TUNING_JOBS",
    "Quota",
    "example",
    "instance_quota",
    "is_known",
    "quotas",
]

SERVICE_CODES: Final = ("codebuild", "lambda", "sagemaker")

GENEROUS: Final = 100
"""The limit of everything that the document does not name, so that a fresh local cloud can run the demo."""

TUNING_JOBS: Final = "Number of parallel hyperparameter tuning jobs"
PARALLEL_TRIALS: Final = "Number of parallel training jobs per hyperparameter tuning job"

_USES: Final = {
    "training job": "TrainingInstanceType",
    "spot training job": "TrainingInstanceType",
    "processing job": "ProcessingInstanceType",
    "transform job": "TransformInstanceType",
    "endpoint": "ProductionVariantInstanceType",
}
"""What instances are used for, and the shape of SageMaker's API that lists the types for it."""


@dataclass(frozen=True)
class Quota:
    """One quota.

    Attributes:
        service: the service's code in Service Quotas.
        code: the quota's code, such as L-E2BB44FE; empty if Service Quotas does not list it.
        default: the number that a new account has.
        name: as Service Quotas shows it.
    """

    service: str
    code: str
    default: int
    name: str


@cache
def quotas() -> tuple[Quota, ...]:
    """Return the table."""
    with Path(__file__).with_name("quotas.csv").open(newline="") as file:
        return tuple(
            Quota(service=row["service"], code=row["code"], default=int(row["default"]), name=row["name"])
            for row in csv.DictReader(file)
        )


def instance_quota(instance_type: str, use: str) -> str:
    """Return the name of the quota of an instance type, such as "ml.m5.large for endpoint usage"."""
    return f"{instance_type} for {use} usage"


def is_known(service: str, pattern: str) -> bool:
    """Tell whether a name, code or pattern stands for a quota of the service."""
    return any(fnmatchcase(name, pattern) for name in _names(service))


def example(service: str) -> str:
    """Return the name of one quota of the service."""
    return next(quota.name for quota in quotas() if quota.service == service)


@cache
def _names(service: str) -> frozenset[str]:
    """Return the names and codes of the table, and for SageMaker the quotas of every instance type of its API."""
    names = {text for quota in quotas() if quota.service == service for text in (quota.name, quota.code) if text}
    if service == "sagemaker":
        model = service_model("sagemaker")
        names |= {
            instance_quota(instance_type, use)
            for use, shape in _USES.items()
            for instance_type in model.shape_for(shape).enum
        }
    return frozenset(names)
