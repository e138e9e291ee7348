"""The Model Registry: groups, versions, approval, and models made of packages."""

from __future__ import annotations

import re
from typing import Any

import pytest

from local.sagemaker import SageMaker, SageMakerError
from tests.local.sagemaker.conftest import IMAGE, ROLE, FakeHost

ARN = "arn:aws:sagemaker:us-east-1:000000000000"
CONTAINER = {"Image": IMAGE, "ModelDataUrl": "s3://b/model.tar.gz", "Environment": {"FROM": "package"}}
SPECIFICATION = {
    "Containers": [CONTAINER],
    "SupportedContentTypes": ["image/jpeg"],
    "SupportedResponseMIMETypes": ["application/json"],
}


@pytest.fixture
def group(sagemaker: SageMaker) -> str:
    request = {
        "ModelPackageGroupName": "Photos",
        "ModelPackageGroupDescription": "of clothes",
        "Tags": [{"Key": "team", "Value": "a"}],
    }
    assert sagemaker.call("CreateModelPackageGroup", request) == {
        "ModelPackageGroupArn": f"{ARN}:model-package-group/Photos"
    }
    return "Photos"


def register(sagemaker: SageMaker, group: str, **members: Any) -> str:
    request = {"ModelPackageGroupName": group, "InferenceSpecification": SPECIFICATION, **members}
    arn: str = sagemaker.call("CreateModelPackage", request)["ModelPackageArn"]
    return arn


def listed(sagemaker: SageMaker, **parameters: Any) -> list[int]:
    found = sagemaker.call("ListModelPackages", parameters)["ModelPackageSummaryList"]
    return [package["ModelPackageVersion"] for package in found]


def test_a_group_is_described_listed_and_used_once(sagemaker: SageMaker, group: str) -> None:
    described = sagemaker.call("DescribeModelPackageGroup", {"ModelPackageGroupName": group})
    assert described["ModelPackageGroupStatus"] == "Completed"
    assert described["ModelPackageGroupDescription"] == "of clothes"
    by_arn = {"ModelPackageGroupName": described["ModelPackageGroupArn"]}
    assert sagemaker.call("DescribeModelPackageGroup", by_arn) == described
    (summary,) = sagemaker.call("ListModelPackageGroups", {"NameContains": "photo"})["ModelPackageGroupSummaryList"]
    assert summary["ModelPackageGroupArn"] == described["ModelPackageGroupArn"]
    assert sagemaker.call("ListModelPackageGroups", {"NameContains": "x"}) == {"ModelPackageGroupSummaryList": []}
    tags = sagemaker.call("ListTags", {"ResourceArn": described["ModelPackageGroupArn"]})
    assert tags == {"Tags": [{"Key": "team", "Value": "a"}]}
    with pytest.raises(SageMakerError, match="Model Package Group already exists: arn:"):
        sagemaker.call("CreateModelPackageGroup", {"ModelPackageGroupName": group})


