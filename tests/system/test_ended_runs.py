"""Runs that are ended from outside, on a local cloud: nothing of them runs on, and the next run releases its model.

The tests of this file build on each other in their order.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import contract
from cli.digits import write_digits
from infra.outputs import StackOutput
from local import control
from local.clock import SPEED_VARIABLE
from local.cloud.permission_log import VARIABLE
from tests.local.cloud.conftest import SERVING_IMAGE
from tests.system.left_behind import unstated
from tests.system.permission_table import Granted, PermissionLog, granted, table, unproved
from tests.system.system import ENDPOINT, INPUT, STACK, System, run_of

SETTINGS = {
    "debugger.mode": "off",
    # the clock runs fast, so that the second run soon looks at the lock again, and it does so for the jobs, too
    "tuning.max_minutes": "1440",
    "training.max_minutes": "1440",
}
OLDER = f"{ENDPOINT}-older"
"""A release from before all runs of this file."""


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> PermissionLog:
    """The permissions that the roles use."""
    return PermissionLog(tmp_path_factory.mktemp("log") / "permissions.jsonl")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, log: PermissionLog) -> Iterator[System]:
    state = tmp_path_factory.mktemp("ended")
    system = System(state, environment={SPEED_VARIABLE: "10", VARIABLE: str(log.file)})
    try:
        system.whippet("up", settings=SETTINGS)
        folder = tmp_path_factory.mktemp("digits")
        write_digits(folder, train=30, held_out=1)
        system.whippet("upload", str(folder / "photos"), settings=SETTINGS)
        leave_older_release(system)
        yield system
    finally:
        control.stop(state)
        shutil.rmtree(state, ignore_errors=True)


def leave_older_release(system: System) -> None:
    """Make a model and its configuration, as they stay of a release that another one has followed."""
    sagemaker, iam = system.client("sagemaker"), system.client("iam")
    (role,) = (
        role["Arn"] for role in iam.list_roles()["Roles"] if role["RoleName"].startswith(f"{STACK}-EndpointRole")
    )
    sagemaker.create_model(ModelName=OLDER, ExecutionRoleArn=role, PrimaryContainer={"Image": SERVING_IMAGE})
    variant = {"VariantName": "AllTraffic", "ModelName": OLDER, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(
        EndpointConfigName=OLDER, ProductionVariants=[variant | {"InitialInstanceCount": 1}]
    )


def start(system: System) -> dict[str, Any]:
    """Start a run, and return its execution's description."""
    states, machine = system.client("stepfunctions"), system.output(StackOutput.STATE_MACHINE_ARN)
    arn = states.start_execution(stateMachineArn=machine, input=json.dumps(INPUT))["executionArn"]
    described: dict[str, Any] = states.describe_execution(executionArn=arn)
    return described


def until(ready: Callable[[], Any], *, seconds: float = 900) -> Any:
    end = time.monotonic() + seconds
    while not (found := ready()):
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(0.1)
    return found


def running_jobs(system: System) -> list[str]:
    sagemaker = system.client("sagemaker")
    found = sagemaker.list_training_jobs()["TrainingJobSummaries"]
    return [job["TrainingJobName"] for job in found if job["TrainingJobStatus"] in ("InProgress", "Stopping")]


def lock(system: System) -> contract.ReleaseLock:
    s3, key = system.client("s3"), contract.release_lock_key(ENDPOINT)
    try:
        held: contract.ReleaseLock = json.loads(s3.get_object(Bucket=system.bucket, Key=key)["Body"].read())
    except s3.exceptions.NoSuchKey:
        return contract.ReleaseLock(holder=contract.NO_HOLDER, run="", at="", until="")
    return held


def config(system: System) -> str | None:
    """The endpoint's configuration, or None where there is no endpoint."""
    sagemaker = system.client("sagemaker")
    if not sagemaker.list_endpoints(NameContains=ENDPOINT)["Endpoints"]:
        return None
    return str(sagemaker.describe_endpoint(EndpointName=ENDPOINT)["EndpointConfigName"])


def configs(system: System) -> list[str]:
    """The endpoint configurations that there are."""
    found = system.client("sagemaker").list_endpoint_configs()["EndpointConfigs"]
    return [str(item["EndpointConfigName"]) for item in found]


def approvals(system: System) -> dict[str, str]:
    """The approval of each run's model package."""
    listed = system.client("sagemaker").list_model_packages(ModelPackageGroupName=ENDPOINT)["ModelPackageSummaryList"]
    return {item["ModelPackageDescription"].removeprefix("Run "): item["ModelApprovalStatus"] for item in listed}


