"""The Model Registry: groups of model packages, and packages as numbered versions in a group or on their own.

Unlike SageMaker, it does not check that a package's image and model data exist. There are no validation jobs, no model
cards, no life cycle stages and no sharing between accounts.
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
"""CustomerMetadataProperties that a package may have (API reference, CreateModelPackage)."""


def package_key(name_or_arn: str) -> str:
    """Return `group/version`, or the name of a package without a group, from a name or an ARN."""
    return name_or_arn.partition(":model-package/")[2] or name_or_arn


def group_key(name_or_arn: str) -> str:
    """Return the name of a group, from a name or an ARN."""
    return name_or_arn.rpartition("/")[2]


def registry_arn(store: Store, operation: str, parameters: Record) -> str | None:
    """Return the ARN that an IAM policy must allow for an operation of the registry; None for other operations."""
    if operation in ("CreateModelPackageGroup", "DescribeModelPackageGroup", "DeleteModelPackageGroup"):
        return store.arn(MODEL_PACKAGE_GROUP, group_key(str(parameters.get("ModelPackageGroupName", ""))))
    if operation == "CreateModelPackage" and "ModelPackageGroupName" in parameters:
        # the version is not known yet, so the policy must allow every version of the group
        return store.arn(MODEL_PACKAGE, f"{group_key(str(parameters['ModelPackageGroupName']))}/*")
    if operation == "UpdateModelPackage":
        return store.arn(MODEL_PACKAGE, package_key(str(parameters.get("ModelPackageArn", ""))))
    if operation in ("CreateModelPackage", "DescribeModelPackage", "DeleteModelPackage"):
        return store.arn(MODEL_PACKAGE, package_key(str(parameters.get("ModelPackageName", ""))))
    return None


class Registry:
    """The operations of the Model Registry, on model packages and their groups."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store
        self._lock = threading.Lock()
        self._versions: dict[str, int] = {}
        self._by_token: dict[str, str] = {}

    def create_group(self, parameters: Record) -> Record:
        """Answer CreateModelPackageGroup.

        Raises:
            SageMakerError: the name is taken.
        """
        if "ManagedConfiguration" in parameters:
            raise validation("The local SageMaker does not support ManagedConfiguration; leave it out.")
        record = self._store.create(MODEL_PACKAGE_GROUP, parameters, ModelPackageGroupStatus="Completed", CreatedBy={})
        with self._lock:
            self._versions[record["ModelPackageGroupName"]] = 0
        return {"ModelPackageGroupArn": record["ModelPackageGroupArn"]}

    def describe_group(self, parameters: Record) -> Record:
        """Answer DescribeModelPackageGroup, by name or ARN."""
        return self._store.get(MODEL_PACKAGE_GROUP, group_key(parameters["ModelPackageGroupName"]))

    def list_groups(self, parameters: Record) -> Record:
        """Answer ListModelPackageGroups; other accounts share no groups here."""
        if parameters.get("CrossAccountFilterOption") == "CrossAccount":
            return {"ModelPackageGroupSummaryList": []}
        wanted = select(MODEL_PACKAGE_GROUP, self._store.all(MODEL_PACKAGE_GROUP), parameters)
        shown, token = page(wanted, parameters)
        return {"ModelPackageGroupSummaryList": shown, **token}

    def delete_group(self, parameters: Record) -> None:
        """Answer DeleteModelPackageGroup.

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
        """Answer CreateModelPackage: create the next version in a group, or a package with a name of its own.

        A request that is sent again with the same ClientToken creates nothing.

        Raises:
            SageMakerError: the request is wrong, there is no such group, or the name is taken.
        """
        # check the request
        for member in _UNSUPPORTED:
            if parameters.get(member):
                raise validation(f"The local SageMaker does not support {member}; leave it out.")
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

        # create the package unless a request with this token did
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
        """Answer DescribeModelPackage, by ARN, by name or by `group/version`."""
        return _shown(self._store.get(MODEL_PACKAGE, package_key(parameters["ModelPackageName"])))

    def list_packages(self, parameters: Record) -> Record:
        """Answer ListModelPackages: list the versions of a group, or packages without one, by ModelPackageType."""
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
        """Answer UpdateModelPackage. Approval status and description and CustomerMetadataProperties can be changed.

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

            # new properties are added to those that are there; the others are removed
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
        """Answer DeleteModelPackage, by ARN, by name or by `group/version`."""
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

        # a number is never given twice, even if its version is deleted
        self._versions[group] = version
        return record

    def _create_unversioned(self, request: Record) -> Record:
        if "ModelApprovalStatus" in request:
            raise validation("ModelApprovalStatus can be given only to a version in a model package group.")
        return self._store.create(MODEL_PACKAGE, request, **_COMPLETED)

    def _packages(self, group: str | None) -> list[Record]:
        """Return every package, or those of a group, in order of creation."""
        every = self._store.all(MODEL_PACKAGE)
        return every if group is None else [one for one in every if one.get("ModelPackageGroupName") == group]


_COMPLETED: Final[Record] = {
    "ModelPackageStatus": "Completed",
    "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
    "CreatedBy": {},
}


def _shown(record: Record) -> Record:
    """Return the record as Describe and List answer it: a version in a group has no ModelPackageName."""
    return {key: value for key, value in record.items() if key != "ModelPackageName" or "/" not in value}
