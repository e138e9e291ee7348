"""Processing jobs: download inputs from S3, run any program of an image, upload its outputs.

Its folders below /opt/ml are where the request wants them (`mounts`). Other container paths of a request cannot be made
by an ordinary user of this machine: each lies below the job's folder, and arguments and environment variables that are
such a path, or start with one, are rewritten (`container.localised`).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Final

from local import clock
from local.sagemaker.context import MAX_REASON, Context
from local.sagemaker.errors import validation
from local.sagemaker.host import Image, find_image
from local.sagemaker.jobs.container import HOST_NAME, container_credentials, environment, localised, program_of
from local.sagemaker.jobs.failure_reason import failure_reason
from local.sagemaker.jobs.job_run import JobRun, Outcome, RunningJobs
from local.sagemaker.jobs.logs import LogStream
from local.sagemaker.jobs.mounts import ML_ROOT, guard, mounted, rewritten, supported
from local.sagemaker.jobs.process import Program
from local.sagemaker.resources import PROCESSING_JOB
from local.sagemaker.store import Record
from local.sagemaker.transfer import Transfer

__all__ = ["ProcessingJobs"]

_DEFAULT_RUNTIME: Final = 86_400
"""MaxRuntimeInSeconds if the request gives none: one day."""


class ProcessingJobs:
    """The operations CreateProcessingJob and StopProcessingJob."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._running = RunningJobs(PROCESSING_JOB)

    def create(self, parameters: Record) -> str:
        """Start a job and return its ARN.

        Raises:
            SageMakerError: the request is wrong, the name is taken, or too many jobs run.
        """
        image = _check(self._context, parameters)
        self._running.check_limit()
        record = self._context.store.create(PROCESSING_JOB, parameters, ProcessingJobStatus="InProgress")
        name = record["ProcessingJobName"]
        self._context.announce(PROCESSING_JOB, name)
        self._running.start(ProcessingRun(self._context, record, image=image))
        return str(record["ProcessingJobArn"])

    def stop(self, name: str) -> None:
        """Begin to stop a job.

        Raises:
            SageMakerError: there is no job of this name, or it has ended.
        """
        with self._context.store.change(PROCESSING_JOB, name) as record:
            status = record["ProcessingJobStatus"]
            if status not in ("InProgress", "Stopping"):
                raise validation(f"The request was rejected because the processing job is in status {status}.")
            record["ProcessingJobStatus"] = "Stopping"
        self._context.announce(PROCESSING_JOB, name)
        self._running.request_stop(name)

    def wait(self, name: str, timeout: float) -> bool:
        """Wait until nothing runs for the job of this name, at most `timeout` seconds; whether that is so."""
        return self._running.wait(name, timeout)

    def join(self, timeout: float) -> None:
        """Wait for the running jobs to end, at most `timeout` seconds."""
        self._running.join(timeout)


