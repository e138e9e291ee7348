"""Transform jobs: start a model's container, and ask it about each object of a prefix or a manifest.

As on AWS, an object that the container refuses fails the job, but the others are answered all the same, and each answer
is uploaded as soon as it is there (API reference, "TransformOutput").
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import urllib3
from botocore.exceptions import BotoCoreError, ClientError

from local import clock
from local.sagemaker.context import MAX_REASON, Context
from local.sagemaker.endpoints.instance import Instance
from local.sagemaker.errors import JobFailure, validation
from local.sagemaker.jobs.job_run import JobRun, RunningJobs
from local.sagemaker.jobs.logs import LogStream
from local.sagemaker.jobs.transform_objects import InputObject, TransformObjects
from local.sagemaker.jobs.transform_request import TransformOptions, read_request
from local.sagemaker.resources import MODEL, TRANSFORM_JOB
from local.sagemaker.store import Record

__all__ = ["TransformJobs"]

_LOG_GROUP: Final = "/aws/sagemaker/TransformJobs"
_STRATEGIES: Final = {"SingleRecord": "SINGLE_RECORD", "MultiRecord": "MULTI_RECORD"}
"""BatchStrategy as the container is told it."""
_HEALTHY_WITHIN: Final = 1800
"""Seconds until a container must answer /ping (aws/amazon-sagemaker-examples#815)."""


class TransformJobs:
    """The operations CreateTransformJob and StopTransformJob."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._running = RunningJobs(TRANSFORM_JOB)

    def create(self, parameters: Record) -> str:
        """Start a job and return its ARN.

        Raises:
            SageMakerError: the request is wrong, there is no such model, the name is taken, or too many jobs run.
        """
        options = read_request(parameters)
        model = self._context.store.get(MODEL, parameters["ModelName"])
        self._running.check_limit()
        record = self._context.store.create(TRANSFORM_JOB, parameters, TransformJobStatus="InProgress")
        self._context.announce(TRANSFORM_JOB, record["TransformJobName"])
        self._running.start(TransformRun(self._context, record, model=model, options=options))
        return str(record["TransformJobArn"])

    def stop(self, name: str) -> None:
        """Begin to stop a job.

        Raises:
            SageMakerError: there is no job of this name, or it has ended.
        """
        with self._context.store.change(TRANSFORM_JOB, name) as record:
            status = record["TransformJobStatus"]
            if status not in ("InProgress", "Stopping"):
                raise validation(f"The request was rejected because the transform job is in status {status}.")
            record["TransformJobStatus"] = "Stopping"
        self._context.announce(TRANSFORM_JOB, name)
        self._running.request_stop(name)

    def join(self, timeout: float) -> None:
        """Wait for the running jobs to end, at most `timeout` seconds."""
        self._running.join(timeout)


class TransformInstance(Instance):
    """The container of a transform job, with its variables and its place in the log."""

    def __init__(
        self, context: Context, *, job: Record, model: Record, options: TransformOptions, stopped: threading.Event
    ) -> None:
        name = job["TransformJobName"]
        variant = {
            "VariantName": name,
            "ModelName": model["ModelName"],
            "ContainerStartupHealthCheckTimeoutInSeconds": _HEALTHY_WITHIN,
        }
        super().__init__(context, endpoint=name, variant=variant, model=model)
        self._base = context.root / "transform-jobs" / name / self._id
        self._job = job
        self._options = options
        self._stopped = stopped

    @property
    def is_running(self) -> bool:
        """Whether the program runs and is wanted: a stopped job waits for no answer to /ping."""
        return super().is_running and not self._stopped.is_set()

    @property
    def log_stream(self) -> str:
        """The log stream of the program's lines."""
        return f"{self.variant['VariantName']}/{self._id}"

    def _variables(self) -> dict[str, str]:
        # what AWS sets comes last (developer guide, "Custom Inference Code with Batch Transform")
        given = {**super()._variables(), **self._job.get("Environment", {})}
        strategy = _STRATEGIES.get(self._job.get("BatchStrategy", ""))
        return {
            **given,
            "SAGEMAKER_BATCH": "true",
            "SAGEMAKER_MAX_PAYLOAD_IN_MB": str(self._options.max_payload // 2**20),
            "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": str(self._options.concurrency),
            **({"SAGEMAKER_BATCH_STRATEGY": strategy} if strategy else {}),
        }

    def _log_place(self) -> tuple[str, str]:
        return _LOG_GROUP, self.log_stream

    def _unhealthy(self) -> str:
        return "AlgorithmError: The container did not pass the ping health check. See job logs for more information"


class TransformRun(JobRun):
    """The run of one transform job: container, then object by object."""

    kind = TRANSFORM_JOB

    def __init__(self, context: Context, record: Record, *, model: Record, options: TransformOptions) -> None:
        super().__init__(context, record["TransformJobName"])
        self._record = record
        self._role_arn = model["ExecutionRoleArn"]
        self._options = options
        self._instance = TransformInstance(
            context, job=record, model=model, options=options, stopped=self.stop_requested
        )
        self._log: LogStream | None = None

    def execute(self) -> None:
        credentials = self.context.credentials(self._role_arn, "SageMaker")
        objects = TransformObjects(credentials, role_arn=self._role_arn, output=self._record["TransformOutput"])
        self.context.start_up("transform_job", stopped=self.stop_requested)

        # start the container
        with self.context.store.change(TRANSFORM_JOB, self.name) as record:
            record["TransformStartTime"] = clock.time()
        items = objects.listed(self._record["TransformInput"]["DataSource"]["S3DataSource"])
        self._instance.start()
        self._log = LogStream(credentials, group=_LOG_GROUP, stream=f"{self._instance.log_stream}/data-log")
        self._log.write(
            f"[sagemaker logs]: MaxConcurrentTransforms={self._options.concurrency}, "
            f"MaxPayloadInMB={self._options.max_payload // 2**20}, "
            f"BatchStrategy={self._record.get('BatchStrategy', 'MultiRecord')}"
        )

        # ask about every object
        with ThreadPoolExecutor(self._options.concurrency) as threads:
            failures = list(filter(None, threads.map(lambda item: self._transform(objects, item), items)))
        if self.context.closing.is_set():
            raise JobFailure("InternalServerError: The local SageMaker was stopped.")
        self.linger()
        if self.stop_requested.is_set():
            self._finish("Stopped")
        elif failures:
            self._finish("Failed", FailureReason=f"{_worst(failures)}: See job logs for more information")
        else:
            self._finish("Completed")

    def fail(self, reason: str) -> None:
        if self.stop_requested.is_set():
            self._finish("Stopped")
            return
        self._finish("Failed", FailureReason=reason[:MAX_REASON])

    def clean_up(self) -> None:
        self._instance.retire(drain=False)
        if self._log is not None:
            self._log.close()
        shutil.rmtree(self.context.root / "transform-jobs" / self.name, ignore_errors=True)

    def _transform(self, objects: TransformObjects, item: InputObject) -> str | None:
        """Answer one object, unless the job is stopped; return whose error it was if that fails."""
        if self.stop_requested.is_set() or self.context.closing.is_set():
            return None
        try:
            body = objects.read(item)
        except (BotoCoreError, ClientError) as error:
            return self._failed(item, "ClientError", str(error))
        if len(body) > self._options.max_payload:
            return self._failed(item, "ClientError", f"the object has {len(body)} bytes, more than MaxPayloadInMB")

        source, target = self._record["TransformInput"], self._record["TransformOutput"]
        headers = {"Content-Type": source.get("ContentType", "application/octet-stream")}
        headers["Accept"] = target.get("Accept", "*/*")
        for attempt in range(self._options.attempts):
            last = attempt == self._options.attempts - 1
            try:
                response = self._instance.request(body, headers, timeout=self._options.timeout)
            except urllib3.exceptions.HTTPError:
                if last:
                    return self._failed(item, "AlgorithmError", "Unable to get response from algorithm")
                continue
            if response.status == 200:
                return self._written(objects, item, response.data)
            if last or 400 <= response.status < 500:
                whose = "ClientError" if response.status < 500 else "AlgorithmError"
                return self._failed(item, whose, f"{response.status}: {response.data[:500].decode(errors='replace')}")
        return None

    def _written(self, objects: TransformObjects, item: InputObject, answer: bytes) -> str | None:
        line_end = b"\n" if self._record["TransformOutput"].get("AssembleWith") == "Line" else b""
        try:
            objects.write(item, answer + line_end)
        except (BotoCoreError, ClientError) as error:
            return self._failed(item, "ClientError", f"the answer cannot be uploaded: {error}")
        return None

    def _failed(self, item: InputObject, whose: str, what: str) -> str:
        if self._log is not None:
            self._log.write(f"[sagemaker logs]: {item.label}: {whose}: {what}")
        return whose

    def _finish(self, status: str, **members: Any) -> None:
        with self.context.store.change(TRANSFORM_JOB, self.name) as record:
            record |= {**members, "TransformJobStatus": status, "TransformEndTime": clock.time()}
        self.context.announce(TRANSFORM_JOB, self.name)


def _worst(failures: Iterable[str]) -> str:
    return "AlgorithmError" if "AlgorithmError" in failures else "ClientError"
