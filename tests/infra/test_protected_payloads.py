"""Rules of this project over every request that makes something: encryption, VPC, isolation and tags."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from infra.settings import Settings, SettingsError
from tests.infra.app_process import EVERY_FUNCTION, cdk_context
from tests.infra.fake_run import every_walk
from tests.infra.service_model import problems
from tests.infra.template import ACCOUNT, REGION, Template, listed

KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
NETWORK = {
    "security.subnets": "subnet-0123456789abcdef0,subnet-0123456789abcdef1",
    "security.security_groups": "sg-01234567",
}
VPC = {
    "Subnets": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
    "SecurityGroupIds": ["sg-01234567"],
}
OFFLINE = {
    "security.isolate_training": "true",
    "training.wheels": "wheels/",
    "training.weights": "weights/resnet50.pth",
}
EVERYTHING = {"security.kms_key": KEY, **NETWORK, **OFFLINE}

CONFIGURATIONS: list[dict[str, str]] = [
    {**EVERYTHING, **EVERY_FUNCTION},
    {**EVERYTHING, "serving.mode": "realtime", "debugger.mode": "managed", "tuning.warm_start": "true"},
    {**EVERYTHING, "training.mode": "finetune", "debugger.mode": "own", "features.instance_count": "2"},
    {**EVERYTHING, "training.instance_type": "ml.g5.xlarge", "release.instance_type": "ml.m5d.large", **EVERY_FUNCTION},
]

UNTAGGED = {"createModelPackage": "a version takes its group's tags and refuses its own"}
WITHOUT_KEY = {"createModelPackage": "it holds names and measures, no photos (docs/security.md)"}


@pytest.fixture(params=CONFIGURATIONS, ids=["asked", "managed", "finetune", "local storage"], scope="module")
def protected(request: pytest.FixtureRequest, synthesise: Callable[..., Template]) -> tuple[Template, dict[str, str]]:
    return synthesise(**request.param), request.param


def created(template: Template, settings: dict[str, str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """State, call and rendered request of everything that is made."""
    definition = template.definition()
    for result in every_walk(definition, mode=settings.get("training.mode", "features")):
        for name, payload in result.payloads:
            call = definition["States"][name]["Resource"].rsplit(":", 1)[1].removesuffix(".sync")
            if call.startswith("create") and "sagemaker" in definition["States"][name]["Resource"]:
                yield name, call, payload


def trainings(call: str, payload: dict[str, Any]) -> list[dict[str, Any]]:
    if call == "createHyperParameterTuningJob":
        return [payload["TrainingJobDefinition"]]
    return [payload] if call == "createTrainingJob" else []


def test_every_request_with_key_and_network_is_what_the_service_takes(
    protected: tuple[Template, dict[str, str]],
) -> None:
    seen = set()
    for name, call, payload in created(*protected):
        seen.add(call)
        assert problems(call, payload) == [], name
    assert {"createTrainingJob", "createHyperParameterTuningJob", "createModel", "createEndpointConfig"} <= seen


def test_everything_that_is_made_is_tagged(protected: tuple[Template, dict[str, str]]) -> None:
    for name, call, payload in created(*protected):
        assert bool(payload.get("Tags")) != (call in UNTAGGED), name


def test_every_disk_and_every_result_has_the_customers_key(protected: tuple[Template, dict[str, str]]) -> None:
    template, settings = protected
    has_disk = settings.get("training.instance_type", "") != "ml.g5.xlarge"
    for name, call, payload in created(template, settings):
        for job in trainings(call, payload):
            assert job["OutputDataConfig"]["KmsKeyId"] == KEY, name
            disk = has_disk or job["ResourceConfig"]["InstanceType"] == "ml.m5.large"
            assert job["ResourceConfig"].get("VolumeKmsKeyId") == (KEY if disk else None), name
        if call == "createProcessingJob":
            assert payload["ProcessingOutputConfig"]["KmsKeyId"] == KEY, name
            assert payload["ProcessingResources"]["ClusterConfig"]["VolumeKmsKeyId"] == KEY, name
        if call == "createEndpointConfig" and settings.get("serving.mode") == "realtime":
            local = settings.get("release.instance_type") == "ml.m5d.large"
            assert payload.get("KmsKeyId") == (None if local else KEY), name


def test_every_job_and_a_real_time_model_are_in_the_vpc(protected: tuple[Template, dict[str, str]]) -> None:
    template, settings = protected
    for name, call, payload in created(template, settings):
        for job in trainings(call, payload):
            assert job["VpcConfig"] == VPC, name
        if call == "createProcessingJob":
            assert payload["NetworkConfig"]["VpcConfig"] == VPC, name
        if call == "createModel":
            assert payload.get("VpcConfig") == (VPC if settings.get("serving.mode") == "realtime" else None), name


def test_no_container_of_an_isolated_job_has_a_network(protected: tuple[Template, dict[str, str]]) -> None:
    for name, call, payload in created(*protected):
        for job in trainings(call, payload):
            assert job["EnableNetworkIsolation"] is True, name
        if call == "createProcessingJob":
            assert payload["NetworkConfig"]["EnableNetworkIsolation"] is True, name


def test_an_isolated_job_downloads_nothing_itself(protected: tuple[Template, dict[str, str]]) -> None:
    """Its code, packages and weights come as channels, which SageMaker fills from outside of the container."""
    for name, call, payload in created(*protected):
        for job in trainings(call, payload):
            channels = {
                item["ChannelName"]: item["DataSource"]["S3DataSource"]["S3Uri"] for item in job["InputDataConfig"]
            }
            values = job.get("HyperParameters") or job["StaticHyperParameters"]
            folder, _, file = values["sagemaker_submit_directory"].rpartition("/")
            assert folder == "/opt/ml/input/data/code", name
            assert channels["code"].endswith(f"/{file}"), name
            if "dataset" in channels:
                assert channels["wheels"] == "s3://data-bucket/wheels/", name
                assert channels["weights"] == "s3://data-bucket/weights/resnet50.pth", name
                assert job["Environment"]["PIP_NO_INDEX"] == "1", name
                assert job["Environment"]["PIP_FIND_LINKS"] == "/opt/ml/input/data/wheels", name


def test_the_jobs_role_may_list_the_code_that_comes_as_a_channel(
    protected: tuple[Template, dict[str, str]], template: Template
) -> None:
    """SageMaker looks for the objects of a channel before it takes a job; no code of other jobs has to be listed."""

    def listed_assets(chosen: Template) -> list[str]:
        (prefixes,) = (
            item["Condition"]["StringLike"]["s3:prefix"]
            for name, item in chosen.statements()
            if name.startswith("TrainingRole") and "-assets-" in str(item["Resource"]) and "Condition" in item
        )
        return list(prefixes)

    for name, call, payload in created(*protected):
        for job in trainings(call, payload):
            values = job.get("HyperParameters") or job["StaticHyperParameters"]
            file = values["sagemaker_submit_directory"].rpartition("/")[2]
            assert any(fnmatch.fnmatchcase(file, pattern) for pattern in listed_assets(protected[0])), name
    assert listed_assets(template) == ["*.zip"]


def test_without_the_settings_a_request_has_none_of_it(definition: dict[str, Any]) -> None:
    text = str(definition)
    for member in ("VpcConfig", "VolumeKmsKeyId", "KmsKeyId", "PIP_NO_INDEX", "'ChannelName': 'code'"):
        assert member not in text
    assert "EnableNetworkIsolation" not in str(definition["States"]["Train"])


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"security.subnets": "subnet-01234567"}, "security.security_groups is empty"),
        ({"security.security_groups": "sg-01234567"}, "security.subnets is empty"),
        ({"security.subnets": "vpc-01234567", "security.security_groups": "sg-01234567"}, r"security\.subnets"),
        ({"security.isolate_training": "true"}, "set training.wheels"),
        ({"security.isolate_training": "true", "training.wheels": "wheels/"}, "weights of resnet50"),
        ({"training.wheels": "runs/wheels/"}, "training.wheels=runs/wheels/ lies where the runs keep their own"),
    ],
)
def test_settings_that_could_not_work_are_refused(settings: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        Settings.from_context(cdk_context() | settings)


def test_the_lite_backbones_need_no_weights_file_to_be_isolated() -> None:
    chosen = {"security.isolate_training": "true", "training.wheels": "w/", "training.backbone": "efficientnet_lite0"}
    assert Settings.from_context(cdk_context() | chosen).security.isolate_training


INTERFACES = {
    *("ec2:CreateNetworkInterface", "ec2:CreateNetworkInterfacePermission"),
    *("ec2:DeleteNetworkInterface", "ec2:DeleteNetworkInterfacePermission"),
    *("ec2:DescribeNetworkInterfaces", "ec2:DescribeVpcs", "ec2:DescribeDhcpOptions"),
    *("ec2:DescribeSubnets", "ec2:DescribeSecurityGroups"),
}
"""AWS's list for a role whose jobs or models run in a VPC ("How to use SageMaker AI execution roles")."""