class ProcessingRun(JobRun):
    """The run of one processing job: download, program, upload."""

    kind = PROCESSING_JOB

    def __init__(self, context: Context, record: Record, *, image: Image) -> None:
        super().__init__(context, record["ProcessingJobName"])
        self._record = record
        self._image = image
        self._base = context.root / "processing-jobs" / self.name
        self._log: LogStream | None = None
        sides = [entry["S3Input"] for entry in record.get("ProcessingInputs", [])] + [
            entry["S3Output"] for entry in record.get("ProcessingOutputConfig", {}).get("Outputs", [])
        ]
        folders = [side["LocalPath"].rstrip("/") for side in sides]
        self._mounts = sorted(
            {folder.removeprefix(f"{ML_ROOT}/") for folder in folders if folder.startswith(f"{ML_ROOT}/")}
        )
        self._places = rewritten(self._local(ML_ROOT))
        self._places += [
            (folder, self._local(folder))
            for folder in folders
            if not (supported() and folder.startswith(f"{ML_ROOT}/"))
        ]

    def execute(self) -> None:
        credentials = self.context.credentials(self._record["RoleArn"], "SageMaker")
        output_config = self._record.get("ProcessingOutputConfig", {})
        transfer = Transfer(
            credentials,
            role_arn=self._record["RoleArn"],
            cache=self.context.cache,
            kms_key_id=output_config.get("KmsKeyId"),
        )

        self.context.start_up("processing_job", stopped=self.stop_requested)

        # make the container's folders, and fill those of the inputs
        shutil.rmtree(self._base, ignore_errors=True)
        self._write_config()
        for entry in self._record.get("ProcessingInputs", []):
            source = entry["S3Input"]
            folder = self._local(source["LocalPath"])
            folder.mkdir(parents=True, exist_ok=True)
            if source["S3DataType"] == "ManifestFile":
                transfer.download_manifest(source["S3Uri"], folder)
            else:
                transfer.download_prefix(source["S3Uri"], folder)
        for entry in output_config.get("Outputs", []):
            self._local(entry["S3Output"]["LocalPath"]).mkdir(parents=True, exist_ok=True)
        if self.stop_requested.is_set():
            self.linger()
            self._finish("Stopped")
            return

        # run the program
        with self.context.store.change(PROCESSING_JOB, self.name) as record:
            record["ProcessingStartTime"] = clock.time()
        outcome = self._process(credentials)
        message = self._exit_message()

        # upload the outputs of a program that succeeded
        if outcome.stopped:
            self._finish("Stopped", **message)
        elif outcome.timed_out:
            self._finish("Stopped", ExitMessage="The job exceeded its MaxRuntimeInSeconds.")
        elif outcome.status != 0:
            reason = failure_reason("See job logs for more information", outcome.status)
            self._finish("Failed", FailureReason=reason, **message)
        else:
            for entry in output_config.get("Outputs", []):
                target = entry["S3Output"]
                transfer.upload_tree(self._local(target["LocalPath"]), target["S3Uri"])
            self._finish("Completed", **message)

    def fail(self, reason: str) -> None:
        self._finish("Failed", FailureReason=reason[:MAX_REASON])

    def clean_up(self) -> None:
        if self._log is not None:
            self._log.close()
        shutil.rmtree(self._base, ignore_errors=True)

    def _local(self, container_path: str) -> Path:
        return self._base / container_path.strip("/")

    def _write_config(self) -> None:
        config = self._local(f"{ML_ROOT}/config")
        config.mkdir(parents=True)
        self._local(f"{ML_ROOT}/output").mkdir()
        described = self.context.store.get(PROCESSING_JOB, self.name)
        (config / "processingjobconfig.json").write_text(json.dumps(described))
        (config / "resourceconfig.json").write_text(json.dumps({"current_host": HOST_NAME, "hosts": [HOST_NAME]}))

    def _process(self, credentials: dict[str, str]) -> Outcome:
        # environment and arguments, with local paths for those of the container
        specification = self._record["AppSpecification"]
        own = {key: localised(value, self._places) for key, value in self._record.get("Environment", {}).items()}
        identity = {"PROCESSING_JOB_NAME": self.name, "PROCESSING_JOB_ARN": self._record["ProcessingJobArn"]}
        base = self._local(ML_ROOT)
        isolated = bool(self._record.get("NetworkConfig", {}).get("EnableNetworkIsolation"))
        env = environment(
            self._image, guard(base, self._mounts), identity, own, container_credentials(credentials, isolated=isolated)
        )
        argv = [*specification["ContainerEntrypoint"], *specification.get("ContainerArguments", [])]
        argv = program_of([localised(argument, self._places) for argument in argv], env)

        self._log = LogStream(
            credentials, group="/aws/sagemaker/ProcessingJobs", stream=f"{self.name}/algo-1-{int(clock.time())}"
        )
        argv = mounted(argv, base=base, folders=self._mounts, isolated=isolated)
        program = Program(argv, environment=env, folder=self._base, on_line=self._log.write)
        stopping = self._record.get("StoppingCondition", {})
        return self.follow([program], stopping.get("MaxRuntimeInSeconds", _DEFAULT_RUNTIME))

    def _exit_message(self) -> dict[str, str]:
        path = self._local(f"{ML_ROOT}/output/message")
        text = path.read_text(errors="replace").strip()[:MAX_REASON] if path.is_file() else ""
        return {"ExitMessage": text} if text else {}

    def _finish(self, status: str, **members: Any) -> None:
        if self._log is not None:
            self._log.close()
        with self.context.store.change(PROCESSING_JOB, self.name) as record:
            record |= {**members, "ProcessingJobStatus": status, "ProcessingEndTime": clock.time()}
        self.context.announce(PROCESSING_JOB, self.name)


def _check(context: Context, parameters: Record) -> Image:
    specification = parameters["AppSpecification"]
    image = find_image(context.images, specification["ImageUri"])
    if "ContainerEntrypoint" not in specification:
        raise validation(
            "The local SageMaker needs AppSpecification.ContainerEntrypoint, since it does not know that of the image."
        )
    if parameters["ProcessingResources"].get("ClusterConfig", {}).get("InstanceCount", 1) != 1:
        raise validation(
            "The local SageMaker runs processing jobs on one instance; give ClusterConfig.InstanceCount=1."
        )

    # inputs and outputs
    sides = []
    for entry in parameters.get("ProcessingInputs", []):
        if "S3Input" not in entry:
            raise validation(f"Input {entry['InputName']}: the local SageMaker reads S3Input only.")
        if entry["S3Input"].get("S3InputMode", "File") != "File":
            raise validation(
                f"Input {entry['InputName']}: the local SageMaker does not support Pipe mode; give S3InputMode=File."
            )
        sides.append((entry["InputName"], entry["S3Input"]))
    for entry in parameters.get("ProcessingOutputConfig", {}).get("Outputs", []):
        if "S3Output" not in entry:
            raise validation(f"Output {entry['OutputName']}: the local SageMaker writes S3Output only.")
        sides.append((entry["OutputName"], entry["S3Output"]))

    # a LocalPath must not lead out of the job's folder
    for name, side in sides:
        path = side.get("LocalPath", "")
        if not path.startswith("/") or ".." in path.split("/"):
            raise validation(f"{name}: LocalPath='{path}' must be an absolute path, such as /opt/ml/processing/{name}.")
    return image
