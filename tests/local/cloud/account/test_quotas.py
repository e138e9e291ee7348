"""Quotas by instance type and use: AWS's refusals, what counts as used, and what Service Quotas answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.local.cloud.account.conftest import processing_job, tuning_job
from tests.local.cloud.account.test_state_machine_faults import zipped
from tests.local.cloud.conftest import SERVING_IMAGE, until

if TYPE_CHECKING:
    from tests.local.cloud.account.conftest import Documented

TRAINING = "ml.c5.xlarge for training job usage"
SPOT = "ml.c5.xlarge for spot training job usage"
ENDPOINT = "ml.m5.large for endpoint usage"


def message(name: str, *, limit: int, used: int, wanted: int, unit: str = "Instances") -> str:
    """AWS's sentence, as public reports quote it."""
    return (
        f"The account-level service limit '{name}' is {limit} {unit}, with current utilization of {used} {unit} and a "
        f"request delta of {wanted} {unit}. Please use AWS Service Quotas to request an increase for this quota. "
        "If AWS Service Quotas is not available, contact AWS support to request an increase for this quota."
    )


def quotas(account: Documented, **limits: int) -> None:
    account.write(quotas={"sagemaker": limits})


def refused(client: Any, operation: str, parameters: dict[str, Any]) -> str:
    """The message of the refusal of a call, which SageMaker's model must know."""
    with pytest.raises(client.exceptions.ResourceLimitExceeded) as caught:
        getattr(client, operation)(**parameters)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return str(caught.value.response["Error"]["Message"])


@pytest.fixture(autouse=True)
def quiet(strict: Documented) -> None:
    """Wait for the jobs of earlier tests, which use instances."""
    sagemaker = strict.client("sagemaker")
    until(
        lambda: sagemaker.list_training_jobs(StatusEquals="InProgress"), lambda seen: not seen["TrainingJobSummaries"]
    )


