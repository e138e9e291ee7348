"""What a rollback changes in the model registry: the approval of two model packages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cli.releases import Releases

__all__ = ["mark_packages"]

_MAX_DESCRIPTION: Final = 1024
"""Longest ApprovalDescription (UpdateModelPackage)."""


def mark_packages(releases: Releases, *, old: str, new: str, by: str, reason: str) -> None:
    """Set the approvals in the model registry: what was put back is approved, what was taken out is rejected.

    A model that was replaced by a younger one, which had been rolled back before, stays approved.
    """
    why = f": {reason}" if reason else "."
    wanted = {new: ("Approved", f"Put back into service by {by} in place of run {old}{why}")}
    if old not in releases.lineage or new in releases.lineage:
        wanted[old] = ("Rejected", f"Rolled back to run {new} by {by}{why}")
    sagemaker, group = releases.target.client("sagemaker"), releases.target.settings.prefix
    for page in sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group):
        for package in page["ModelPackageSummaryList"]:
            run = package.get("ModelPackageDescription", "").removeprefix("Run ")
            status, description = wanted.get(run, (package["ModelApprovalStatus"], ""))
            if package["ModelApprovalStatus"] != status:
                sagemaker.update_model_package(
                    ModelPackageArn=package["ModelPackageArn"],
                    ModelApprovalStatus=status,
                    ApprovalDescription=description[:_MAX_DESCRIPTION],
                )
