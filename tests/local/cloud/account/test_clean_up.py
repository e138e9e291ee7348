"""The stack's clean-up on an account in which jobs and endpoints take their time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from botocore.client import BaseClient

# sets what the functions need of an environment, before they are imported
from tests.fakes.lambda_context import Context

# isort: split
from cleanup import handler as cleanup
from shared.patience import LONGEST_CALL_SECONDS

from tests.fakes.cloudformation import answering, event
from tests.local.cloud.conftest import SERVING_IMAGE, allow, until

if TYPE_CHECKING:
    from tests.local.cloud.account.conftest import Documented


@dataclass
class Hurried(Context):
    """A function that has some seconds of work left."""

    ends: float = 0

    def get_remaining_time_in_millis(self) -> int:
        return round((self.ends - time.monotonic()) * 1000)


@pytest.fixture
def destroy(strict: Documented, name: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Have the clean-up of the environment `name` deleted, and return what it answers to CloudFormation."""
    clients = {name: item for name, item in vars(cleanup).items() if isinstance(item, BaseClient)}
    for attribute, client in clients.items():
        monkeypatch.setattr(cleanup, attribute, strict.client(client.meta.service_model.service_name))
    monkeypatch.setattr(cleanup, "POLL_SECONDS", 0.2)

    def delete(*, seconds: float, bucket: str = "") -> dict[str, Any]:
        properties = {
            "Prefix": name,
            "Endpoint": name,
            "ModelPackageGroup": name,
            "StateMachineArn": f"arn:aws:states:us-east-1:000000000000:stateMachine:{name}",
            "EmptyBucket": bucket,
        }
        context = Hurried(ends=time.monotonic() + 20 + LONGEST_CALL_SECONDS + seconds)
        with answering() as (url, came):
            cleanup.handler(event(url, "Delete", properties), context)  # type: ignore[arg-type]
        return came[0]

    return delete


def test_what_a_job_uploads_after_its_stop_is_deleted_with_the_bucket(
    strict: Documented, training: dict[str, Any], destroy: Callable[..., dict[str, Any]], name: str
) -> None:
    """A-20."""
    bucket, job = f"{name}-bucket", f"{name}-slow"
    sagemaker, s3 = strict.client("sagemaker"), strict.client("s3")
    s3.create_bucket(Bucket=bucket)
    strict.write(stopping=[{"kind": "TrainingJob", "name": job, "seconds": 3}])
    output = {"OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/output"}}
    sagemaker.create_training_job(**training | output | {"TrainingJobName": job})
    until(
        lambda: sagemaker.describe_training_job(TrainingJobName=job), lambda seen: seen["SecondaryStatus"] == "Training"
    )
    # for its program to write a model
    time.sleep(1)

    assert destroy(seconds=60, bucket=bucket)["Status"] == "SUCCESS"
    assert sagemaker.describe_training_job(TrainingJobName=job)["TrainingJobStatus"] == "Stopped"
    s3.delete_bucket(Bucket=bucket)


def test_an_endpoint_that_stays_creating_is_deleted_by_the_next_destroy(
    strict: Documented, jobs_role: str, destroy: Callable[..., dict[str, Any]], name: str
) -> None:
    """A-21."""
    sagemaker, own = strict.client("sagemaker"), f"{name}-1"
    strict.write(creating=[{"name": name, "seconds": 3600}])
    sagemaker.create_model(ModelName=own, ExecutionRoleArn=jobs_role, PrimaryContainer={"Image": SERVING_IMAGE})
    variant = {"VariantName": "AllTraffic", "ModelName": own, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName=own, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=own)

    first = destroy(seconds=3)
    assert first["Status"] == "FAILED"
    assert f"waiting for the endpoint {name}, which is Creating" in first["Reason"]
    assert sagemaker.list_models(NameContains=name)["Models"] == []
    assert sagemaker.list_endpoint_configs(NameContains=name)["EndpointConfigs"] != []

    strict.write()
    assert destroy(seconds=60)["Status"] == "SUCCESS"
    assert sagemaker.list_endpoints(NameContains=name)["Endpoints"] == []
    assert sagemaker.list_endpoint_configs(NameContains=name)["EndpointConfigs"] == []