def of_ec2(template: Template, role: str) -> list[dict[str, Any]]:
    """The statements of a role about EC2, without the actions of other services that CDK puts beside them."""
    return [
        item | {"Action": actions}
        for name, item in template.statements()
        if name.startswith(role)
        and (actions := [action for action in listed(item["Action"]) if action.startswith("ec2:")])
    ]


@pytest.mark.parametrize("role", ["TrainingRole", "BatchRole", "EndpointRole"])
def test_a_role_in_the_vpc_may_do_what_aws_lists_and_touch_its_subnets_alone(
    synthesise: Callable[..., Template], role: str
) -> None:
    statements = of_ec2(synthesise(**EVERYTHING, **EVERY_FUNCTION), role)
    assert {action for item in statements for action in listed(item["Action"])} == INTERFACES
    for item in statements:
        resources = listed(item["Resource"])
        if resources == ["*"]:
            assert all(action.startswith("ec2:Describe") for action in listed(item["Action"]))
        elif any(":network-interface/" in resource for resource in resources):
            assert [arn.rpartition("/")[2] for arn in item["Condition"]["ArnLike"]["ec2:Subnet"]] == VPC["Subnets"]
        else:
            assert {arn.rpartition("/")[2] for arn in resources} == {*VPC["Subnets"], *VPC["SecurityGroupIds"]}


def test_a_serverless_endpoint_is_in_no_vpc_and_its_role_makes_no_interfaces(
    synthesise: Callable[..., Template],
) -> None:
    template = synthesise(**NETWORK)
    assert not of_ec2(template, "EndpointRole")
    assert of_ec2(template, "TrainingRole")
