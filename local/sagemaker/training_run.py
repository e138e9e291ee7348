"""One training job on its way: download, run the image's `train`, upload."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from local.sagemaker.container import ML_ROOT, environment, localised, program_of, write_training_config
from local.sagemaker.context import MAX_REASON, Context
from local.sagemaker.errors import JobFailure
from local.sagemaker.host import Image
from local.sagemaker.job_run import JobRun, Outcome
from local.sagemaker.logs import LogStream
from local.sagemaker.metrics import MetricReader
from local.sagemaker.process import Program
from local.sagemaker.resources import TRAINING_JOB
from local.sagemaker.store import Record
from local.sagemaker.transfer import Transfer

__all__ = ["MESSAGES", "OnMetric", "TrainingRun", "artefact_uri", "enter"]

_LOGGER = logging.getLogger(__name__)

OnMetric = Callable[[str, float], None]
"""Called with the name and the value of every metric as its line comes."""

MESSAGES: Final = {
    "Starting": "Preparing the instances for training",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Stopping": "Stopping the training job",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
}
"""StatusMessage of each secondary status."""


class TrainingRun(JobRun):
    """One training job on its way."""

    kind = TRAINING_JOB

    def __init__(self, context: Context, record: Record, *, image: Image, on_metric: OnMetric | None) -> None:
        super().__init__(context, record["TrainingJobName"])
        self._record = record
        self._image = image
        self._on_metric = on_metric
        self._base = context.root / "training-jobs" / self.name
        self._metrics = MetricReader(record["AlgorithmSpecification"].get("MetricDefinitions", []))
        self._log: LogStream | None = None

    def execute(self) -> None:
        """Run the job to its end. Raises JobFailure with the FailureReason."""
        credentials = self.context.credentials(self._record["RoleArn"], "SageMaker")
        transfer = Transfer(
            credentials,
            role_arn=self._record["RoleArn"],
            cache=self.context.cache,
            kms_key_id=self._record["OutputDataConfig"].get("KmsKeyId"),
        )
        shutil.rmtree(self._base, ignore_errors=True)
        write_training_config(self._base, self._record, name=self.name, arn=self._record["TrainingJobArn"])
        self._enter("Downloading")
        self._download(transfer)
        if self.stop_requested.is_set():
            self._finish("Stopped", "Stopped")
            return
        started = time.time()
        self._enter("Training", TrainingStartTime=started)
        outcome = self._train(credentials)
        ended = time.time()
        self._enter("Uploading", FinalMetricDataList=self._metrics.final)
        elapsed = max(1, round(ended - started))
        times = {"TrainingTimeInSeconds": elapsed, "BillableTimeInSeconds": elapsed}
        failure = None if outcome.status == 0 or outcome.stopped or outcome.timed_out else self._failure(outcome.status)
        try:
            self._upload(transfer)
        except JobFailure:
            if failure is None:
                raise
            _LOGGER.exception("training job %s failed, and so did its upload", self.name)
        if failure is not None:
            self._finish("Failed", "Failed", FailureReason=failure, **times)
        elif outcome.timed_out:
            self._finish("Stopped", "MaxRuntimeExceeded", **times)
        elif outcome.stopped:
            self._finish("Stopped", "Stopped", **times)
        else:
            self._finish("Completed", "Completed", **times)

    def fail(self, reason: str) -> None:
        """Record the end as Failed."""
        self._finish("Failed", "Failed", FailureReason=reason[:MAX_REASON])

    def clean_up(self) -> None:
        """Send the last log lines and remove the job's files."""
        if self._log is not None:
            self._log.close()
        shutil.rmtree(self._base, ignore_errors=True)  # as the instance's disk is gone on AWS

    def _download(self, transfer: Transfer) -> None:
        checkpoints = self._record.get("CheckpointConfig")
        if checkpoints is not None:
            transfer.download_prefix(_folder(checkpoints["S3Uri"]), self._checkpoints, may_be_empty=True)
        for channel in self._record.get("InputDataConfig", []):
            source = channel["DataSource"]["S3DataSource"]
            folder = self._base / "input" / "data" / channel["ChannelName"]
            folder.mkdir()
            if source["S3DataType"] == "ManifestFile":
                transfer.download_manifest(source["S3Uri"], folder)
            else:
                transfer.download_prefix(source["S3Uri"], folder)
            if self.stop_requested.is_set():
                return

    @property
    def _checkpoints(self) -> Path:
        return self._base / "checkpoints"

    def _train(self, credentials: dict[str, str]) -> Outcome:
        algorithm = self._record["AlgorithmSpecification"]
        places = [(ML_ROOT, self._base)]
        if "LocalPath" in self._record.get("CheckpointConfig", {}):
            places.append((self._record["CheckpointConfig"]["LocalPath"].rstrip("/"), self._checkpoints))
        own = {key: localised(value, places) for key, value in self._record.get("Environment", {}).items()}
        env = environment(
            self._image,
            {
                "SAGEMAKER_BASE_DIR": str(self._base),
                "TRAINING_JOB_NAME": self.name,
                "TRAINING_JOB_ARN": self._record["TrainingJobArn"],
            },
            own,
            credentials,
        )
        argv = list(algorithm.get("ContainerEntrypoint", self._image.train or ()))
        argv += [localised(argument, places) for argument in algorithm.get("ContainerArguments", [])]
        argv = program_of(argv, env)
        self._log = LogStream(
            credentials,
            group="/aws/sagemaker/TrainingJobs",
            stream=f"{self.name}/algo-1-{int(time.time())}",
        )
        program = Program(argv, environment=env, folder=self._base, on_line=self._read)
        return self.follow(program, self._record["StoppingCondition"]["MaxRuntimeInSeconds"])

    def _read(self, line: str) -> None:
        if self._log is not None:
            self._log.write(line)
        for name, value in self._metrics.read(line):
            with self.context.store.change(TRAINING_JOB, self.name) as record:
                record["FinalMetricDataList"] = self._metrics.final
            if self._on_metric is not None:
                self._on_metric(name, value)

    def _upload(self, transfer: Transfer) -> None:
        model, output = self._base / "model", self._base / "output" / "data"
        if self._record["OutputDataConfig"].get("CompressionType", "GZIP") == "NONE":
            transfer.upload_tree(model, artefact_uri(self._record, "model"))
            transfer.upload_tree(output, artefact_uri(self._record, "output/data"))
        else:
            transfer.upload_archive(model, artefact_uri(self._record, "model"))
            transfer.upload_archive(output, artefact_uri(self._record, "output"))
        if "CheckpointConfig" in self._record:
            transfer.upload_tree(self._checkpoints, self._record["CheckpointConfig"]["S3Uri"])

    def _failure(self, status: int) -> str:
        ending = f", exit code: {status}"
        path = self._base / "output" / "failure"
        told = path.read_text(errors="replace").strip() if path.is_file() else ""
        message = f"AlgorithmError: {told or 'Please see the job log for more information'}"
        return message[: MAX_REASON - len(ending)] + ending

    def _enter(self, secondary: str, **members: Any) -> None:
        with self.context.store.change(TRAINING_JOB, self.name) as record:
            record |= members
            if record["TrainingJobStatus"] != "Stopping":
                enter(record, secondary)
        self.context.announce(TRAINING_JOB, self.name)

    def _finish(self, status: str, secondary: str, **members: Any) -> None:
        if self._log is not None:
            self._log.close()  # before the end is told: whoever waits for it finds every line
        with self.context.store.change(TRAINING_JOB, self.name) as record:
            record |= members
            enter(record, secondary, status=status)
            if "TrainingStartTime" in record:
                record["TrainingEndTime"] = time.time()
            record["SecondaryStatusTransitions"][-1]["EndTime"] = time.time()
        self.context.announce(TRAINING_JOB, self.name)


def enter(record: Record, secondary: str, *, status: str | None = None) -> None:
    """Move a training job's record to its next secondary status."""
    now = time.time()
    transitions = record["SecondaryStatusTransitions"]
    transitions[-1]["EndTime"] = now
    transitions.append({"Status": secondary, "StartTime": now, "StatusMessage": MESSAGES[secondary]})
    record["SecondaryStatus"] = secondary
    if status is not None:
        record["TrainingJobStatus"] = status


def artefact_uri(parameters: Record, what: str) -> str:
    """`<S3OutputPath>/<job>/output/model.tar.gz`, and uncompressed `…/output/model/` and `…/output/data/`."""
    output = parameters["OutputDataConfig"]
    base = f"{output['S3OutputPath'].rstrip('/')}/{parameters['TrainingJobName']}/output"
    if output.get("CompressionType", "GZIP") == "NONE":
        return f"{base}/{what.rpartition('/')[2]}/"
    return f"{base}/{what}.tar.gz"


def _folder(uri: str) -> str:
    return f"{uri.rstrip('/')}/"
