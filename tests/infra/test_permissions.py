"""Least privilege: what the policies of the template allow."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from typing import Any

import pytest

import contract
from infra.permissions import NO_RESOURCES, Permission
from tests.infra.template import ACCOUNT, REGION, Template, listed

ASSETS = f"cdk-hnb659fds-assets-{ACCOUNT}-{REGION}"
"""The bootstrap bucket, which holds the code of every deployment."""


def test_no_policy_has_a_wildcard_action(template: Template) -> None:
    for name, statement in template.statements():
        assert "NotAction" not in statement, name
        for action in listed(statement["Action"]):
            assert "*" not in action, (name, action)


def test_wildcards_in_resources_only_end_a_name_of_this_system(template: Template) -> None:
    starts = (
        ":whippet-dev-",
        "model-package/whippet-dev/",
        "/whippet-dev-",
        "execution:whippet-dev:",
        ":::data-bucket/",
        ":log-stream:",
        f":::{ASSETS}/",
        ":scalable-target/",  # their ids are AWS's; the policies have conditions
        ":alarm:TargetTracking-endpoint/whippet-dev/variant/",
    )
    files = tuple(f"runs/*/{artefact}" for artefact in contract.Artefact)
    for name, statement in template.statements():
        for resource in listed(statement["Resource"]):
            if resource.endswith(files):
                continue
            if "*" in resource.removesuffix("*"):
                raise AssertionError((name, resource))
            if resource.endswith("*") and resource != "*" and not resource.endswith(":*"):
                assert any(start in resource for start in starts), (name, resource)


def test_roles_are_passed_to_sagemaker_only(template: Template) -> None:
    passing = [item for _, item in template.statements() if "iam:PassRole" in listed(item["Action"])]
    assert len(passing) == 1
    assert passing[0]["Condition"] == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    assert all("*" not in resource for resource in listed(passing[0]["Resource"]))


def test_the_training_role_cannot_change_the_photos(template: Template) -> None:
    writing = [
        resource
        for name, item in template.statements()
        if name.startswith("TrainingRole") and "s3:PutObject" in listed(item["Action"])
        for resource in listed(item["Resource"])
    ]
    assert {resource.removeprefix("arn:aws:s3:::data-bucket/") for resource in writing} == {
        *("runs/*", "features/*", "checkpoints/*", "debug/*")
    }


def test_the_training_role_deletes_checkpoints_and_nothing_else(template: Template) -> None:
    deleting = [
        item
        for name, item in template.statements()
        if name.startswith("TrainingRole") and any("Delete" in action for action in listed(item["Action"]))
    ]
    (statement,) = deleting
    assert listed(statement["Action"]) == ["s3:DeleteObject"]
    assert listed(statement["Resource"]) == ["arn:aws:s3:::data-bucket/checkpoints/*"]


def test_an_existing_bucket_is_used_and_read_below_the_prefix_only(synthesise: Callable[..., Template]) -> None:
    template = synthesise(**{"dataset.bucket": "photos-of-ours", "dataset.prefix": "shop/"})
    assert not template.of_type("AWS::S3::Bucket")
    objects = {
        resource
        for _, item in template.statements()
        if "s3:GetObject" in listed(item["Action"])
        for resource in listed(item["Resource"])
        if ":::photos-of-ours" in resource
    }
    assert {resource.split("photos-of-ours/")[1] for resource in objects} == {
        *("shop/*", "runs/*", "features/*", "checkpoints/*", "debug/*", "batches/*"),
        *("runs/*/decision.json", "runs/*/model.tar.gz", "runs/*/manifest/dataset.json", "runs/*/tidied.json"),
        "releases/lock_whippet-dev.json",
    }

    # CheckDataset finds the model in service, and the data set of a run that is tried again, and reads nothing else
    of_runs = {
        resource.split("photos-of-ours/")[1]
        for name, item in template.statements()
        if "CheckDataset" in name and "s3:GetObject" in listed(item["Action"])
        for resource in listed(item["Resource"])
        if ":::photos-of-ours/runs/" in resource
    }
    assert of_runs == {"runs/*/decision.json", "runs/*/model.tar.gz", "runs/*/manifest/dataset.json"}


@pytest.mark.parametrize("owner", ["Verdict", "TrainingRole"])
def test_the_model_in_service_and_its_run_can_be_read(template: Template, owner: str) -> None:
    reading = {
        resource
        for name, item in template.statements()
        if owner in name and "s3:GetObject" in listed(item["Action"])
        for resource in listed(item["Resource"])
    }
    for key in ("manifest/manifest.jsonl", "results/test_predictions.csv", "training/j-train/output/model.tar.gz"):
        assert any(fnmatch.fnmatchcase(f"arn:aws:s3:::data-bucket/runs/1/{key}", resource) for resource in reading)


def test_the_training_role_serves_the_rules_job_too(template: Template) -> None:
    statements = [item for name, item in template.statements() if name.startswith("TrainingRole")]
    logs = [resource for item in statements for resource in listed(item["Resource"]) if ":log-group:" in resource]
    assert {"TrainingJobs", "ProcessingJobs"} == {name.split("/aws/sagemaker/")[1].split(":")[0] for name in logs}
    (metrics,) = [item for item in statements if "cloudwatch:PutMetricData" in listed(item["Action"])]
    assert metrics["Condition"]["StringEquals"]["cloudwatch:namespace"] == [
        "/aws/sagemaker/TrainingJobs",
        "/aws/sagemaker/ProcessingJobs",
    ]
    (listing,) = [
        item["Condition"]["StringLike"]["s3:prefix"]
        for item in statements
        if "s3:ListBucket" in listed(item["Action"]) and item["Resource"] == f"arn:aws:s3:::{ASSETS}"
    ]
    program = template.definition()["States"]["Rules"]["Parameters"]["ProcessingInputs"][0]["S3Input"]["S3Uri"]
    assert listing == ["*.zip"], "a processing job lists the prefix of its program"
    assert program.startswith(f"s3://{ASSETS}/")
    assert program.endswith(".zip")


def test_only_the_verdict_that_reads_sagemakers_rules_may_describe_trainings(
    template: Template, synthesise: Callable[..., Template]
) -> None:
    def may(chosen: Template) -> bool:
        return any(
            "sagemaker:DescribeTrainingJob" in listed(item["Action"])
            for name, item in chosen.statements()
            if name.startswith("FunctionsVerdict")
        )

    assert may(template)
    assert not may(synthesise(**{"debugger.mode": "own", "release.approval": "manual"}))


def test_a_wildcard_without_a_reason_is_refused() -> None:
    with pytest.raises(ValueError, match=r"s3:GetObject on arn:aws:s3:::photos/\*: a wildcard needs a reason"):
        Permission(actions=["s3:GetObject"], resources=["arn:aws:s3:::photos/*"])
    assert Permission(actions=["sagemaker:ListModels"], resources=["*"], reason=NO_RESOURCES).wildcards == ["*"]


def training_role(template: Template) -> list[dict[str, Any]]:
    """The statements of the jobs' role, refusing ones included."""
    return [
        template.value(statement)
        for name, item in template.of_type("AWS::IAM::Policy").items()
        if name.startswith("TrainingRole")
        for statement in item["Properties"]["PolicyDocument"]["Statement"]
    ]