@pytest.fixture
def slow(strict: Documented, training: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    """A request for a job that runs until the test ends."""
    request = training | {"TrainingJobName": f"{name}-slow"}
    yield request
    strict.write()
    sagemaker = strict.client("sagemaker")
    try:
        sagemaker.stop_training_job(TrainingJobName=request["TrainingJobName"])
    except ClientError:
        return
    _ended(sagemaker, request["TrainingJobName"])


def test_an_account_without_instances_trains_nothing(strict: Documented, training: dict[str, Any]) -> None:
    quotas(strict, **{TRAINING: 0})
    sagemaker = strict.client("sagemaker")
    assert refused(sagemaker, "create_training_job", training) == message(TRAINING, limit=0, used=0, wanted=1)
    with pytest.raises(ClientError, match="not found"):
        sagemaker.describe_training_job(TrainingJobName=training["TrainingJobName"])


def test_instances_are_counted_while_their_job_runs(
    strict: Documented, training: dict[str, Any], slow: dict[str, Any]
) -> None:
    quotas(strict, **{TRAINING: 3})
    sagemaker = strict.client("sagemaker")
    slow["ResourceConfig"] = slow["ResourceConfig"] | {"InstanceCount": 2}
    sagemaker.create_training_job(**slow)
    two = training | {"ResourceConfig": slow["ResourceConfig"]}
    assert refused(sagemaker, "create_training_job", two) == message(TRAINING, limit=3, used=2, wanted=2)

    sagemaker.stop_training_job(TrainingJobName=slow["TrainingJobName"])
    _ended(sagemaker, slow["TrainingJobName"])
    sagemaker.create_training_job(**two)


def test_spot_training_has_a_quota_of_its_own(strict: Documented, training: dict[str, Any]) -> None:
    quotas(strict, **{SPOT: 0})
    sagemaker = strict.client("sagemaker")
    spot = training | {
        "EnableManagedSpotTraining": True,
        "StoppingCondition": {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 600},
    }
    assert refused(sagemaker, "create_training_job", spot) == message(SPOT, limit=0, used=0, wanted=1)
    sagemaker.create_training_job(**training)


@pytest.mark.parametrize(
    "quota", ["Number of instances across all training jobs", "Maximum number of instances per training job"]
)
def test_all_types_together_have_a_quota(strict: Documented, training: dict[str, Any], quota: str) -> None:
    quotas(strict, **{quota: 0})
    found = refused(strict.client("sagemaker"), "create_training_job", training)
    assert found == message(quota, limit=0, used=0, wanted=1)


def test_a_tuning_job_needs_the_instances_of_all_parallel_trials(
    strict: Documented, training: dict[str, Any], name: str
) -> None:
    quotas(strict, **{TRAINING: 1})
    sagemaker = strict.client("sagemaker")
    tuning = tuning_job(name, training, parallel=2)
    found = refused(sagemaker, "create_hyper_parameter_tuning_job", tuning)
    assert found == message(TRAINING, limit=1, used=0, wanted=2)

    parallel = "Number of parallel training jobs per hyperparameter tuning job"
    quotas(strict, **{parallel: 1})
    found = refused(sagemaker, "create_hyper_parameter_tuning_job", tuning)
    assert found == message(parallel, limit=1, used=0, wanted=2, unit="Jobs")

    jobs = "Number of parallel hyperparameter tuning jobs"
    quotas(strict, **{jobs: 0})
    found = refused(sagemaker, "create_hyper_parameter_tuning_job", tuning)
    assert found == message(jobs, limit=0, used=0, wanted=1, unit="Jobs")


def test_processing_has_a_quota(strict: Documented, jobs_role: str, name: str) -> None:
    quota = "ml.m5.large for processing job usage"
    quotas(strict, **{quota: 0})
    request = processing_job(name, jobs_role)
    sagemaker = strict.client("sagemaker")
    assert refused(sagemaker, "create_processing_job", request) == message(quota, limit=0, used=0, wanted=1)
    quotas(strict, **{quota: 1})
    sagemaker.create_processing_job(**request)


def test_an_update_needs_the_new_fleet_beside_the_old_one(strict: Documented, jobs_role: str, name: str) -> None:
    """A-03: a release of two instances needs four for as long as the update takes."""
    sagemaker = strict.client("sagemaker")
    used = _endpoint_instances(sagemaker)
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=jobs_role, PrimaryContainer={"Image": SERVING_IMAGE})
    variant = {"VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 2}
    for config in (f"{name}-1", f"{name}-2"):
        sagemaker.create_endpoint_config(EndpointConfigName=config, ProductionVariants=[variant])

    quotas(strict, **{ENDPOINT: used + 1})
    first = {"EndpointName": name, "EndpointConfigName": f"{name}-1"}
    assert refused(sagemaker, "create_endpoint", first) == message(ENDPOINT, limit=used + 1, used=used, wanted=2)
    quotas(strict, **{ENDPOINT: used + 3})
    sagemaker.create_endpoint(**first)
    _in_service(sagemaker, name)
    # a deleted configuration frees nothing
    sagemaker.delete_endpoint_config(EndpointConfigName=f"{name}-1")

    second = {"EndpointName": name, "EndpointConfigName": f"{name}-2"}
    found = refused(sagemaker, "update_endpoint", second)
    assert found == message(ENDPOINT, limit=used + 3, used=used + 2, wanted=2)
    quotas(strict, **{ENDPOINT: used + 4})
    sagemaker.update_endpoint(**second)
    _in_service(sagemaker, name)

    # and when it is over, the old fleet is gone
    found = refused(sagemaker, "create_endpoint", second | {"EndpointName": f"{name}-3"} | _none(strict, used + 2))
    assert found == message(ENDPOINT, limit=used + 2, used=used + 2, wanted=2)
    sagemaker.delete_endpoint(EndpointName=name)


def test_a_type_that_no_table_lists_can_be_limited_and_patterns_cover_all(
    strict: Documented, training: dict[str, Any]
) -> None:
    sagemaker = strict.client("sagemaker")
    request = training | {"ResourceConfig": training["ResourceConfig"] | {"InstanceType": "ml.r5.large"}}
    quotas(strict, **{"* for training job usage": 0})
    found = refused(sagemaker, "create_training_job", request)
    assert found == message("ml.r5.large for training job usage", limit=0, used=0, wanted=1)
    quotas(strict, **{"* for training job usage": 0, "ml.r5.large for training job usage": 1})
    sagemaker.create_training_job(**request)


def test_with_awss_numbers_a_new_account_may_do_next_to_nothing(strict: Documented, training: dict[str, Any]) -> None:
    strict.write(quota_defaults="aws")
    found = refused(strict.client("sagemaker"), "create_training_job", training)
    assert found == message(TRAINING, limit=0, used=0, wanted=1)


def test_a_quota_that_does_not_exist_is_refused(strict: Documented) -> None:
    quotas(strict, **{"ml.c5.xlarge for trainings": 1})
    with pytest.raises(ClientError, match=r"there is no quota 'ml\.c5\.xlarge for trainings'"):
        strict.client("sagemaker").list_models()


def test_codebuild_may_allow_no_build_at_all(strict: Documented, name: str) -> None:
    quota = "Concurrently running builds for Linux/Small environment"
    strict.write(quotas={"codebuild": {quota: 0}})
    codebuild = strict.client("codebuild")
    codebuild.create_project(
        name=name,
        serviceRole=strict.role(name, "codebuild.amazonaws.com"),
        source={"type": "NO_SOURCE", "buildspec": "{}"},
        artifacts={"type": "NO_ARTIFACTS"},
        environment={
            "type": "LINUX_CONTAINER",
            "image": "aws/codebuild/standard:7.0",
            "computeType": "BUILD_GENERAL1_SMALL",
        },
    )
    with pytest.raises(codebuild.exceptions.AccountLimitExceededException) as caught:
        codebuild.start_build(projectName=name)
    assert caught.value.response["Error"]["Message"] == "Cannot have more than 0 builds in queue for the account"
    strict.write(quotas={"codebuild": {quota: 1}})
    codebuild.start_build(projectName=name)


def test_functions_share_the_concurrency_of_the_account(strict: Documented, name: str) -> None:
    functions = strict.client("lambda")
    functions.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=strict.role(name, "lambda.amazonaws.com"),
        Handler="index.handler",
        Code={"ZipFile": zipped("def handler(event, context):\n    return 'done'\n")},
    )
    strict.write(quotas={"lambda": {"Concurrent executions": 0}})
    with pytest.raises(functions.exceptions.TooManyRequestsException) as caught:
        functions.invoke(FunctionName=name)
    assert caught.value.response["Reason"] == "ConcurrentInvocationLimitExceeded"
    strict.write(quotas={"lambda": {"Concurrent executions": 1}})
    assert json.load(functions.invoke(FunctionName=name)["Payload"]) == "done"


