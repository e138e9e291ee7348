"""What a run that was ended leaves beside its jobs and the endpoint: its package, model and configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.custom_resource import Deadline
from shared.listing import call_unless_gone
from shared.patience import patiently

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker.type_defs import ModelPackageSummaryTypeDef

__all__ = ["delete_model", "reject_package"]

_UNDECIDED: Final = ("Approved", "PendingManualApproval")


def reject_package(sagemaker: SageMakerClient, *, group: str, run: str, why: str, deadline: Deadline) -> str:
    """Reject the run's version in the registry, so that nobody deploys or waits for it; say so, or nothing."""
    package = _package(sagemaker, group=group, run=run, deadline=deadline)
    if package is None or package["ModelApprovalStatus"] not in _UNDECIDED:
        return ""
    arn = package["ModelPackageArn"]
    patiently(
        lambda: sagemaker.update_model_package(
            ModelPackageArn=arn, ModelApprovalStatus="Rejected", ApprovalDescription=why
        ),
        deadline=deadline,
        doing=f"rejecting {arn}",
    )
    return f"its model package {arn} was rejected"


def _package(
    sagemaker: SageMakerClient, *, group: str, run: str, deadline: Deadline
) -> ModelPackageSummaryTypeDef | None:
    """Return the run's version, which RegisterModel described by the run's name."""
    pages = sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending"
    )
    doing = f"looking for the model package of run {run}"

    def find() -> ModelPackageSummaryTypeDef | None:
        for page in pages:
            for package in page["ModelPackageSummaryList"]:
                if package.get("ModelPackageDescription") == f"Run {run}":
                    return package
            # the next page is another call
            deadline.check(doing)
        return None

    return patiently(find, deadline=deadline, doing=doing)


def delete_model(sagemaker: SageMakerClient, name: str, *, config: str | None = None, deadline: Deadline) -> None:
    """Delete an entry of a model and its endpoint configuration, which nothing serves; they may not exist.

    `config` is the configuration's name, where it is not the model's.
    """
    config = config or name
    call_unless_gone(
        sagemaker.delete_endpoint_config, EndpointConfigName=config, deadline=deadline, doing=f"deleting {config}"
    )
    call_unless_gone(sagemaker.delete_model, ModelName=name, deadline=deadline, doing=f"deleting the model {name}")