def test_a_run_that_is_stopped_leaves_no_job(system: System) -> None:
    run = run_of(start(system))
    until(lambda: running_jobs(system))
    said = system.whippet("stop-run", run, "--reason", "wrong photos", settings=SETTINGS).stdout
    assert f"run {run} was stopped" in said
    until(lambda: not running_jobs(system), seconds=30)
    tidied = system.document(run, contract.Artefact.TIDIED)
    assert (tidied["status"], tidied["error"]) == ("ABORTED", contract.STOPPED_BY_COMMAND)
    assert tidied["cause"].endswith("wrong photos")
    again = system.whippet("stop-run", run, check=False, settings=SETTINGS)
    assert f"run {run} is not going on" in again.stderr


def test_a_run_that_is_killed_while_it_releases_is_taken_back_and_the_other_one_releases(system: System) -> None:
    runs = {execution["executionArn"]: run_of(execution) for execution in (start(system), start(system))}
    states = system.client("stepfunctions")

    # the first that holds the lock begins its release: kill it
    until(lambda: config(system))
    killed = lock(system)["holder"]
    states.stop_execution(executionArn=killed, cause="killed by the test")
    (other,) = set(runs) - {killed}
    until(lambda: states.describe_execution(executionArn=other)["status"] != "RUNNING")

    ended = states.describe_execution(executionArn=other)
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    assert config(system) == contract.job_prefix(ENDPOINT, runs[other])
    assert approvals(system) == {runs[killed]: "Rejected", runs[other]: "Approved"}
    assert lock(system)["holder"] == contract.NO_HOLDER

    told = system.document(runs[killed], contract.Artefact.TIDIED)["done"]
    assert any(each.startswith(f"the endpoint {ENDPOINT} was deleted") for each in told), told
    assert set(configs(system)) == {config(system), OLDER}


def test_a_run_that_is_killed_while_it_replaces_a_model_leaves_that_in_service(system: System) -> None:
    before, execution = config(system), start(system)
    run = run_of(execution)
    own = contract.job_prefix(ENDPOINT, run)
    sagemaker, states = system.client("sagemaker"), system.client("stepfunctions")
    until(lambda: own in configs(system))
    states.stop_execution(executionArn=execution["executionArn"], cause="killed by the test")
    s3, key = system.client("s3"), contract.tidied_key(run)
    until(lambda: s3.list_objects_v2(Bucket=system.bucket, Prefix=key).get("KeyCount"))

    assert config(system) == before
    if before is not None:
        assert sagemaker.describe_endpoint(EndpointName=ENDPOINT)["EndpointStatus"] == "InService"
    assert approvals(system)[run] == "Rejected"
    assert own not in configs(system)
    assert own not in [item["ModelName"] for item in sagemaker.list_models()["Models"]]
    assert lock(system)["holder"] == contract.NO_HOLDER


def test_a_run_that_was_stopped_is_gone_on_with_and_does_not_train_again(system: System) -> None:
    stopped = run_of(system.last_execution())
    jobs = system.client("sagemaker").list_training_jobs(MaxResults=100)["TrainingJobSummaries"]
    said = system.whippet("retry", stopped, settings=SETTINGS).stdout
    assert "released on" in said
    released = run_of(system.last_execution())
    assert config(system) == contract.job_prefix(ENDPOINT, released)
    assert OLDER not in configs(system), "it is older than the release before"
    assert len(system.client("sagemaker").list_training_jobs(MaxResults=100)["TrainingJobSummaries"]) == len(jobs)
    model = system.client("sagemaker").describe_model(ModelName=config(system))
    assert f"runs/{stopped}/training/" in model["PrimaryContainer"]["ModelDataUrl"]

    other = system.whippet(
        "run", "--input", json.dumps(INPUT | {"retry_of": stopped, "epochs": 7}), check=False, settings=SETTINGS
    )
    assert f"run {stopped} cannot be gone on with, since these have changed: epochs" in other.stderr


@pytest.fixture(scope="module")
def permissions(system: System) -> list[Granted]:
    """What the roles of the stack may do, while it stands."""
    return granted(system.client("iam"), prefix=STACK)


def test_a_destroy_afterwards_leaves_nothing(system: System, permissions: list[Granted]) -> None:
    system.destroy()
    assert unstated(system.client) == []


def test_what_others_do_not_need_is_needed_here(permissions: list[Granted], log: PermissionLog) -> None:
    log.end("destroy")
    print(table(permissions, log, stack=STACK))
    assert unproved(permissions, log, test=__file__) == []
