"""Endpoints: create them, update them blue/green with rollback, and delete them.

Every production variant is one `serve` process here, whatever its InitialInstanceCount; DescribeEndpoint answers the
count that was asked for. Traffic shifts all at once, whatever UpdateEndpoint's DeploymentConfig says, and its alarms
have no effect: an update is rolled back if its container does not become healthy.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from local.sagemaker.context import INTERNAL_ERROR, MAX_REASON, Context
from local.sagemaker.endpoints.instance import Instance
from local.sagemaker.endpoints.routing import choose
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
        self._work(self._create, record["EndpointName"], deployment)
        return str(record["EndpointArn"])

    def update(self, parameters: Record) -> str:
        """Begin to update an endpoint to another configuration, and return its ARN.

        Raises:
            SageMakerError: there is no such endpoint or configuration, or the endpoint is not in service.
        """
        name = parameters["EndpointName"]
        self._check_not_in_progress(name)
        deployment = self._deployment(name, parameters["EndpointConfigName"])

        with self._context.store.change(ENDPOINT, name) as record:
            if record["EndpointStatus"] != "InService":
                raise validation(
                    f'Cannot update endpoint "{record["EndpointArn"]}" because it is not InService but '
                    f"{record['EndpointStatus']}; delete it and create it anew."
                )
            record["EndpointStatus"] = "Updating"
            record["PendingDeploymentSummary"] = {
                "EndpointConfigName": parameters["EndpointConfigName"],
                "ProductionVariants": [_pending(instance) for instance in deployment],
                "StartTime": time.time(),
            }

            # a DeploymentConfig is forgotten with the next update unless the request retains it
            if "DeploymentConfig" in parameters:
                record["LastDeploymentConfig"] = parameters["DeploymentConfig"]
            elif not parameters.get("RetainDeploymentConfig"):
                record.pop("LastDeploymentConfig", None)
            arn = str(record["EndpointArn"])

        self._work(self._update, name, deployment, parameters["EndpointConfigName"])
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
        self._work(self._delete, name)

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
        for instance in instances:
            instance.retire(drain=False)
        for thread in threads:
            thread.join(timeout=10)

    def _check_not_in_progress(self, name: str) -> None:
        record = self._context.store.get(ENDPOINT, name)
        if record["EndpointStatus"] in _IN_PROGRESS:
            raise _in_progress(record)

    def _deployment(self, endpoint: str, config_name: str) -> list[Instance]:
        config = self._context.store.get(ENDPOINT_CONFIG, config_name)
        return [
            Instance(
                self._context,
                endpoint=endpoint,
                variant=variant,
                model=self._context.store.get(MODEL, variant["ModelName"]),
            )
            for variant in config["ProductionVariants"]
        ]

    def _work(self, target: Any, name: str, *arguments: Any) -> None:
        """Publish the endpoint's state, and go on with `target` in a thread of its own."""
        self._context.announce(ENDPOINT, name)

        def work() -> None:
            try:
                target(name, *arguments)
            except Exception:
                _LOGGER.exception("endpoint %s failed inside the service", name)
            finally:
                with self._lock:
                    self._threads.discard(thread)

        thread = threading.Thread(target=work, name=f"endpoint {name}", daemon=True)
        with self._lock:
            self._threads.add(thread)
        thread.start()

    def _create(self, name: str, deployment: list[Instance]) -> None:
        reason = self._start(deployment)
        self._context.linger(lambda: self._context.account.creating_seconds(name))
        with self._context.store.change(ENDPOINT, name) as record:
            if reason is None:
                self._serve(record, name, deployment)
            else:
                record |= {"EndpointStatus": "Failed", "FailureReason": reason}
        self._context.announce(ENDPOINT, name)

    def _update(self, name: str, deployment: list[Instance], config_name: str) -> None:
        reason = self._start(deployment)
        with self._lock:
            before = self._live.get(name, [])
        with self._context.store.change(ENDPOINT, name) as record:
            record.pop("PendingDeploymentSummary", None)
            if reason is None:
                record["EndpointConfigName"] = config_name
                record.pop("FailureReason", None)
                self._serve(record, name, deployment)
            else:
                # rolled back: the instances before the update never stopped answering
                record |= {"EndpointStatus": "InService", "FailureReason": reason}
        self._context.announce(ENDPOINT, name)

        if reason is None:
            for instance in before:
                instance.retire()

    def _delete(self, name: str) -> None:
        with self._lock:
            instances = self._live.pop(name, [])
        for instance in instances:
            instance.retire()
        self._context.store.delete(ENDPOINT, name)

    def _start(self, deployment: list[Instance]) -> str | None:
        """Start every instance. If one fails, end all and return the FailureReason."""
        try:
            for instance in deployment:
                instance.start()
            if self._context.closing.is_set():
                raise JobFailure("The local SageMaker was stopped.")
        except Exception as error:
            for instance in deployment:
                instance.retire(drain=False)
            if isinstance(error, JobFailure):
                return str(error)[:MAX_REASON]
            if isinstance(error, SageMakerError):
                return error.message[:MAX_REASON]
            _LOGGER.exception("an endpoint's instance failed inside the service")
            return INTERNAL_ERROR
        return None

    def _serve(self, record: Record, name: str, deployment: list[Instance]) -> None:
        with self._lock:
            self._live[name] = deployment
        record["EndpointStatus"] = "InService"
        record["ProductionVariants"] = [_deployed(instance) for instance in deployment]


def _in_progress(record: Record) -> SageMakerError:
    return validation(f'Cannot update in-progress endpoint "{record["EndpointArn"]}".')


def _pending(instance: Instance) -> dict[str, Any]:
    return {
        "VariantName": instance.variant["VariantName"],
        "DesiredWeight": instance.variant.get("InitialVariantWeight", 1.0),
        "DesiredInstanceCount": instance.variant.get("InitialInstanceCount", 1),
        "InstanceType": instance.variant.get("InstanceType"),
    }


def _deployed(instance: Instance) -> dict[str, Any]:
    weight = instance.variant.get("InitialVariantWeight", 1.0)
    count = instance.variant.get("InitialInstanceCount", 1)
    return {
        "VariantName": instance.variant["VariantName"],
        "DeployedImages": [
            {"SpecifiedImage": instance.image_uri, "ResolvedImage": instance.image_uri, "ResolutionTime": time.time()}
        ],
        "CurrentWeight": weight,
        "DesiredWeight": weight,
        "CurrentInstanceCount": count,
        "DesiredInstanceCount": count,
    }
