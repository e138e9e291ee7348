"""The Model Registry: groups of model packages, and packages as numbered versions in a group or by themselves.

A package is kept as it is given: SageMaker would look its image and its model data up. There are no validation jobs, no
model cards of their own, no life cycle stages and no sharing between accounts.
"""

from __future__ import annotations

import threading
from typing import Final

from local.sagemaker.context import Context
from local.sagemaker.errors import SageMakerError, validation
from local.sagemaker.listing import page, select
from local.sagemaker.resources import MODEL_PACKAGE, MODEL_PACKAGE_GROUP
from local.sagemaker.store import Record, Store

__all__ = ["Registry", "group_key", "package_key", "registry_arn"]

_UNSUPPORTED: Final = (
    "ValidationSpecification",
    "SourceAlgorithmSpecification",
    "CertifyForMarketplace",
    "ModelCard",
    "ModelLifeCycle",
)
_CHANGEABLE: Final = (
    "ModelApprovalStatus",
    "ApprovalDescription",
    "CustomerMetadataProperties",
    "CustomerMetadataPropertiesToRemove",
)
_MAX_METADATA: Final = 50
"""CustomerMetadataProperties of a package (API reference)."""


def package_key(name_or_arn: str) -> str:
    """`group/version`, or the name of a package without a group."""
    return name_or_arn.partition(":model-package/")[2] or name_or_arn


def group_key(name_or_arn: str) -> str:
    """Name of a group."""
    return name_or_arn.rpartition("/")[2]


def registry_arn(store: Store, operation: str, parameters: Record) -> str | None:
    """ARN an IAM policy must allow for an operation of the registry; None for any other operation.

    Which version CreateModelPackage will make is not known before: the policy must allow every one of the group.
    """
    if operation in ("CreateModelPackageGroup", "DescribeModelPackageGroup", "DeleteModelPackageGroup"):
        return store.arn(MODEL_PACKAGE_GROUP, group_key(str(parameters.get("ModelPackageGroupName", ""))))
    if operation == "CreateModelPackage" and "ModelPackageGroupName" in parameters:
        return store.arn(MODEL_PACKAGE, f"{group_key(str(parameters['ModelPackageGroupName']))}/*")
    if operation == "UpdateModelPackage":
        return store.arn(MODEL_PACKAGE, package_key(str(parameters.get("ModelPackageArn", ""))))
    if operation in ("CreateModelPackage", "DescribeModelPackage", "DeleteModelPackage"):
        return store.arn(MODEL_PACKAGE, package_key(str(parameters.get("ModelPackageName", ""))))
    return None