def test_packages_are_numbered_versions_that_wait_for_their_approval(sagemaker: SageMaker, group: str) -> None:
    given = {
        "ModelPackageDescription": "the first",
        "CustomerMetadataProperties": {"run": "r1"},
        "MetadataProperties": {"CommitId": "abc"},
        "ModelMetrics": {"ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": "s3://b/e.json"}}},
        "SourceUri": "s3://b/runs/r1/",
    }
    first, second = register(sagemaker, group, **given), register(sagemaker, group, ModelApprovalStatus="Rejected")
    assert (first, second) == (f"{ARN}:model-package/Photos/1", f"{ARN}:model-package/Photos/2")
    package = sagemaker.call("DescribeModelPackage", {"ModelPackageName": first})
    assert package == sagemaker.call("DescribeModelPackage", {"ModelPackageName": "Photos/1"})
    assert {name: package[name] for name in given} == given
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    assert (package["ModelPackageGroupName"], package["ModelPackageVersion"]) == (group, 1)
    assert package["InferenceSpecification"] == SPECIFICATION
    assert package["ModelPackageStatus"] == "Completed"
    assert listed(sagemaker, ModelPackageGroupName=group) == [2, 1]
    assert listed(sagemaker, ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Ascending") == [1, 2]
    assert listed(sagemaker, ModelPackageGroupName=group, ModelApprovalStatus="Rejected") == [2]
    assert sagemaker.call("ListModelPackages", {}) == {"ModelPackageSummaryList": []}, "those without a group only"
    assert listed(sagemaker, ModelPackageType="Versioned") == [2, 1]


def test_an_update_changes_approval_and_metadata_and_is_announced(
    sagemaker: SageMaker, group: str, host: FakeHost
) -> None:
    arn = register(sagemaker, group, CustomerMetadataProperties={"a": "1", "b": "2"})
    update = {
        "ModelPackageArn": arn,
        "ModelApprovalStatus": "Approved",
        "ApprovalDescription": "looks fine",
        "CustomerMetadataProperties": {"a": "3"},
        "CustomerMetadataPropertiesToRemove": ["b"],
    }
    assert sagemaker.call("UpdateModelPackage", update) == {"ModelPackageArn": arn}
    package = sagemaker.call("DescribeModelPackage", {"ModelPackageName": arn})
    assert (package["ModelApprovalStatus"], package["ApprovalDescription"]) == ("Approved", "looks fine")
    assert package["CustomerMetadataProperties"] == {"a": "3"}
    kind, detail, resources = host.events[-1]
    assert (kind, resources) == ("SageMaker Model Package State Change", [arn])
    assert (detail["ModelPackageGroupName"], detail["ModelApprovalStatus"]) == (group, "Approved")
    assert "ModelApprovalStatus" in detail["UpdatedModelPackageFields"]
    assert [entry[1]["ModelApprovalStatus"] for entry in host.events] == ["PendingManualApproval", "Approved"]
    removal = {"ModelPackageArn": arn, "CustomerMetadataPropertiesToRemove": ["a"]}
    sagemaker.call("UpdateModelPackage", removal)
    sagemaker.call("UpdateModelPackage", removal)
    assert "CustomerMetadataProperties" not in sagemaker.call("DescribeModelPackage", {"ModelPackageName": arn})


def test_a_group_with_packages_cannot_be_deleted_and_numbers_are_not_given_again(
    sagemaker: SageMaker, group: str
) -> None:
    first = register(sagemaker, group)
    with pytest.raises(SageMakerError, match="still contains Model Packages") as error:
        sagemaker.call("DeleteModelPackageGroup", {"ModelPackageGroupName": group})
    assert error.value.code == "ConflictException"
    sagemaker.call("DeleteModelPackage", {"ModelPackageName": first})
    with pytest.raises(SageMakerError, match=f"ModelPackage {re.escape(first)} does not exist"):
        sagemaker.call("DescribeModelPackage", {"ModelPackageName": first})
    second = register(sagemaker, group)
    assert second.endswith("/Photos/2")
    sagemaker.call("DeleteModelPackage", {"ModelPackageName": second})
    sagemaker.call("DeleteModelPackageGroup", {"ModelPackageGroupName": group})
    with pytest.raises(SageMakerError, match=r"ModelPackageGroup arn:.*/Photos does not exist"):
        register(sagemaker, group)


def test_a_request_sent_again_with_its_token_makes_nothing_new(sagemaker: SageMaker, group: str) -> None:
    first = register(sagemaker, group, ClientToken="run-1")
    assert register(sagemaker, group, ClientToken="run-1") == first
    assert register(sagemaker, group, ClientToken="run-2") != first
    assert listed(sagemaker, ModelPackageGroupName=group) == [2, 1]


def test_a_package_without_a_group_has_a_name_and_no_approval(sagemaker: SageMaker) -> None:
    request = {"ModelPackageName": "alone", "InferenceSpecification": SPECIFICATION}
    arn = sagemaker.call("CreateModelPackage", request)["ModelPackageArn"]
    assert arn == f"{ARN}:model-package/alone"
    package = sagemaker.call("DescribeModelPackage", {"ModelPackageName": "alone"})
    assert package["ModelPackageName"] == "alone"
    assert "ModelApprovalStatus" not in package
    with pytest.raises(SageMakerError, match="ModelPackage already exists"):
        sagemaker.call("CreateModelPackage", request)
    with pytest.raises(SageMakerError, match="only to a version"):
        sagemaker.call("UpdateModelPackage", {"ModelPackageArn": arn, "ModelApprovalStatus": "Approved"})


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"ModelPackageGroupName": "Photos", "ModelPackageName": "b"}, "Cannot determine which one"),
        ({}, "Missing ARN"),
        ({"ModelPackageGroupName": "Photos", "InferenceSpecification": None}, "InferenceSpecification"),
        ({"ModelPackageGroupName": "Photos", "Tags": [{"Key": "a", "Value": "b"}]}, "Tags cannot be given"),
        ({"ModelPackageGroupName": "Photos", "ModelApprovalStatus": "Maybe"}, "enum value set"),
        ({"ModelPackageGroupName": "Photos", "CertifyForMarketplace": True}, "does not support CertifyForMarketplace"),
        ({"ModelPackageGroupName": "absent"}, "absent does not exist"),
    ],
)
@pytest.mark.usefixtures("group")
def test_a_wrong_package_is_refused_and_says_why(sagemaker: SageMaker, members: dict[str, Any], message: str) -> None:
    with pytest.raises(SageMakerError, match=message) as error:
        sagemaker.call("CreateModelPackage", {"InferenceSpecification": SPECIFICATION, **members})
    assert error.value.code == "ValidationException"