def test_service_quotas_tells_what_is_enforced_and_what_a_new_account_has(strict: Documented) -> None:
    strict.write(quotas={"sagemaker": {ENDPOINT: 7, "L-611FA074": 3}})
    client = strict.client("service-quotas")
    pages = client.get_paginator("list_service_quotas").paginate(
        ServiceCode="sagemaker", PaginationConfig={"PageSize": 50}
    )
    applied = {quota["QuotaName"]: quota for page in pages for quota in page["Quotas"]}
    assert (applied[ENDPOINT]["QuotaCode"], applied[ENDPOINT]["Value"]) == ("L-614B09FD", 7.0)
    assert applied["ml.m5.large for training job usage"]["Value"] == 3.0
    assert applied[TRAINING]["Value"] == 100.0

    one = client.get_service_quota(ServiceCode="sagemaker", QuotaCode="L-614B09FD")["Quota"]
    assert (one["QuotaName"], one["Value"], one["Adjustable"]) == (ENDPOINT, 7.0, True)
    defaults = client.get_paginator("list_aws_default_service_quotas").paginate(ServiceCode="sagemaker")
    values = {quota["QuotaName"]: quota["Value"] for page in defaults for quota in page["Quotas"]}
    assert (values[ENDPOINT], values["ml.m5.large for spot training job usage"]) == (0.0, 4.0)
    with pytest.raises(client.exceptions.NoSuchResourceException):
        client.get_service_quota(ServiceCode="sagemaker", QuotaCode="L-00000000")


def test_asking_for_quotas_needs_the_permission(strict: Documented, name: str) -> None:
    statement = {"Effect": "Allow", "Action": "servicequotas:ListServiceQuotas", "Resource": "*"}
    may = strict.assume(strict.role(name, "lambda.amazonaws.com", statement))
    client = strict.client("service-quotas", **may)
    assert client.list_service_quotas(ServiceCode="lambda")["Quotas"]
    with pytest.raises(client.exceptions.AccessDeniedException):
        client.get_service_quota(ServiceCode="lambda", QuotaCode="L-B99A9384")


def _none(account: Documented, limit: int) -> dict[str, Any]:
    """Set the quota of endpoints, and add nothing to a request."""
    quotas(account, **{ENDPOINT: limit})
    return {}


def _ended(sagemaker: Any, job: str) -> None:
    until(
        lambda: sagemaker.describe_training_job(TrainingJobName=job),
        lambda seen: seen["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"),
    )


def _in_service(sagemaker: Any, endpoint: str) -> None:
    until(
        lambda: sagemaker.describe_endpoint(EndpointName=endpoint), lambda seen: seen["EndpointStatus"] == "InService"
    )


def _endpoint_instances(sagemaker: Any) -> int:
    """Instances of the endpoints that other tests left."""
    found = sagemaker.list_endpoints(MaxResults=100)["Endpoints"]
    described = [sagemaker.describe_endpoint(EndpointName=endpoint["EndpointName"]) for endpoint in found]
    return sum(variant["CurrentInstanceCount"] for seen in described for variant in seen.get("ProductionVariants", []))
