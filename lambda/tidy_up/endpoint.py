"""Taking the endpoint back to what served before a run that was ended in its release.

The run holds the release lock from its last verdict to the end of its release, and the tidy-up goes on holding it:
until it is given back no other run and no `whippet rollback` changes the endpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError
from shared.aws_errors import already_exists, is_being_changed, is_missing_resource
from shared.custom_resource import Deadline
from shared.patience import patiently

import contract

from .ended_run import EndedRun

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

__all__ = ["EndpointNotRestored", "TakenBack", "take_back"]

_CHANGING: Final = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
"""Statuses in which SageMaker refuses to change or delete an endpoint."""

_POLL_SECONDS: Final = 10.0


class EndpointNotRestored(Exception):
    """SageMaker does not bring the earlier model back; the message says what to do by hand."""


@dataclass(frozen=True)
class TakenBack:
    """What became of the endpoint."""

    said: str
    """A sentence without a full stop; empty where the run had changed nothing."""
    serves: str
    """The endpoint configuration in service now; empty where there is none."""
    answered: bool = True
    """Whether the run's model may have answered callers: a shadow's does not."""


def take_back(
    sagemaker: SageMakerClient, run: EndedRun, *, endpoint: str, config: str, env: str, deadline: Deadline
) -> TakenBack:
    """Bring the endpoint back to the configuration before the run, or delete one that the run was the first to use.

    Nothing is changed where the endpoint does not serve the run's configuration. A second call goes on where an earlier
    one was interrupted.

    Args:
        sagemaker: The client.
        run: The run.
        endpoint: The endpoint's name.
        config: Name of the run's own endpoint configuration.
        env: Name of the environment, for the tags of an endpoint that has to be created again.
        deadline: Looked at before each call.

    Raises:
        EndpointNotRestored: the endpoint is broken, or serves the run's model again after its update.
        OutOfTime: the endpoint is still changing.
    """
    before, said, updated, answered = run.config_before, "", False, True
    shadow = run.shadow["config"] if run.shadow is not None else None
    kept: Any = contract.retained_properties() if run.keeps_instances else {}
    doing = f"bringing the endpoint {endpoint} back to {before or 'nothing'}"
    while True:
        found = _describe(sagemaker, endpoint, deadline=deadline, doing=doing)

        # the run deleted the endpoint to create another one
        if found is None and before and run.replaces_realtime:
            _try(lambda: sagemaker.create_endpoint(**contract.wake_request(endpoint=endpoint, config=before, env=env)))
            said = f"the endpoint {endpoint}, which the run had deleted to replace it, was created again with {before}"
            deadline.pause(_POLL_SECONDS, doing)
            continue
        if found is None:
            return TakenBack(said, "", answered)

        # it comes to rest by itself
        status, serves = found
        if status in _CHANGING:
            deadline.pause(_POLL_SECONDS, f"waiting for the endpoint {endpoint}, which is {status}")
            continue
        if serves == shadow and status == "InService":
            # the shadow costs, and a further attempt to take it away may be needed
            _try(
                lambda: sagemaker.update_endpoint(
                    EndpointName=endpoint, EndpointConfigName=before, RetainAllVariantProperties=True
                )
            )
            said, answered = f"the endpoint {endpoint} has no shadow of the run's model any more", False
            deadline.pause(_POLL_SECONDS, doing)
            continue
        if serves != config:
            return TakenBack(said, serves, answered)

        # it serves a model that no smoke test has passed
        if not before or (run.replaces_realtime and status != "InService"):
            _try(lambda: sagemaker.delete_endpoint(EndpointName=endpoint))
            said = f"the endpoint {endpoint} was deleted: no smoke test had passed the run's model"
        elif updated or status != "InService":
            raise EndpointNotRestored(
                f"the endpoint {endpoint} is {status} with {config}, whose model no smoke test has passed"
                f"{f', after an update to {before}' if updated else ''}: look at its FailureReason in the SageMaker "
                f"console, and update it to {before}, or delete it"
            )
        else:
            updated = _try(lambda: sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=before, **kept))
            said = f"the endpoint {endpoint} went back to {before}: no smoke test had passed the run's model"
        deadline.pause(_POLL_SECONDS, doing)


def _describe(sagemaker: SageMakerClient, endpoint: str, *, deadline: Deadline, doing: str) -> tuple[str, str] | None:
    """Return the endpoint's status and configuration; None where there is no endpoint."""
    try:
        found = patiently(lambda: sagemaker.describe_endpoint(EndpointName=endpoint), deadline=deadline, doing=doing)
    except ClientError as error:
        if is_missing_resource(error):
            return None
        raise
    return found["EndpointStatus"], found["EndpointConfigName"]


def _try(change: Callable[[], object]) -> bool:
    """Change the endpoint, and return whether it could be: where its status has changed since, it is looked at anew."""
    try:
        change()
    except ClientError as error:
        if is_being_changed(error) or is_missing_resource(error) or already_exists(error):
            return False
        raise
    return True
