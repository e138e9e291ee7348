"""The run of a training job: download the inputs, run the image's `train`, upload the model; retry a lost process.

SageMaker's RetryStrategy is for its own faults (InternalServerError), above all an instance that dies. Here a program
that was ended by a signal, such as a SIGKILL to its process group, stands for that: it is started again on a new disk
with its checkpoints. A program that exits with a status from 1 to 128 has failed and is not tried again.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final

from local import clock
from local.sagemaker.context import MAX_REASON, Context
from local.sagemaker.errors import JobFailure
from local.sagemaker.host import Image
from local.sagemaker.jobs.debugger import keep_output, tensor_sync
from local.sagemaker.jobs.failure_reason import failure_reason
from local.sagemaker.jobs.folder_sync import FolderSync
from local.sagemaker.jobs.job_run import JobRun, Outcome
from local.sagemaker.jobs.metrics import MetricReader
from local.sagemaker.jobs.process import Program
from local.sagemaker.jobs.training_host import TrainingHost, host_names
from local.sagemaker.resources import TRAINING_JOB
from local.sagemaker.store import Record
from local.sagemaker.transfer import Transfer

__all__ = ["MESSAGES", "OnMetric", "TrainingRun", "artefact_uri", "enter"]

_LOGGER = logging.getLogger(__name__)

OnMetric = Callable[[str, float], None]
"""A function that is called with the name and the value of every metric as soon as it is printed."""

MESSAGES: Final = {
    "Starting": "Preparing the instances for training",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Stopping": "Stopping the training job",
    "Restarting": "Restarting the training job",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
}
"""The StatusMessage of each secondary status."""


class TrainingRun(JobRun):
    """The run of one training job, with all of its attempts."""

    kind = TRAINING_JOB

    def __init__(self, context: Context, record: Record, *, image: Image, on_metric: OnMetric | None) -> None:
        super().__init__(context, record["TrainingJobName"])
        self._record = record
        self._on_metric = on_metric
        self.stopping = context.stopping.of_job(record)
        self._base = context.root / "training-jobs" / self.name
        self._metrics = MetricReader(record["AlgorithmSpecification"].get("MetricDefinitions", []))
        count = record["ResourceConfig"].get("InstanceCount", 1)
        names = host_names(count)
        self._hosts = [
            TrainingHost(
                record,
                image=image,
                base=self._base if count == 1 else self._base / f"algo-{number}",
                hosts=names,
                number=number,
            )
            for number in range(1, count + 1)
        ]

    def execute(self) -> None:
        """Run the job to its end, with as many attempts as its RetryStrategy allows.

        Raises:
            JobFailure: the job failed; the message is its FailureReason.
        """
        retries = self._record.get("RetryStrategy", {}).get("MaximumRetryAttempts", 0)
        limit = self._record["StoppingCondition"]["MaxRuntimeInSeconds"]
        used = 0.0
        while True:
            # run the programs once
            credentials = self.context.credentials(self._record["RoleArn"], "SageMaker")
            transfer = self._transfer(credentials)
            self.context.start_up("training_job", stopped=self.stop_requested)
            started = clock.time()
            outcome = self._attempt(transfer, credentials, limit - used)
            if outcome is None:
                self.linger()
                self._finish("Stopped", "Stopped")
                return
            used += clock.time() - started

            # start again if the process was lost and the limits allow it
            if not outcome.was_killed or retries == 0 or used >= limit:
                break
            retries -= 1
            _LOGGER.warning("training job %s lost its process and is started again", self.name)
            self._enter("Restarting")

        elapsed = max(1, round(used))
        self._upload_and_finish(outcome, transfer, TrainingTimeInSeconds=elapsed, BillableTimeInSeconds=elapsed)

    def fail(self, reason: str) -> None:
        """Record that the job failed, with this FailureReason."""
        self._finish("Failed", "Failed", FailureReason=reason[:MAX_REASON])

    def clean_up(self) -> None:
        """Send the last log lines, and remove the job's files as AWS removes the instances' disks."""
        for host in self._hosts:
            host.close_log()
        keep_output(self.context, self._record, self._hosts[0].output)
        shutil.rmtree(self._base, ignore_errors=True)

    def _transfer(self, credentials: dict[str, str]) -> Transfer:
        return Transfer(
            credentials,
            role_arn=self._record["RoleArn"],
            cache=self.context.cache,
            kms_key_id=self._record["OutputDataConfig"].get("KmsKeyId"),
        )

    def _attempt(self, transfer: Transfer, credentials: dict[str, str], seconds: float) -> Outcome | None:
        """Run the programs once on new disks; return None if the job was stopped before they started."""
        shutil.rmtree(self._base, ignore_errors=True)
        for host in self._hosts:
            host.set_up()

        self._enter("Downloading")
        with ExitStack() as stack:
            # while the programs run, upload checkpoints and tensors
            if "CheckpointConfig" in self._record:
                checkpoints = FolderSync(
                    transfer,
                    uri=self._record["CheckpointConfig"]["S3Uri"],
                    folders=[host.checkpoints for host in self._hosts],
                    on_refused_deletion=lambda reason: self._hosts[0].write_log(f"ERROR {reason}"),
                )
                checkpoints.restore()
                stack.enter_context(checkpoints)
            if "DebugHookConfig" in self._record:
                stack.enter_context(tensor_sync(self._record, transfer, [host.tensors for host in self._hosts]))

            for channel in self._record.get("InputDataConfig", []):
                for host in self._hosts:
                    host.download(channel, transfer)
                if self.stop_requested.is_set():
                    return None
            if self.stop_requested.is_set():
                return None

            # start all hosts or none
            self._enter("Training", TrainingStartTime=self._record.setdefault("TrainingStartTime", clock.time()))
            programs: list[Program] = []
            try:
                for host in self._hosts:
                    on_line = self._read if host is self._hosts[0] else _ignore
                    programs.append(host.start(credentials, on_line=on_line))
            except BaseException:
                for program in programs:
                    program.stop(0)
                raise
            return self.follow(programs, seconds)

    def _upload_and_finish(self, outcome: Outcome, transfer: Transfer, **times: int) -> None:
        """Upload the model and the output, of a failed job as well, and record how the job ended."""
        self._enter("Uploading", FinalMetricDataList=self._metrics.final)
        failure = None if outcome.status == 0 or outcome.stopped or outcome.timed_out else self._failure(outcome.status)
        try:
            self._upload(transfer)
        except JobFailure:
            if failure is None:
                raise
            _LOGGER.exception("training job %s failed, and its output could not be uploaded", self.name)

        if failure is not None:
            self._finish("Failed", "Failed", FailureReason=failure, **times)
        elif outcome.timed_out:
            self._finish("Stopped", "MaxRuntimeExceeded", **times)
        elif outcome.stopped:
            self._finish("Stopped", "Stopped", **times)
        else:
            self._finish("Completed", "Completed", **times)

    def _read(self, line: str) -> None:
        for name, value in self._metrics.read(line):
            with self.context.store.change(TRAINING_JOB, self.name) as record:
                record["FinalMetricDataList"] = self._metrics.final
            if self._on_metric is not None:
                self._on_metric(name, value)

    def _upload(self, transfer: Transfer) -> None:
        """Upload the hosts' folders as one; a file that several hosts have is taken from the first of them."""
        models, outputs = [host.model for host in self._hosts], [host.output for host in self._hosts]
        if self._record["OutputDataConfig"].get("CompressionType", "GZIP") == "NONE":
            for folders, what in ((models, "model"), (outputs, "output/data")):
                # the first host's files are written last and so replace those of the others
                for folder in reversed(folders):
                    transfer.upload_tree(folder, artefact_uri(self._record, what))
        else:
            transfer.upload_archive(models, artefact_uri(self._record, "model"))
            transfer.upload_archive(outputs, artefact_uri(self._record, "output"))

    def _failure(self, status: int) -> str:
        written = next(filter(None, (host.failure_message for host in self._hosts)), "")
        return failure_reason(written or "Please see the job log for more information", status)

    def _enter(self, secondary: str, **members: Any) -> None:
        with self.context.store.change(TRAINING_JOB, self.name) as record:
            record |= members
            if record["TrainingJobStatus"] != "Stopping":
                enter(record, secondary)
        self.context.announce(TRAINING_JOB, self.name)

    def _finish(self, status: str, secondary: str, **members: Any) -> None:
        for host in self._hosts:
            host.close_log()
        with self.context.store.change(TRAINING_JOB, self.name) as record:
            record |= members
            enter(record, secondary, status=status)
            if "TrainingStartTime" in record:
                record["TrainingEndTime"] = clock.time()
            record["SecondaryStatusTransitions"][-1]["EndTime"] = clock.time()
        self.context.announce(TRAINING_JOB, self.name)


def enter(record: Record, secondary: str, *, status: str | None = None) -> None:
    """Change a training job's record to its next secondary status, and to `status` if there is one."""
    now = clock.time()
    transitions = record["SecondaryStatusTransitions"]
    transitions[-1]["EndTime"] = now
    transitions.append({"Status": secondary, "StartTime": now, "StatusMessage": MESSAGES[secondary]})
    record["SecondaryStatus"] = secondary
    if status is not None:
        record["TrainingJobStatus"] = status


def artefact_uri(parameters: Record, what: str) -> str:
    """Return the S3 URI of an artefact: `<S3OutputPath>/<job>/output/model.tar.gz`, uncompressed `…/output/model/`.

    Args:
        parameters: the training job's request or record.
        what: "model", "output", or uncompressed "output/data".
    """
    output = parameters["OutputDataConfig"]
    base = f"{output['S3OutputPath'].rstrip('/')}/{parameters['TrainingJobName']}/output"
    if output.get("CompressionType", "GZIP") == "NONE":
        return f"{base}/{what.rpartition('/')[2]}/"
    return f"{base}/{what}.tar.gz"


def _ignore(_line: str) -> None:
    """Ignore the lines of further hosts: this project's programs print metrics on the first only."""
