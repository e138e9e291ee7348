"""The service: the table of all operations, and who answers each."""

from __future__ import annotations

import atexit
import logging
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from local.sagemaker.account import Account
from local.sagemaker.account.admission import Admission
from local.sagemaker.context import Context
from local.sagemaker.endpoints.endpoints import Endpoints
from local.sagemaker.endpoints.invocation import invoke
from local.sagemaker.endpoints.models import create_endpoint_config, create_model
from local.sagemaker.errors import SageMakerError, unknown_operation
from local.sagemaker.host import Host, Image
from local.sagemaker.jobs.debugger import Debugger
from local.sagemaker.jobs.deletion import delete_job
from local.sagemaker.jobs.processing import ProcessingJobs
from local.sagemaker.jobs.stopping import StopPolicy
from local.sagemaker.jobs.training import TrainingJobs
from local.sagemaker.jobs.transform import TransformJobs
from local.sagemaker.listing import page, select
from local.sagemaker.object_cache import ObjectCache
from local.sagemaker.registry import Registry, registry_arn
from local.sagemaker.resources import (
    ENDPOINT,
    ENDPOINT_CONFIG,
    KINDS,
    MODEL,
    PROCESSING_JOB,
    TRAINING_JOB,
    TUNING_JOB,
    Kind,
)
from local.sagemaker.schema import operation as operation_model
from local.sagemaker.schema import shaped, validate
from local.sagemaker.store import Record, Store
from local.sagemaker.tuning.trials import list_trials, with_counters
from local.sagemaker.tuning.tuning import TuningJobs

__all__ = ["SageMaker"]

_LOGGER = logging.getLogger(__name__)

_Operation = Callable[[Record], Record | None]