class Registry:
    """The operations on model packages and their groups."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store
        self._lock = threading.Lock()
        self._versions: dict[str, int] = {}
        self._by_token: dict[str, str] = {}

    def create_group(self, parameters: Record) -> Record:
        """CreateModelPackageGroup.

        Raises:
            SageMakerError: the name is taken.
        """
        if "ManagedConfiguration" in parameters:
            raise validation("The local SageMaker has no ManagedConfiguration; leave it out.")
        record = self._store.create(MODEL_PACKAGE_GROUP, parameters, ModelPackageGroupStatus="Completed", CreatedBy={})
        with self._lock:
            self._versions[record["ModelPackageGroupName"]] = 0
        return {"ModelPackageGroupArn": record["ModelPackageGroupArn"]}

    def describe_group(self, parameters: Record) -> Record:
        """DescribeModelPackageGroup, by name or ARN."""
        return self._store.get(MODEL_PACKAGE_GROUP, group_key(parameters["ModelPackageGroupName"]))

    def list_groups(self, parameters: Record) -> Record:
        """ListModelPackageGroups."""
        if parameters.get("CrossAccountFilterOption") == "CrossAccount":
            return {"ModelPackageGroupSummaryList": []}
        wanted = select(MODEL_PACKAGE_GROUP, self._store.all(MODEL_PACKAGE_GROUP), parameters)
        shown, token = page(wanted, parameters)
        return {"ModelPackageGroupSummaryList": shown, **token}

    def delete_group(self, parameters: Record) -> None:
        """DeleteModelPackageGroup.

        Raises:
            SageMakerError: there is no such group, or it has packages.
        """
        name = group_key(parameters["ModelPackageGroupName"])
        with self._lock:
            arn = self._store.get(MODEL_PACKAGE_GROUP, name)["ModelPackageGroupArn"]
            if self._packages(name):
                raise SageMakerError(
                    "ConflictException",
                    f"Model Package Group {arn} cannot be deleted because it still contains Model Packages.",
                )
            self._store.delete(MODEL_PACKAGE_GROUP, name)
            del self._versions[name]

    def create_package(self, parameters: Record) -> Record:
        """CreateModelPackage: the next version in a group, or a package of its own name.

        A request that is sent again with its ClientToken makes nothing new.

        Raises:
            SageMakerError: the request is wrong, there is no such group, or the name is taken.
        """
        for member in _UNSUPPORTED:
            if parameters.get(member):
                raise validation(f"The local SageMaker has no {member}; leave it out.")
        grouped = "ModelPackageGroupName" in parameters
        if grouped and "ModelPackageName" in parameters:
            raise validation(
                "Both ModelPackageName and ModelPackageGroupName are provided in the input. Cannot determine which one "
                "to use."
            )
        if not grouped and "ModelPackageName" not in parameters:
            raise validation("Missing ARN.")
        if "InferenceSpecification" not in parameters and "SourceUri" not in parameters:
            raise validation("You must specify InferenceSpecification or SourceUri.")
        request = {key: value for key, value in parameters.items() if key != "ClientToken"}
        with self._lock:
            token = parameters.get("ClientToken")
            if token in self._by_token:
                return {"ModelPackageArn": self._by_token[token]}
            record = self._create_version(request) if grouped else self._create_unversioned(request)
            if token is not None:
                self._by_token[token] = record["ModelPackageArn"]
        self._context.announce(MODEL_PACKAGE, package_key(record["ModelPackageArn"]))
        return {"ModelPackageArn": record["ModelPackageArn"]}

    def describe_package(self, parameters: Record) -> Record:
        """DescribeModelPackage, by ARN, by name or by `group/version`."""
        return _shown(self._store.get(MODEL_PACKAGE, package_key(parameters["ModelPackageName"])))

    def list_packages(self, parameters: Record) -> Record:
        """ListModelPackages: versions of a group, or packages without one (as ModelPackageType says)."""
        group = group_key(parameters["ModelPackageGroupName"]) if "ModelPackageGroupName" in parameters else None
        if group is not None:
            self._store.get(MODEL_PACKAGE_GROUP, group)
        kind = parameters.get("ModelPackageType", "Unversioned" if group is None else "Versioned")
        wanted = [
            record
            for record in self._packages(group)
            if kind in ("Both", "Versioned" if "ModelPackageGroupName" in record else "Unversioned")
            and parameters.get("ModelApprovalStatus") in (None, record.get("ModelApprovalStatus"))
        ]
        shown, token = page(select(MODEL_PACKAGE, wanted, parameters), parameters)
        return {"ModelPackageSummaryList": [_shown(record) for record in shown], **token}

    def update_package(self, parameters: Record) -> Record:
        """UpdateModelPackage: approval, its description, and the customer's metadata; nothing else may change here.

        Raises:
            SageMakerError: there is no such package, or the request asks for another change.
        """
        key = package_key(parameters["ModelPackageArn"])
        changes = {name: value for name, value in parameters.items() if name not in ("ModelPackageArn", "ClientToken")}
        for name in changes:
            if name not in _CHANGEABLE:
                raise validation(f"The local SageMaker does not change {name} of a model package; leave it out.")
        with self._store.change(MODEL_PACKAGE, key) as record:
            if "ModelApprovalStatus" in changes and "ModelPackageGroupName" not in record:
                raise validation("ModelApprovalStatus can be given only to a version in a model package group.")
            metadata = {
                **(record.get("CustomerMetadataProperties") or {}),
                **changes.pop("CustomerMetadataProperties", {}),
            }
            for name in changes.pop("CustomerMetadataPropertiesToRemove", []):
                metadata.pop(name, None)
            if len(metadata) > _MAX_METADATA:
                raise validation(
                    f"A model package can have {_MAX_METADATA} CustomerMetadataProperties, not {len(metadata)}."
                )
            record |= {**changes, "CustomerMetadataProperties": metadata or None, "LastModifiedBy": {}}
            arn = record["ModelPackageArn"]
        changed = sorted({name.removesuffix("ToRemove") for name in parameters if name in _CHANGEABLE})
        self._context.announce(MODEL_PACKAGE, key, UpdatedModelPackageFields=changed)
        return {"ModelPackageArn": arn}

    def delete_package(self, parameters: Record) -> None:
        """DeleteModelPackage, by ARN, by name or by `group/version`."""
        self._store.delete(MODEL_PACKAGE, package_key(parameters["ModelPackageName"]))

    def _create_version(self, request: Record) -> Record:
        if request.get("Tags"):
            raise validation("Tags cannot be given to a version: it has those of its model package group.")
        group = group_key(request["ModelPackageGroupName"])
        self._store.get(MODEL_PACKAGE_GROUP, group)
        version = self._versions[group] + 1
        record = self._store.create(
            MODEL_PACKAGE,
            {
                "ModelApprovalStatus": "PendingManualApproval",
                **request,
                "ModelPackageName": f"{group}/{version}",
                "ModelPackageGroupName": group,
            },
            ModelPackageVersion=version,
            **_COMPLETED,
        )
        self._versions[group] = version  # never given twice, not even that of a deleted version
        return record

    def _create_unversioned(self, request: Record) -> Record:
        if "ModelApprovalStatus" in request:
            raise validation("ModelApprovalStatus can be given only to a version in a model package group.")
        return self._store.create(MODEL_PACKAGE, request, **_COMPLETED)

    def _packages(self, group: str | None) -> list[Record]:
        """Every package, or those of a group, in order of creation."""
        every = self._store.all(MODEL_PACKAGE)
        return every if group is None else [one for one in every if one.get("ModelPackageGroupName") == group]


_COMPLETED: Final[Record] = {
    "ModelPackageStatus": "Completed",
    "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
    "CreatedBy": {},
}


def _shown(record: Record) -> Record:
    """A version has a number and a group, and no name of its own."""
    return {key: value for key, value in record.items() if key != "ModelPackageName" or "/" not in value}
