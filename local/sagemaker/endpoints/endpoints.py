"""Endpoints: create them, update them blue/green with rollback, and delete them.

Every variant is one `serve` process here, however many instances it has; DescribeEndpoint answers the count that was
asked for (`local.sagemaker.endpoints.capacity`). An update is rolled back if its container does not become healthy, or
an alarm of its DeploymentConfig goes off while the requests shift to the new fleet
(`local.sagemaker.endpoints.rollout`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from local import clock
from local.sagemaker.context import INTERNAL_ERROR, MAX_REASON, Context
from local.sagemaker.endpoints.capacity import check_capacities, mark_desired, resize, retain
from local.sagemaker.endpoints.capture import summary
from local.sagemaker.endpoints.deployment import AT_ONCE, Rollout, is_excluded, rollout_of
from local.sagemaker.endpoints.fleet import Fleet
from local.sagemaker.endpoints.instance import Instance
from local.sagemaker.endpoints.rollout import play
from local.sagemaker.endpoints.routing import Traffic
from local.sagemaker.endpoints.serverless import ServerlessInstance
from local.sagemaker.endpoints.shadow import SHADOWS, shadow_members
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
        self._live: dict[str, Traffic] = {}
        self._threads: set[threading.Thread] = set()

    def create(self, parameters: Record) -> str:
        """Begin to create an endpoint, and return its ARN.

        Raises:
            SageMakerError: the name is taken, the configuration or one of its models does not exist, or the
                DeploymentConfig is wrong. With nothing to shift requests from, it has no effect yet.
        """
        fleet = self._fleet(parameters["EndpointName"], parameters["EndpointConfigName"])
        rollout_of(parameters.get("DeploymentConfig"), fleet)
        members: dict[str, Any] = {"EndpointStatus": "Creating"}
        if "DeploymentConfig" in parameters:
            members["LastDeploymentConfig"] = parameters["DeploymentConfig"]
        record = self._context.store.create(ENDPOINT, parameters, **members)

        name = record["EndpointName"]
        self._begin(
            name,
            lambda: self._create(name, fleet),
            give_up=lambda: self._fail(name, fleet, INTERNAL_ERROR),
        )
        return str(record["EndpointArn"])

    def update(self, parameters: Record) -> str:
        """Begin to update an endpoint to another configuration, and return its ARN.

        Raises:
            SageMakerError: there is no such endpoint or configuration, the endpoint is not in service, or the
                DeploymentConfig is wrong or names an alarm that does not exist.
        """
        name, config_name = parameters["EndpointName"], parameters["EndpointConfigName"]
        self._check_not_in_progress(name)
        fleet = self._fleet(name, config_name)
        self._check_kind(name, fleet)
        retain(parameters, fleet, self._served(name))
        rollout = self._rollout(parameters, fleet)
        pending = {
            "EndpointConfigName": config_name,
            "ProductionVariants": [pending_variant(instance) for instance in fleet.instances],
            **shadow_members([pending_variant(shadow) for shadow in fleet.shadows]),
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
            lambda: self._update(name, fleet, rollout),
            give_up=lambda: self._roll_back(name, fleet, INTERNAL_ERROR),
        )
        return arn

    def resize(self, parameters: Record) -> str:
        """Begin to change weights and instance counts of an endpoint in service, and return its ARN.

        Raises:
            SageMakerError: there is no such endpoint or variant, or it is not in service.
        """
        name = parameters["EndpointName"]
        self._check_not_in_progress(name)
        fleet, wanted = self._served(name), parameters["DesiredWeightsAndCapacities"]
        check_capacities(wanted, fleet)
        with self._context.store.change(ENDPOINT, name) as record:
            if record["EndpointStatus"] != "InService" or fleet is None:
                raise validation(f'Cannot update endpoint "{record["EndpointArn"]}" because it is not InService.')
            record["EndpointStatus"] = "Updating"
            mark_desired(record["ProductionVariants"], wanted)
            arn = str(record["EndpointArn"])

        def work() -> None:
            if resize(fleet, wanted):
                self._context.start_up("endpoint")
            self._serve(name, fleet)

        self._begin(name, work, give_up=lambda: self._serve(name, fleet))
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

    def enter(self, name: str, variant: str | None) -> tuple[Fleet, Instance]:
        """Return an instance to answer a request, and its fleet. The caller must call its `leave` afterwards.

        Raises:
            SageMakerError: ValidationError, because no such endpoint or variant is in service.
        """
        with self._lock:
            traffic = self._live.get(name)
            if traffic is None:
                raise SageMakerError(
                    "ValidationError", f"Endpoint {name} of account {self._context.host.account_id} not found."
                )
            fleet, instance = traffic.choose(variant)
            instance.enter()
            return fleet, instance

    def close(self) -> None:
        """End every instance at once, without waiting for requests in flight."""
        with self._lock:
            fleets = [fleet for traffic in self._live.values() for fleet in traffic.fleets]
            self._live.clear()
            threads = list(self._threads)
        for fleet in fleets:
            fleet.retire(drain=False)
        for thread in threads:
            thread.join(timeout=10)

    def _check_not_in_progress(self, name: str) -> None:
        record = self._context.store.get(ENDPOINT, name)
        if record["EndpointStatus"] in _IN_PROGRESS:
            raise _in_progress(record)

    def _check_kind(self, name: str, fleet: Fleet) -> None:
        """Refuse to make a real-time endpoint serverless (developer guide, "Serverless Inference": exclusions)."""
        before = self._served(name)
        if fleet.is_serverless and before is not None and not before.is_serverless:
            raise validation(
                f"Cannot update the real-time endpoint {name} to a serverless one; delete it and create it anew."
            )

    def _served(self, name: str) -> Fleet | None:
        """Return the fleet in service."""
        with self._lock:
            traffic = self._live.get(name)
        return traffic.fleet if traffic is not None else None

    def _rollout(self, parameters: Record, fleet: Fleet) -> Rollout:
        """Return how an update shifts the requests; with RetainDeploymentConfig as the update before did.

        Raises:
            SageMakerError: ValidationException, because the DeploymentConfig is wrong or names a missing alarm.
        """
        config = parameters.get("DeploymentConfig")
        if config is None and parameters.get("RetainDeploymentConfig"):
            config = self._context.store.get(ENDPOINT, parameters["EndpointName"]).get("LastDeploymentConfig")
        rollout = rollout_of(config, fleet)

        states = self._context.host.alarm_states(rollout.alarms) if rollout.alarms else {}
        if missing := [alarm for alarm in rollout.alarms if alarm not in states]:
            raise validation(f"Could not find the alarms of AutoRollbackConfiguration: {', '.join(missing)}.")
        before = self._served(parameters["EndpointName"])
        return AT_ONCE if before is not None and is_excluded(fleet, before) else rollout

    def _fleet(self, endpoint: str, config_name: str) -> Fleet:
        config = self._context.store.get(ENDPOINT_CONFIG, config_name)

        def instances(member: str) -> list[Instance]:
            return [
                (ServerlessInstance if "ServerlessConfig" in variant else Instance)(
                    self._context,
                    endpoint=endpoint,
                    variant=variant,
                    model=self._context.store.get(MODEL, variant["ModelName"]),
                    capture=config.get("DataCaptureConfig"),
                )
                for variant in config.get(member) or []
            ]

        return Fleet(config_name, instances("ProductionVariants"), instances(SHADOWS))

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

    def _create(self, name: str, fleet: Fleet) -> None:
        reason = self._start(fleet)
        self._context.linger(lambda: self._context.account.creating_seconds(name))
        if reason is not None:
            self._fail(name, fleet, reason)
            return
        self._serve(name, fleet)

    def _update(self, name: str, fleet: Fleet, rollout: Rollout) -> None:
        reason = self._start(fleet)
        if reason is None:
            reason = self._shift(name, fleet, rollout)
        if reason is not None:
            self._roll_back(name, fleet, reason)
            return
        before = self._served(name)
        self._serve(name, fleet, EndpointConfigName=fleet.config_name)
        if before is not None:
            before.retire()

    def _shift(self, name: str, fleet: Fleet, rollout: Rollout) -> str | None:
        """Send more and more requests to the new fleet. Return the FailureReason if they have to go back."""

        def shift(share: float, status: str) -> None:
            with self._context.store.change(ENDPOINT, name) as record:
                record["PendingDeploymentSummary"]["ProductionVariants"] = [
                    pending_variant(instance, status) for instance in fleet.instances
                ]
                with self._lock:
                    if name in self._live:
                        self._live[name] = Traffic(self._live[name].fleet, new=fleet, share=share)

        host = self._context.host
        return play(rollout, shift=shift, alarm_states=host.alarm_states, closing=self._context.closing)

    def _delete(self, name: str) -> None:
        with self._lock:
            traffic = self._live.pop(name, None)
        for fleet in traffic.fleets if traffic is not None else []:
            fleet.retire()
        self._context.store.delete(ENDPOINT, name)

    def _fail(self, name: str, fleet: Fleet, reason: str) -> None:
        """Record that the endpoint could not be created."""
        fleet.retire(drain=False)
        with self._context.store.change(ENDPOINT, name) as record:
            record |= {"EndpointStatus": "Failed", "FailureReason": reason}
        self._context.announce(ENDPOINT, name)

    def _roll_back(self, name: str, fleet: Fleet, reason: str) -> None:
        """Send every request to the old fleet, which never stopped answering, and record that the update failed.

        Does nothing if the update has happened.
        """
        with self._lock:
            traffic = self._live.get(name)
            if traffic is not None and traffic.fleet is fleet:
                return
            was_shifting = traffic is not None and traffic.new is fleet
            if traffic is not None:
                self._live[name] = Traffic(traffic.fleet)
        if was_shifting:
            with self._context.store.change(ENDPOINT, name) as record:
                record["EndpointStatus"] = "RollingBack"
            self._context.announce(ENDPOINT, name)

        fleet.retire(drain=was_shifting)
        with self._context.store.change(ENDPOINT, name) as record:
            record.pop("PendingDeploymentSummary", None)
            record |= {"EndpointStatus": "InService", "FailureReason": reason[:MAX_REASON]}
        self._context.announce(ENDPOINT, name)

    def _start(self, fleet: Fleet) -> str | None:
        """Start every instance. Return the FailureReason if one fails."""
        self._context.start_up("serverless_endpoint" if fleet.is_serverless else "endpoint")
        try:
            fleet.start()
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

    def _serve(self, name: str, fleet: Fleet, **members: Any) -> None:
        """Send all of the endpoint's requests to this fleet, and record that."""
        variants = [deployed_variant(instance) for instance in fleet.instances]
        config = fleet.instances[0].capture_config
        captured = {"DataCaptureConfig": summary(config)} if config is not None else {}
        with self._context.store.change(ENDPOINT, name) as record:
            record.pop("PendingDeploymentSummary", None)
            record.pop("FailureReason", None)
            record.pop("DataCaptureConfig", None)
            record.pop(SHADOWS, None)
            record |= shadow_members([deployed_variant(shadow) for shadow in fleet.shadows])
            record |= {**members, **captured, "EndpointStatus": "InService", "ProductionVariants": variants}
            with self._lock:
                self._live[name] = Traffic(fleet)
        self._context.announce(ENDPOINT, name)


def _in_progress(record: Record) -> SageMakerError:
    return validation(f'Cannot update in-progress endpoint "{record["EndpointArn"]}".')
