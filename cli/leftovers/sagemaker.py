"""What runs leave in SageMaker: the endpoint, jobs and their records, configurations, models and packages."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

import contract
from cli import CliError
from cli.leftovers.leftover import Leftover, OwnNames, names
from infra.names import Names

if TYPE_CHECKING:
    from cli.target import Target

__all__ = ["in_sagemaker"]

_POLL_SECONDS: Final = 5.0
_PATIENCE_SECONDS: Final = 2 * 3600.0
"""SageMaker gives a container an hour to start, and deletes no endpoint before."""

_ENDED: Final = ("Completed", "Failed", "Stopped")
_CHANGING: Final = ("Creating", "Updating", "SystemUpdating", "RollingBack")


@dataclass(frozen=True)
class _JobKind:
    kind: str
    name: str
    """As operations and members have it."""
    operations: str
    """As boto3's methods have it."""
    deletable: bool = True


_JOBS: Final = (
    # tuning jobs first, which would replace a stopped trial by the next
    _JobKind("tuning job", "HyperParameterTuningJob", "hyper_parameter_tuning_job"),
    _JobKind("training job", "TrainingJob", "training_job"),
    _JobKind("processing job", "ProcessingJob", "processing_job"),
    _JobKind("batch transform job", "TransformJob", "transform_job", deletable=False),
)


def in_sagemaker(target: Target) -> Iterator[Leftover]:
    """Yield what an environment left in SageMaker, in the order in which it can be removed."""
    client, own = target.client("sagemaker"), OwnNames.of(target)
    contains = {"NameContains": own.prefix}

    # what may be paid for by the hour
    endpoint = Names(own.prefix).endpoint
    for name in names(client, "list_endpoints", "Endpoints", "EndpointName", **contains):
        if name == endpoint:
            remove = partial(_delete_endpoint, client, name)
            yield Leftover(kind="endpoint", name=name, bill="by the hour", remove=remove)
    yield from _scaling(target, endpoint)
    for kind in _JOBS:
        yield from _jobs(client, own, kind)

    # what serves nobody any more
    for name in names(client, "list_endpoint_configs", "EndpointConfigs", "EndpointConfigName", **contains):
        if own.is_of_run(name):
            remove = partial(client.delete_endpoint_config, EndpointConfigName=name)
            yield Leftover(kind="endpoint configuration", name=name, bill="nothing", remove=remove)
    for name in names(client, "list_models", "Models", "ModelName", **contains):
        if own.is_of_run(name):
            remove = partial(client.delete_model, ModelName=name)
            yield Leftover(kind="model", name=name, bill="nothing", remove=remove)
    group = Names(own.prefix).model_package_group
    listed = names(
        client, "list_model_package_groups", "ModelPackageGroupSummaryList", "ModelPackageGroupName", **contains
    )
    for name in listed:
        if name == group:
            remove = partial(_delete_group, client, name)
            yield Leftover(kind="model package group", name=name, bill="nothing", remove=remove)


def _scaling(target: Target, endpoint: str) -> Iterator[Leftover]:
    """Yield what scales, or would scale, the endpoint: it outlives one that somebody deleted who may not end it."""
    autoscaling = target.client("application-autoscaling")
    if contract.registered_instances(autoscaling, endpoint=endpoint):
        yield Leftover(
            kind="scalable target",
            name=contract.scalable_target(endpoint)["ResourceId"],
            bill="0.20 dollars a month",
            remove=partial(_end_scaling, autoscaling, endpoint),
            why="Its two alarms go with it.",
        )


def _end_scaling(autoscaling: Any, endpoint: str) -> None:
    contract.end_scaling(autoscaling, endpoint=endpoint)  # the endpoint's removal may have done so


def _jobs(client: Any, own: OwnNames, kind: _JobKind) -> Iterator[Leftover]:
    pages = client.get_paginator(f"list_{kind.operations}s").paginate(NameContains=own.prefix)
    for page in pages:
        for item in page[f"{kind.name}Summaries"]:
            name, status = item[f"{kind.name}Name"], item[f"{kind.name}Status"]
            if not own.is_of_run(name):
                continue
            ended = status in _ENDED
            if not ended:
                yield Leftover(
                    kind=f"running {kind.kind}",
                    name=name,
                    bill="by the hour",
                    remove=partial(_end_job, client, kind, name, is_stopping=status == "Stopping"),
                )
            yield Leftover(
                kind=f"record of a {kind.kind}",
                name=name,
                bill="nothing",
                remove=partial(_delete_record, client, kind, name) if kind.deletable else None,
                why="" if kind.deletable else "AWS lets nobody delete it.",
            )


def _delete_endpoint(client: Any, name: str) -> None:
    """Delete the endpoint as soon as its status allows it, and wait until it is gone."""

    def is_gone() -> bool:
        try:
            status = client.describe_endpoint(EndpointName=name)["EndpointStatus"]
            if status not in (*_CHANGING, "Deleting"):
                client.delete_endpoint(EndpointName=name)
        except ClientError as error:
            if "Could not find" in str(error):
                return True
            if "in-progress" not in str(error):  # its status has changed since the look at it
                raise
        return False

    _wait(is_gone, f"the endpoint {name} is not gone")


def _end_job(client: Any, kind: _JobKind, name: str, *, is_stopping: bool) -> None:
    """Stop a job, and wait until it has ended: it has two minutes, and then its results are uploaded."""
    if not is_stopping:
        try:
            getattr(client, f"stop_{kind.operations}")(**{f"{kind.name}Name": name})
        except ClientError as error:
            if "in status" not in str(error):  # it has ended by itself
                raise

    def has_ended() -> bool:
        described = getattr(client, f"describe_{kind.operations}")(**{f"{kind.name}Name": name})
        return described[f"{kind.name}Status"] in _ENDED

    _wait(has_ended, f"the {kind.kind} {name} has not ended")


def _delete_record(client: Any, kind: _JobKind, name: str) -> None:
    getattr(client, f"delete_{kind.operations}")(**{f"{kind.name}Name": name})


def _delete_group(client: Any, group: str) -> None:
    """Delete a group of the model registry, which SageMaker does only where no version is left in it."""
    versions = names(
        client, "list_model_packages", "ModelPackageSummaryList", "ModelPackageArn", ModelPackageGroupName=group
    )
    for arn in list(versions):
        client.delete_model_package(ModelPackageName=arn)
    client.delete_model_package_group(ModelPackageGroupName=group)


def _wait(is_over: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while not is_over():
        if time.monotonic() > end:
            raise CliError(f"{what} after two hours: look at it in the SageMaker console, then try again")
        time.sleep(_POLL_SECONDS)