class SageMaker:
    """SageMaker's API on this machine. Every method may be called from any thread.

    Args:
        host: the cloud around the service: account, Region, credentials of roles, events.
        images: the local programs that stand for container images.
        root: folder for the files of jobs and endpoints; created if it does not exist.
        account: the account's faults, quotas and names; by default one with generous quotas that forgets its names.
        stopping: how training jobs are ended; by default they hear no SIGTERM.
    """

    def __init__(
        self,
        *,
        host: Host,
        images: Sequence[Image],
        root: Path,
        account: Account | None = None,
        stopping: StopPolicy | None = None,
    ) -> None:
        # remove what a service that was killed left behind
        root = root.resolve()
        for name in ("training-jobs", "processing-jobs", "transform-jobs", "endpoints", "rule-evaluations"):
            shutil.rmtree(root / name, ignore_errors=True)
            (root / name).mkdir(parents=True)

        store = Store(region=host.region, account_id=host.account_id)
        cache = ObjectCache(root / "object-cache")
        self.account = account or Account()
        self._context = Context(
            host=host,
            images=tuple(images),
            root=root,
            store=store,
            cache=cache,
            account=self.account,
            stopping=stopping or StopPolicy(),
        )

        self._debugger = Debugger(self._context)
        self._training = TrainingJobs(self._context, self._debugger)
        self._tuning = TuningJobs(self._context, self._training)
        self._processing = ProcessingJobs(self._context)
        self._transform = TransformJobs(self._context)
        self._endpoints = Endpoints(self._context)
        self._registry = Registry(self._context)
        self._admission = Admission(self.account, store)

        self._closed = threading.Lock()
        self._operations = self._table()
        atexit.register(self.close)

    def call(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Answer an operation of the control plane.

        Args:
            operation: the operation's name, e.g. `CreateTrainingJob`.
            parameters: the members of the request, as parsed from JSON.

        Returns:
            The members of the answer, with timestamps as epoch seconds.

        Raises:
            SageMakerError: the API's error.
        """
        answer = self._operations.get(operation)
        if answer is None:
            raise unknown_operation(operation, exists=operation_model(operation) is not None)

        # a mistake of the service becomes an error of the API, as on AWS
        request = validate(operation, parameters)
        try:
            with self._admission.admit(operation, request):
                return shaped(operation, answer(request) or {})
        except SageMakerError:
            raise
        except Exception as error:
            _LOGGER.exception("%s failed inside the service", operation)
            raise SageMakerError(
                "InternalFailure", f"{operation} failed inside the local SageMaker: {error!r}", 500
            ) from error

    def invoke_endpoint(
        self, name: str, *, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Return the status, headers and body of InvokeEndpoint's answer.

        Raises:
            SageMakerError: ValidationError, or ModelError with status 424. The latter's `members` OriginalStatusCode,
                OriginalMessage and LogStreamArn belong in the answer's body beside `Message`.
        """
        return invoke(self._context, self._endpoints, name, headers=headers, body=body)

    def resource_arn(self, operation: str, parameters: dict[str, Any]) -> str:
        """Return the ARN that an IAM policy must allow for this request; `*` if the action has no resource.

        The parameters of `InvokeEndpoint` are `{"EndpointName": …}`.
        """
        if "ResourceArn" in parameters:
            return str(parameters["ResourceArn"])
        if operation == "InvokeEndpoint":
            return self._context.store.arn(ENDPOINT, str(parameters.get("EndpointName", "")))
        if operation == "ListTrainingJobsForHyperParameterTuningJob":
            return self._context.store.arn(TUNING_JOB, str(parameters.get(TUNING_JOB.name_member, "")))
        if operation == "UpdateEndpointWeightsAndCapacities":
            return self._context.store.arn(ENDPOINT, str(parameters.get("EndpointName", "")))
        arn = registry_arn(self._context.store, operation, parameters)
        if arn is not None:
            return arn
        for kind in KINDS:
            if operation in (f"{verb}{kind.name}" for verb in ("Create", "Describe", "Stop", "Update", "Delete")):
                return self._context.store.arn(kind, str(parameters.get(kind.name_member, "")))
        return "*"

    def close(self) -> None:
        """End every process that the service started; a second call does nothing."""
        if not self._closed.acquire(blocking=False):
            return
        self._context.closing.set()
        self._endpoints.close()
        for jobs in (self._tuning, self._training, self._debugger, self._processing, self._transform):
            jobs.join(timeout=10)
        atexit.unregister(self.close)

    def _table(self) -> dict[str, _Operation]:
        context, store = self._context, self._context.store
        table: dict[str, _Operation] = {
            # jobs
            "CreateTrainingJob": lambda p: {"TrainingJobArn": self._training.create(p)},
            "CreateHyperParameterTuningJob": lambda p: {"HyperParameterTuningJobArn": self._tuning.create(p)},
            "CreateProcessingJob": lambda p: {"ProcessingJobArn": self._processing.create(p)},
            "CreateTransformJob": lambda p: {"TransformJobArn": self._transform.create(p)},
            "StopTrainingJob": lambda p: self._training.stop(p["TrainingJobName"]),
            "StopHyperParameterTuningJob": lambda p: self._tuning.stop(p["HyperParameterTuningJobName"]),
            "StopProcessingJob": lambda p: self._processing.stop(p["ProcessingJobName"]),
            "StopTransformJob": lambda p: self._transform.stop(p["TransformJobName"]),
            "DeleteTrainingJob": lambda p: delete_job(context, TRAINING_JOB, p, [self._training, self._debugger]),
            "DeleteHyperParameterTuningJob": lambda p: delete_job(context, TUNING_JOB, p, [self._tuning]),
            "DeleteProcessingJob": lambda p: delete_job(context, PROCESSING_JOB, p, [self._processing]),
            "ListTrainingJobsForHyperParameterTuningJob": lambda p: list_trials(store, p),
            # endpoints
            "CreateModel": lambda p: {"ModelArn": create_model(context, p)},
            "CreateEndpointConfig": lambda p: {"EndpointConfigArn": create_endpoint_config(context, p)},
            "CreateEndpoint": lambda p: {"EndpointArn": self._endpoints.create(p)},
            "UpdateEndpoint": lambda p: {"EndpointArn": self._endpoints.update(p)},
            "UpdateEndpointWeightsAndCapacities": lambda p: {"EndpointArn": self._endpoints.resize(p)},
            "DeleteModel": lambda p: store.delete(MODEL, p["ModelName"]),
            "DeleteEndpointConfig": lambda p: store.delete(ENDPOINT_CONFIG, p["EndpointConfigName"]),
            "DeleteEndpoint": lambda p: self._endpoints.delete(p["EndpointName"]),
            # the Model Registry
            "CreateModelPackageGroup": self._registry.create_group,
            "DescribeModelPackageGroup": self._registry.describe_group,
            "ListModelPackageGroups": self._registry.list_groups,
            "DeleteModelPackageGroup": self._registry.delete_group,
            "CreateModelPackage": self._registry.create_package,
            "DescribeModelPackage": self._registry.describe_package,
            "ListModelPackages": self._registry.list_packages,
            "UpdateModelPackage": self._registry.update_package,
            "DeleteModelPackage": self._registry.delete_package,
            # tags
            "AddTags": self._add_tags,
            "ListTags": self._list_tags,
            "DeleteTags": lambda p: store.delete_tags(p["ResourceArn"], p["TagKeys"]),
        }

        # Describe and List are the same for all kinds
        for kind in KINDS:
            table[f"Describe{kind.name}"] = lambda p, kind=kind: self._describe(kind, p)  # type: ignore[misc]
            table[f"List{kind.plural}"] = lambda p, kind=kind: self._list(kind, p)  # type: ignore[misc]
        return table

    def _describe(self, kind: Kind, parameters: Record) -> Record:
        record = self._context.store.get(kind, parameters[kind.name_member])
        return with_counters(self._context.store, record) if kind is TUNING_JOB else record

    def _list(self, kind: Kind, parameters: Record) -> Record:
        shown, token = page(select(kind, self._context.store.all(kind), parameters), parameters)
        if kind is TUNING_JOB:
            shown = [with_counters(self._context.store, record) for record in shown]
        return {kind.summaries: shown, **token}

    def _add_tags(self, parameters: Record) -> Record:
        tags = {tag["Key"]: tag["Value"] for tag in parameters["Tags"]}
        return {"Tags": _tag_list(self._context.store.add_tags(parameters["ResourceArn"], tags))}

    def _list_tags(self, parameters: Record) -> Record:
        shown, token = page(
            _tag_list(self._context.store.tags(parameters["ResourceArn"])), {"MaxResults": 50, **parameters}
        )
        return {"Tags": shown, **token}


def _tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