@dataclass(frozen=True)
class Environment:
    """What the runs of an environment have made, whose name all of it begins with."""

    account: Documented
    name: str
    role: str
    training: dict[str, Any]

    def release(self, run: str) -> str:
        """A run's model with its configuration and its package, as they are before the endpoint is touched."""
        sagemaker, own = self.account.client("sagemaker"), f"{self.name}-{run}"
        sagemaker.create_model(ModelName=own, ExecutionRoleArn=self.role, PrimaryContainer={"Image": SERVING_IMAGE})
        variant = {"VariantName": "AllTraffic", "ModelName": own, "InstanceType": "ml.m5.large"}
        variants = [variant | {"InitialInstanceCount": 1}]
        sagemaker.create_endpoint_config(EndpointConfigName=own, ProductionVariants=variants)
        if not sagemaker.list_model_package_groups(NameContains=self.name)["ModelPackageGroupSummaryList"]:
            sagemaker.create_model_package_group(ModelPackageGroupName=self.name)
        sagemaker.create_model_package(
            ModelPackageGroupName=self.name,
            InferenceSpecification={
                "Containers": [{"Image": SERVING_IMAGE}],
                "SupportedContentTypes": ["image/jpeg"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
        )
        return own

    def serve(self, config: str, *, until_status: str = "InService") -> None:
        sagemaker = self.account.client("sagemaker")
        sagemaker.create_endpoint(EndpointName=self.name, EndpointConfigName=config)
        until(
            lambda: sagemaker.describe_endpoint(EndpointName=self.name),
            lambda seen: seen["EndpointStatus"] == until_status,
        )

    def execute(self, state: dict[str, Any]) -> str:
        """A running execution of the environment's state machine, in its only state."""
        permissions = allow(["sagemaker:*", "iam:PassRole", "events:*", "lambda:*"], "*")
        role = self.account.role(f"{self.name}-states", "states.amazonaws.com", permissions)
        return self.account.start(self.account.state_machine(self.name, role, {"Only": state | {"End": True}}))


def nothing_ran(_: Environment) -> None:
    pass


def a_model_serves(environment: Environment) -> None:
    environment.release("1")
    environment.serve(environment.release("2"))


def a_job_runs(environment: Environment) -> None:
    request = environment.training | {"TrainingJobName": f"{environment.name}-1-slow"}
    train = "arn:aws:states:::sagemaker:createTrainingJob.sync"
    environment.execute({"Type": "Task", "Resource": train, "Parameters": request})
    sagemaker = environment.account.client("sagemaker")
    until(
        lambda: {"jobs": sagemaker.list_training_jobs(NameContains=f"{environment.name}-1-slow")},
        lambda seen: bool(seen["jobs"]["TrainingJobSummaries"]),
    )


def a_person_is_asked(environment: Environment) -> None:
    """An execution that waits for days, with a model in service and another one's configuration made."""
    environment.serve(environment.release("1"))
    environment.release("2")
    environment.execute({"Type": "Wait", "Seconds": 86_400})


def a_release_is_under_way(environment: Environment) -> None:
    environment.account.write(creating=[{"name": environment.name, "seconds": 2}])
    environment.serve(environment.release("1"), until_status="Creating")
    environment.execute({"Type": "Wait", "Seconds": 86_400})


def a_rollout_is_under_way(environment: Environment) -> None:
    environment.serve(environment.release("1"))
    environment.account.client("sagemaker").update_endpoint(
        EndpointName=environment.name, EndpointConfigName=environment.release("2")
    )


def a_run_has_failed(environment: Environment) -> None:
    """A model and its configuration without an endpoint, and an execution that has ended."""
    environment.release("1")
    execution = environment.execute({"Type": "Wait", "Seconds": 86_400})
    environment.account.client("stepfunctions").stop_execution(executionArn=execution)


def somebody_has_deleted_what_serves(environment: Environment) -> None:
    """The configuration and the model under the endpoint, and the other one's model."""
    environment.serve(environment.release("1"))
    environment.release("2")
    sagemaker = environment.account.client("sagemaker")
    sagemaker.delete_endpoint_config(EndpointConfigName=f"{environment.name}-1")
    for run in ("1", "2"):
        sagemaker.delete_model(ModelName=f"{environment.name}-{run}")


def somebody_has_deleted_the_endpoint_and_the_packages(environment: Environment) -> None:
    environment.serve(environment.release("1"))
    sagemaker = environment.account.client("sagemaker")
    sagemaker.delete_endpoint(EndpointName=environment.name)
    for package in sagemaker.list_model_packages(ModelPackageGroupName=environment.name)["ModelPackageSummaryList"]:
        sagemaker.delete_model_package(ModelPackageName=package["ModelPackageArn"])
    sagemaker.delete_model_package_group(ModelPackageGroupName=environment.name)


@pytest.mark.parametrize(
    "situation",
    [
        nothing_ran,
        a_model_serves,
        a_job_runs,
        a_person_is_asked,
        a_release_is_under_way,
        a_rollout_is_under_way,
        a_run_has_failed,
        somebody_has_deleted_what_serves,
        somebody_has_deleted_the_endpoint_and_the_packages,
    ],
)
def test_nothing_stays_whatever_the_situation(
    strict: Documented,
    destroy: Callable[..., dict[str, Any]],
    name: str,
    jobs_role: str,
    training: dict[str, Any],
    situation: Callable[[Environment], None],
) -> None:
    situation(Environment(strict, name, jobs_role, training))
    answer = destroy(seconds=60)
    assert answer["Status"] == "SUCCESS", answer

    # nothing that is there for the next stack to stumble over, or that anybody pays for
    sagemaker, states = strict.client("sagemaker"), strict.client("stepfunctions")
    for kind in ("Endpoint", "EndpointConfig", "Model"):
        listed = getattr(sagemaker, {"EndpointConfig": "list_endpoint_configs"}.get(kind, f"list_{kind.lower()}s"))()
        assert not [item for item in listed[f"{kind}s"] if is_own(item[f"{kind}Name"], name)]
    groups = sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"]
    if name in [group["ModelPackageGroupName"] for group in groups]:
        assert sagemaker.list_model_packages(ModelPackageGroupName=name)["ModelPackageSummaryList"] == []
    for job in sagemaker.list_training_jobs()["TrainingJobSummaries"]:
        assert job["TrainingJobStatus"] == "Stopped" or not is_own(job["TrainingJobName"], name)
    for machine in states.list_state_machines()["stateMachines"]:
        if machine["name"] == name:
            executions = states.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]
            assert {execution["status"] for execution in executions} == {"ABORTED"}


def is_own(name: str, environment: str) -> bool:
    return name == environment or name.startswith(f"{environment}-")