@pytest.mark.parametrize(
    ("settings", "may"),
    [
        ({}, True),
        ({"debugger.mode": "managed"}, True),
        ({"debugger.mode": "own"}, False),
        ({"debugger.mode": "off"}, False),
    ],
    ids=lambda value: str(value),
)
def test_the_jobs_may_pull_the_image_of_sagemakers_rules_where_it_may_be_used(
    synthesise: Callable[..., Template], settings: dict[str, str], may: bool
) -> None:
    """SageMaker evaluates its rules in processing jobs of the account, under the role of the training."""
    repository = "arn:aws:ecr:eu-west-1:929884845733:repository/sagemaker-debugger-rules"
    pulled = {
        action
        for item in training_role(synthesise(**settings))
        if item["Effect"] == "Allow" and repository in listed(item["Resource"])
        for action in listed(item["Action"])
    }
    pull = {"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}
    assert pulled == (pull if may else set())


def test_neither_jobs_nor_the_endpoint_can_read_the_token_of_a_question(
    synthesise: Callable[..., Template],
) -> None:
    template = synthesise(**{"release.approval": "manual"})
    question = f"arn:aws:s3:::data-bucket/{contract.approval_key('run-1')}"
    (refused,) = [item for item in training_role(template) if item["Effect"] == "Deny"]
    assert "s3:GetObject" in listed(refused["Action"])
    assert any(fnmatch.fnmatchcase(question, resource) for resource in listed(refused["Resource"]))
    for name, item in template.statements():
        if "s3:GetObject" in listed(item["Action"]) and name.startswith(("EndpointRole", "FunctionsReport")):
            assert not any(fnmatch.fnmatchcase(question, resource) for resource in listed(item["Resource"])), name


def test_only_the_run_and_what_tidies_up_after_it_write_who_served_when(template: Template) -> None:
    """Neither jobs nor the endpoint nor the API can make a bad model one to fall back to."""
    record = f"arn:aws:s3:::data-bucket/{contract.RELEASES_PREFIX}20261129T180211.123000Z_released_a-1_none.json"
    writers = {
        name
        for name, item in template.statements()
        if {"s3:PutObject", "s3:*"} & set(listed(item["Action"]))
        and any(fnmatch.fnmatchcase(record, resource) for resource in listed(item["Resource"]))
    }
    assert len(writers) == 2
    assert {name.partition("Policy")[0] for name in writers} == {"FunctionsRecordRelease", "TidyUpFunction"}
