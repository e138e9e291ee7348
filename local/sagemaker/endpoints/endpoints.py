"""Endpoints: create them, update them blue/green with rollback, and delete them.

Every production variant is one `serve` process here, whatever its InitialInstanceCount; DescribeEndpoint answers the
count that was asked for. Traffic shifts all at once, whatever UpdateEndpoint's DeploymentConfig says, and its alarms
have no effect: an update is rolled back if its container does not become healthy.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from local import clock
from local.sagemaker.context import INTERNAL_ERROR, MAX_REASON, Context
from local.sagemaker.endpoints.instance import Instance
from local.sagemaker.endpoints.routing import choose
from local.sagemaker.endpoints.serverless import ServerlessInstance
from local.sagemaker.endpoints.variants import deployed_variant, pending_variant
from local.sagemaker.errors import JobFailure, SageMakerError, validation
from local.sagemaker.resources import ENDPOINT, ENDPOINT_CONFIG, MODEL
from local.sagemaker.store import Record

__all__ = ["Endpoints"]

_LOGGER = logging.getLogger(__name__)

_IN_PROGRESS = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")


class Endpoints:
    """The operations CreateEndpoint, UpdateEndpoint and DeleteEndpoint, and the instances in service."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._live: dict[str, list[Instance]] = {}
        self._threads: set[threading.Thread] = set()

    def create(self, parameters: Record) -> str:
        """Begin to create an endpoint, and return its ARN.

        Raises:
            SageMakerError: the name is taken, or the configuration or one of its models does not exist.
        """
        deployment = self._deployment(parameters["EndpointName"], parameters["EndpointConfigName"])
        members: dict[str, Any] = {"EndpointStatus": "Creating"}
        if "DeploymentConfig" in parameters:
            members["LastDeploymentConfig"] = parameters["DeploymentConfig"]
        record = self._context.store.create(ENDPOINT, parameters, **members)

        name = record["EndpointName"]
        self._begin(
            name,
            lambda: self._create(name, deployment),
            give_up=lambda: self._fail(name, deployment, INTERNAL_ERROR),
        )
        return str(record["EndpointArn"])

    def update(self, parameters: Record) -> str:
        """Begin to update an endpoint to another configuration, and return its ARN.

        Raises:
            SageMakerError: there is no such endpoint or configuration, or the endpoint is not in service.
        """
        name, config_name = parameters["EndpointName"], parameters["EndpointConfigName"]
        self._check_not_in_progress(name)
        deployment = self._deployment(name, config_name)
        self._check_kind(name, deployment)
        pending = {
            "EndpointConfigName": config_name,
            "ProductionVariants": [pending_variant(instance) for instance in deployment],
            "StartTime": clock.time(),
        }

        with self._context.store.change(ENDPOINT, name) as record:
            if record["EndpointStatus"] != "InService":
                raise validation(
                    f'Cannot update endpoint "{record["EndpointArn"]}" because it is not InService but '
                    f"{record['EndpointStatus']}; delete it and create it anew."
                )
            record |= {"EndpointStatus": "Updating", "PendingDeploymentSummary": pending}

            # a DeploymentConfig is forgotten with the next update unless the request retains it
            if "DeploymentConfig" in parameters:
                record["LastDeploymentConfig"] = parameters["DeploymentConfig"]
            elif not parameters.get("RetainDeploymentConfig"):
                record.pop("LastDeploymentConfig", None)
            arn = str(record["EndpointArn"])

        self._begin(
            name,
            lambda: self._update(name, deployment, config_name),
            give_up=lambda: self._roll_back(name, deployment, INTERNAL_ERROR),
        )
        return arn

    def delete(self, name: str) -> None:
        """Begin to delete an endpoint. It answers the requests in flight before it ends.

        Raises:
            SageMakerError: there is no endpoint of this name, or it is being created or updated.
        """
        with self._context.store.change(ENDPOINT, name) as record:
            if record["EndpointStatus"] in _IN_PROGRESS:
                raise _in_progress(record)
            record["EndpointStatus"] = "Deleting"
        self._begin(name, lambda: self._delete(name), give_up=lambda: self._context.store.delete(ENDPOINT, name))

    def enter(self, name: str, variant: str | None) -> Instance:
        """Return an instance to answer a request. The caller must call its `leave` afterwards.

        Raises:
            SageMakerError: ValidationError, because no such endpoint or variant is in service.
        """
        with self._lock:
            instances = self._live.get(name)
            if not instances:
                raise SageMakerError(
                    "ValidationError", f"Endpoint {name} of account {self._context.host.account_id} not found."
                )
            instance = choose(instances, variant)
            instance.enter()
            return instance

    def close(self) -> None:
        """End every instance at once, without waiting for requests in flight."""
        with self._lock:
            instances = [instance for deployment in self._live.values() for instance in deployment]
            self._live.clear()
            threads = list(self._threads)
        _retire(instances, drain=False)
        for thread in threads:
            thread.join(timeout=10)

    def _check_not_in_progress(self, name: str) -> None:
        record = self._context.store.get(ENDPOINT, name)
        if record["EndpointStatus"] in _IN_PROGRESS:
            raise _in_progress(record)

    def _check_kind(self, name: str, deployment: list[Instance]) -> None:
        """Refuse to make a real-time endpoint serverless (developer guide, "Serverless Inference": exclusions)."""
        with self._lock:
            served = list(self._live.get(name, []))
        if _is_serverless(deployment[0].variant) and any(not _is_serverless(instance.variant) for instance in served):
            raise validation(
                f"Cannot update the real-time endpoint {name} to a serverless one; delete it and create it anew."
            )

    def _deployment(self, endpoint: str, config_name: str) -> list[Instance]:
        config = self._context.store.get(ENDPOINT_CONFIG, config_name)
        return [
            (ServerlessInstance if _is_serverless(variant) else Instance)(
                self._context,
                endpoint=endpoint,
                variant=variant,
                model=self._context.store.get(MODEL, variant["ModelName"]),
            )
            for variant in config["ProductionVariants"]
        ]

    def _begin(self, name: str, work: Callable[[], None], *, give_up: Callable[[], None]) -> None:
        """Publish the endpoint's state, and do the work in a thread of its own.

        If the thread cannot start or the work raises, `give_up` brings the endpoint to a final status: none stays in
        progress without a thread behind it, since it could then be neither updated nor deleted.
        """

        def run() -> None:
            try:
                self._context.announce(ENDPOINT, name)
                work()
            except Exception:
                _LOGGER.exception("endpoint %s failed inside the service", name)
                give_up()
            finally:
                with self._lock:
                    self._threads.discard(threading.current_thread())

        thread = threading.Thread(target=run, name=f"endpoint {name}", daemon=True)
        with self._lock:
            self._threads.add(thread)
        try:
            thread.start()
        except BaseException:
            with self._lock:
                self._threads.discard(thread)
            give_up()
            raise

    def _create(self, name: str, deployment: list[Instance]) -> None:
        reason = self._start(deployment)
        self._context.linger(lambda: self._context.account.creating_seconds(name))
        if reason is not None:
            self._fail(name, deployment, reason)
            return
        self._serve(name, deployment)

    def _update(self, name: str, deployment: list[Instance], config_name: str) -> None:
        reason = self._start(deployment)
        if reason is not None:
            self._roll_back(name, deployment, reason)
            return
        with self._lock:
            before = self._live.get(name, [])
        self._serve(name, deployment, EndpointConfigName=config_name)
        _retire(before)

    def _delete(self, name: str) -> None:
        with self._lock:
            instances = self._live.pop(name, [])
        _retire(instances)
        self._context.store.delete(ENDPOINT, name)

    def _fail(self, name: str, deployment: list[Instance], reason: str) -> None:
        """Record that the endpoint could not be created."""
        _retire(deployment, drain=False)
        with self._context.store.change(ENDPOINT, name) as record:
            record |= {"EndpointStatus": "Failed", "FailureReason": reason}
        self._context.announce(ENDPOINT, name)

    def _roll_back(self, name: str, deployment: list[Instance], reason: str) -> None:
        """Record that the update failed, unless it has happened. The instances before it never stopped answering."""
        with self._lock:
            if self._live.get(name) is deployment:
                return
        _retire(deployment, drain=False)
        with self._context.store.change(ENDPOINT, name) as record:
            record.pop("PendingDeploymentSummary", None)
            record |= {"EndpointStatus": "InService", "FailureReason": reason}
        self._context.announce(ENDPOINT, name)

    def _start(self, deployment: list[Instance]) -> str | None:
        """Start every instance. Return the FailureReason if one fails."""
        self._context.start_up("serverless_endpoint" if _is_serverless(deployment[0].variant) else "endpoint")
        try:
            for instance in deployment:
                instance.start()
            if self._context.closing.is_set():
                raise JobFailure("The local SageMaker was stopped.")
        except JobFailure as failure:
            return str(failure)[:MAX_REASON]
        except SageMakerError as error:
            return error.message[:MAX_REASON]
        except Exception:
            _LOGGER.exception("an endpoint's instance failed inside the service")
            return INTERNAL_ERROR
        return None

    def _serve(self, name: str, deployment: list[Instance], **members: Any) -> None:
        """Send the endpoint's requests to these instances, and record that."""
        variants = [deployed_variant(instance) for instance in deployment]
        with self._context.store.change(ENDPOINT, name) as record:
            record.pop("PendingDeploymentSummary", None)
            record.pop("FailureReason", None)
            record |= {**members, "EndpointStatus": "InService", "ProductionVariants": variants}
            with self._lock:
                self._live[name] = deployment
        self._context.announce(ENDPOINT, name)


def _retire(instances: Sequence[Instance], *, drain: bool = True) -> None:
    """End the instances; one that cannot be ended is logged and does not keep the others."""
    for instance in instances:
        try:
            instance.retire(drain=drain)
        except Exception:
            _LOGGER.exception("an instance of variant %s was not ended", instance.variant["VariantName"])


def _is_serverless(variant: Record) -> bool:
    return "ServerlessConfig" in variant


def _in_progress(record: Record) -> SageMakerError:
    return validation(f'Cannot update in-progress endpoint "{record["EndpointArn"]}".')