def test_a_model_is_made_of_an_approved_package(sagemaker: SageMaker, group: str, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="model.tar.gz", Body=b"")
    data = f"s3://{bucket}/model.tar.gz"
    specification = {**SPECIFICATION, "Containers": [{**CONTAINER, "ModelDataUrl": data}]}
    arn = register(sagemaker, group, InferenceSpecification=specification)
    container = {"ModelPackageName": arn, "Environment": {"MORE": "yes"}}
    request = {"ModelName": "packaged", "ExecutionRoleArn": ROLE, "PrimaryContainer": container}
    with pytest.raises(SageMakerError, match="is not approved"):
        sagemaker.call("CreateModel", request)
    sagemaker.call("UpdateModelPackage", {"ModelPackageArn": arn, "ModelApprovalStatus": "Approved"})
    sagemaker.call("CreateModel", request)
    described = sagemaker.call("DescribeModel", {"ModelName": "packaged"})["PrimaryContainer"]
    assert (described["Image"], described["ModelDataUrl"]) == (IMAGE, data)
    assert described["Environment"] == {"FROM": "package", "MORE": "yes"}


@pytest.mark.parametrize(
    ("operation", "parameters", "resource"),
    [
        ("CreateModelPackageGroup", {"ModelPackageGroupName": "g"}, f"{ARN}:model-package-group/g"),
        ("CreateModelPackage", {"ModelPackageGroupName": "g"}, f"{ARN}:model-package/g/*"),
        ("CreateModelPackage", {"ModelPackageName": "p"}, f"{ARN}:model-package/p"),
        ("DescribeModelPackage", {"ModelPackageName": f"{ARN}:model-package/g/3"}, f"{ARN}:model-package/g/3"),
        ("UpdateModelPackage", {"ModelPackageArn": f"{ARN}:model-package/g/3"}, f"{ARN}:model-package/g/3"),
        ("ListModelPackages", {"ModelPackageGroupName": "g"}, "*"),
    ],
)
def test_the_resource_a_policy_must_allow(
    sagemaker: SageMaker, operation: str, parameters: dict[str, str], resource: str
) -> None:
    assert sagemaker.resource_arn(operation, parameters) == resource
