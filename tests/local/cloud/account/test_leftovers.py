"""`whippet leftovers` on an account in which a stack was destroyed, or let go, and another environment stands."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

import contract
from cli import CliError
from cli.leftovers import sagemaker as sagemaker_leftovers
from cli.leftovers.command import as_json, find_leftovers, remove_leftovers, show_leftovers
from cli.leftovers.leftover import Leftover, OwnNames
from cli.target import Target
from infra.settings import Settings
from tests.local.cloud.account.conftest import processing_job, tuning_job
from tests.local.cloud.conftest import SERVING_IMAGE, until

if TYPE_CHECKING:
    from tests.local.cloud.account.conftest import Documented

OWN, OTHER = "whippet-left", "whippet-left2"


@pytest.fixture
def target(strict: Documented, monkeypatch: pytest.MonkeyPatch) -> Target:
    monkeypatch.setattr(sagemaker_leftovers, "_POLL_SECONDS", 0.1)
    settings = Settings.model_validate({"env": "left"})
    environment = strict.cloud.environment()
    return Target(settings=settings, overrides=("env=left",), environment=environment, cloud=strict.cloud)


def found(target: Target) -> dict[str, Leftover]:
    return {str(leftover): leftover for leftover in find_leftovers(target)}


def removed(target: Target, *, data: bool = False, asked: list[str] | None = None) -> str:
    """What the removal says."""
    console = Console(record=True, width=400)
    questions: list[str] = [] if asked is None else asked
    remove_leftovers(target, find_leftovers(target), data=data, confirm=questions.append, console=console)
    return console.export_text()


def make_model(strict: Documented, role: str, name: str) -> None:
    sagemaker = strict.client("sagemaker")
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer={"Image": SERVING_IMAGE})
    variant = {"VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])


def delete_model(strict: Documented, name: str) -> None:
    sagemaker = strict.client("sagemaker")
    sagemaker.delete_endpoint_config(EndpointConfigName=name)
    sagemaker.delete_model(ModelName=name)


def test_everything_of_the_environment_goes_and_nothing_of_its_neighbour(
    strict: Documented, target: Target, training: dict[str, Any], jobs_role: str
) -> None:
    sagemaker, logs, sns = (strict.client(service) for service in ("sagemaker", "logs", "sns"))
    for prefix in (OWN, OTHER):
        make_model(strict, jobs_role, f"{prefix}-1")
        sagemaker.create_model_package_group(ModelPackageGroupName=prefix)
    sagemaker.create_model_package(
        ModelPackageGroupName=OWN,
        InferenceSpecification={
            "Containers": [{"Image": SERVING_IMAGE}],
            "SupportedContentTypes": ["image/jpeg"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
    )
    sagemaker.create_endpoint(EndpointName=OWN, EndpointConfigName=f"{OWN}-1")

    # jobs that have ended, and two that have not
    sagemaker.create_training_job(**training | {"TrainingJobName": f"{OWN}-1-train"})
    sagemaker.create_training_job(**training | {"TrainingJobName": f"{OTHER}-1-train"})
    sagemaker.create_hyper_parameter_tuning_job(**tuning_job(f"{OWN}-1", training))
    sagemaker.create_processing_job(**processing_job(f"{OWN}-1-rules", jobs_role))
    sagemaker.create_training_job(**training | {"TrainingJobName": f"{OWN}-2-slow"})
    describe = sagemaker.describe_training_job
    until(lambda: describe(TrainingJobName=f"{OWN}-1-train"), lambda seen: seen["TrainingJobStatus"] != "InProgress")
    until(lambda: describe(TrainingJobName=f"{OTHER}-1-train"), lambda seen: seen["TrainingJobStatus"] != "InProgress")

    # logs, and parts of a stack that CloudFormation was told to let go
    for group in (f"/aws/lambda/Whippet-left-Fn1A2B-{'x' * 12}", "/aws/lambda/Other"):
        logs.create_log_group(logGroupName=group)
    own_topic = sns.create_topic(Name="Whippet-left-NotificationsTopicEB7A-kq3")["TopicArn"]
    other_topic = sns.create_topic(Name="Whippet-left2-NotificationsTopicEB7A-kq3")["TopicArn"]

    seen = found(target)
    assert seen["running training job whippet-left-2-slow"].bill == "by the hour"
    assert seen["endpoint whippet-left"].bill == "by the hour"
    assert not [name for name in seen if OTHER in name or "Whippet-left2" in name or "Other" in name]

    asked: list[str] = []
    text = removed(target, asked=asked)
    assert [question.partition(" of ")[2] for question in asked] == [f"Whippet-left {target.place}?"]
    assert "removing endpoint whippet-left ..." in text
    left = [name for name, leftover in found(target).items() if leftover.remove is not None]
    assert left == []

    # the neighbour is as it was
    assert [item["ModelName"] for item in sagemaker.list_models(NameContains="whippet-left")["Models"]] == [
        f"{OTHER}-1"
    ]
    assert describe(TrainingJobName=f"{OTHER}-1-train")["TrainingJobStatus"] == "Completed"
    topics = [topic["TopicArn"] for topic in sns.list_topics()["Topics"]]
    assert other_topic in topics
    assert own_topic not in topics
    streams = logs.describe_log_streams(logGroupName="/aws/sagemaker/TrainingJobs")["logStreams"]
    assert {stream["logStreamName"].split("/")[0] for stream in streams if OWN in stream["logStreamName"]} == {
        f"{OTHER}-1-train"
    }

    # a name whose record is deleted can be given again
    sagemaker.create_training_job(**training | {"TrainingJobName": f"{OWN}-1-train"})
    until(lambda: describe(TrainingJobName=f"{OWN}-1-train"), lambda seen: seen["TrainingJobStatus"] != "InProgress")
    removed(target)
    delete_model(strict, f"{OTHER}-1")


def test_data_is_removed_by_a_word_of_its_own_and_never_a_bucket_of_the_settings(
    strict: Documented, target: Target
) -> None:
    s3 = strict.client("s3")
    kept, own = "whippet-left-photos", "whippet-left-datasetbucketf4a01d2e-abc123"
    for bucket in (kept, own, "whippet-left2-datasetbucketf4a01d2e-abc123"):
        s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=own, VersioningConfiguration={"Status": "Enabled"})
    for content in (b"1", b"2"):
        s3.put_object(Bucket=own, Key="dataset/cat/1.jpg", Body=content)
    s3.delete_object(Bucket=own, Key="dataset/cat/1.jpg")
    s3.create_multipart_upload(Bucket=own, Key="dataset/cat/2.jpg")

    assert f"stays: bucket {own} (data stays without --data)" in removed(target)
    asked: list[str] = []
    removed(target, data=True, asked=asked)
    assert f"and with all photos and models in them the buckets {own}?" in asked[0]
    left = [item["Name"] for item in s3.list_buckets()["Buckets"] if "whippet-left" in item["Name"]]
    assert left == [kept, "whippet-left2-datasetbucketf4a01d2e-abc123"]


def test_the_key_goes_with_the_data_and_can_be_brought_back(strict: Documented, target: Target) -> None:
    kms = strict.client("kms")
    own = kms.create_key(Description="Encrypts what whippet-left stores")["KeyMetadata"]["KeyId"]
    other = kms.create_key(Description="Encrypts what whippet-left2 stores")["KeyMetadata"]["KeyId"]
    assert found(target)[f"KMS key {own}"].bill == "1 dollar a month"
    assert f"stays: KMS key {own} (data stays without --data)" in removed(target)
    removed(target, data=True)
    states = [kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] for key in (own, other)]
    assert states == ["PendingDeletion", "Enabled"]
    assert not [name for name in found(target) if name.startswith("KMS key")]


def test_a_bucket_that_the_settings_name_is_nobodys_leftover(strict: Documented, target: Target) -> None:
    own = "whippet-left-datasetbucketf4a01d2e-def456"
    strict.client("s3").create_bucket(Bucket=own)
    assert f"bucket {own}" in found(target)
    settings = Settings.model_validate({"env": "left", "dataset": {"bucket": own}})
    named = Target(settings=settings, overrides=(), environment=target.environment, cloud=target.cloud)
    assert f"bucket {own}" not in found(named)
    strict.client("s3").delete_bucket(Bucket=own)


def test_a_stack_that_stands_has_no_leftovers(strict: Documented, target: Target) -> None:
    template = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})
    strict.deploy("Whippet-left", template)
    with pytest.raises(CliError, match=r"the stack Whippet-left stands .*destroy it with `whippet down` first"):
        find_leftovers(target)
    strict.client("cloudformation").delete_stack(StackName="Whippet-left")


def test_roles_that_other_apis_and_other_regions_need_stay(strict: Documented, target: Target) -> None:
    iam, apigateway = strict.client("iam"), strict.client("apigateway")
    role = "Whippet-left-{}-{}".format
    strict.role(role("ApiRestCloudWatchRole7D", "a1"), "apigateway.amazonaws.com")
    here, there = ("arn:aws:sqs:us-east-1:000000000000:x", "arn:aws:sqs:eu-west-1:000000000000:x")
    allowed = {"Effect": "Allow", "Action": "sqs:SendMessage"}
    strict.role(role("Here1A", "b2"), "lambda.amazonaws.com", allowed | {"Resource": here})
    strict.role(role("There2B", "c3"), "lambda.amazonaws.com", allowed | {"Resource": there})

    seen = found(target)
    assert seen["role Whippet-left-Here1A-b2"].remove is not None
    assert "role Whippet-left-There2B-c3" not in seen
    unsure = seen["role Whippet-left-ApiRestCloudWatchRole7D-a1"]
    assert unsure.remove is None
    assert "in which Region" in unsure.why

    # as the account's log role it is this Region's: it goes, unless another API writes its log with it
    arn = iam.get_role(RoleName="Whippet-left-ApiRestCloudWatchRole7D-a1")["Role"]["Arn"]
    apigateway.update_account(patchOperations=[{"op": "replace", "path": "/cloudwatchRoleArn", "value": arn}])
    other = apigateway.create_rest_api(name="shop")["id"]
    shared = found(target)["role Whippet-left-ApiRestCloudWatchRole7D-a1"]
    assert (shared.remove, "shop" in shared.why) == (None, True)
    apigateway.delete_rest_api(restApiId=other)
    removed(target)
    assert apigateway.get_account().get("cloudwatchRoleArn", "") == ""
    names = [item["RoleName"] for item in iam.list_roles()["Roles"] if item["RoleName"].startswith("Whippet-left-")]
    assert names == ["Whippet-left-There2B-c3"]


def test_what_is_refused_does_not_keep_the_rest(strict: Documented, target: Target, jobs_role: str) -> None:
    make_model(strict, jobs_role, f"{OWN}-3")
    strict.faults(
        {"service": "sagemaker", "operation": "DeleteEndpointConfig", "error": {"code": "AccessDeniedException"}}
    )
    with pytest.raises(
        CliError, match=r"not removed, try again: endpoint configuration whippet-left-3: .*AccessDenied"
    ):
        removed(target)
    strict.faults()
    assert [name for name, each in found(target).items() if each.remove] == ["endpoint configuration whippet-left-3"]
    removed(target)


def test_the_list_names_a_few_of_each_kind_and_json_all(target: Target) -> None:
    many = [Leftover(kind="model", name=f"whippet-left-{i}", bill="nothing", remove=lambda: None) for i in range(9)]
    stays = Leftover(
        kind="record", name="whippet-left-9", bill="nothing", remove=None, why="AWS lets nobody delete it."
    )
    console = Console(record=True, width=200)
    show_leftovers(target, [*many, stays], console=console)
    text = console.export_text()
    assert "whippet-left-4 " in text
    assert "whippet-left-5" not in text
    assert "and 4 more" in text
    assert "stays: AWS lets nobody delete it." in text
    assert "whippet leftovers --remove" in text
    rows = json.loads(as_json([*many, stays]))
    assert len(rows) == 10
    assert rows[-1] == {
        "kind": "record",
        "name": "whippet-left-9",
        "costs": "nothing",
        "removable": False,
        "data": False,
        "note": "AWS lets nobody delete it.",
    }


@pytest.mark.parametrize(
    ("asks", "name", "is_own"),
    [
        (OwnNames.is_of_run, "whippet-left", True),
        (OwnNames.is_of_run, "whippet-left-1-train", True),
        (OwnNames.is_of_run, "whippet-left2-1", False),
        (OwnNames.is_of_run, "whippet-leftover", False),
        (OwnNames.is_of_stack, "Whippet-left-ApiFunction1A2B-XyZ9", True),
        (OwnNames.is_of_stack, "Whippet-left2-ApiFunction1A2B-XyZ9", False),
        (OwnNames.is_of_stack, "my-Whippet-left-ApiFunction1A2B-XyZ9", False),
        (OwnNames.is_data_bucket, "whippet-left-datasetbucket0123abcd-x9", True),
        (OwnNames.is_data_bucket, "whippet-left-photos", False),
        (OwnNames.is_data_bucket, "whippet-left-datasetbucketofmine", False),
    ],
)
def test_names(asks: Callable[[OwnNames, str], bool], name: str, *, is_own: bool) -> None:
    assert asks(OwnNames("whippet-left", "Whippet-left"), name) is is_own


def test_a_scalable_target_outlives_its_endpoint_and_is_removed(
    strict: Documented, target: Target, jobs_role: str
) -> None:
    make_model(strict, jobs_role, f"{OWN}-scaled")
    sagemaker, autoscaling = strict.client("sagemaker"), strict.client("application-autoscaling")
    sagemaker.create_endpoint(EndpointName=OWN, EndpointConfigName=f"{OWN}-scaled")
    until(lambda: sagemaker.describe_endpoint(EndpointName=OWN), lambda seen: seen["EndpointStatus"] == "InService")
    plan = contract.ScalingPlan(
        endpoint=OWN, min_instances=1, max_instances=2, invocations=9.0, in_cooldown=300, out_cooldown=300
    )
    contract.begin_scaling(autoscaling, plan)

    left = found(target)[f"scalable target endpoint/{OWN}/variant/AllTraffic"]
    assert left.bill == "0.20 dollars a month"
    text = removed(target)
    assert f"removing scalable target endpoint/{OWN}/variant/AllTraffic ..." in text
    assert contract.registered_instances(autoscaling, endpoint=OWN) == 0
    alarms = strict.client("cloudwatch").describe_alarms(AlarmNamePrefix=f"TargetTracking-endpoint/{OWN}/")
    assert alarms["MetricAlarms"] == []
