"""The approvals in the model registry: what a rollback goes by, and what it changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cli.releases import Releases
    from cli.target import Target

__all__ = ["Package", "list_packages", "mark_packages"]

_MAX_DESCRIPTION: Final = 1024
"""Longest ApprovalDescription (UpdateModelPackage)."""


@dataclass(frozen=True)
class Package:
    """A run's model in the registry."""

    arn: str
    run: str
    approval: str
    """Approved, Rejected or PendingManualApproval."""


def list_packages(target: Target) -> Iterator[Package]:
    """Yield the model packages of an environment, a run's one or several."""
    pages = target.client("sagemaker").get_paginator("list_model_packages")
    for page in pages.paginate(ModelPackageGroupName=target.settings.prefix):
        for package in page["ModelPackageSummaryList"]:
            run = package.get("ModelPackageDescription", "").removeprefix("Run ")
            yield Package(package["ModelPackageArn"], run, package["ModelApprovalStatus"])


def mark_packages(releases: Releases, *, old: str, new: str, by: str, reason: str) -> None:
    """Set the approvals in the model registry: what was put back is approved, what was taken out is rejected.

    A model that was replaced by a younger one, which had been rolled back before, stays approved.
    """
    why = f": {reason}" if reason else "."
    wanted = {new: ("Approved", f"Put back into service by {by} in place of run {old}{why}")}
    if old not in releases.lineage or new in releases.lineage:
        wanted[old] = ("Rejected", f"Rolled back to run {new} by {by}{why}")
    sagemaker = releases.target.client("sagemaker")
    for package in list_packages(releases.target):
        status, description = wanted.get(package.run, (package.approval, ""))
        if package.approval != status:
            sagemaker.update_model_package(
                ModelPackageArn=package.arn,
                ModelApprovalStatus=status,
                ApprovalDescription=description[:_MAX_DESCRIPTION],
            )
