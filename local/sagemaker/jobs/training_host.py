"""One instance (host) of a training job: its folder, its inputs, its program and its log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from local import clock
from local.sagemaker.host import Image
from local.sagemaker.jobs.container import (
    container_credentials,
    environment,
    localised,
    program_of,
    tensors_folder,
    write_training_config,
)
from local.sagemaker.jobs.logs import LogStream
from local.sagemaker.jobs.mounts import base_dir, guard, mounted, rewritten
from local.sagemaker.jobs.process import Program
from local.sagemaker.store import Record
from local.sagemaker.transfer import Transfer

__all__ = ["TrainingHost", "host_names"]

_LOGGER = logging.getLogger(__name__)


def host_names(count: int) -> list[str]:
    """Return the names of a job's hosts in alphabetical order, as SageMaker orders them; the first one is the master.

    SageMaker names them `algo-1`, `algo-2` and so on. This machine cannot resolve such names, and the
    sagemaker-training toolkit resolves every host before it starts, for up to 15 minutes. So one host is `localhost`,
    and several are addresses of the loopback network, which need no resolution. Only the first, 127.0.0.1, is ever
    connected to (torchrun's master), so the others need not exist as interfaces; on macOS they do not.
    """
    return ["localhost"] if count == 1 else sorted(f"127.0.0.{number}" for number in range(1, count + 1))


class TrainingHost:
    """One host of a training job.

    Args:
        record: the training job's.
        image: the image that the job runs in.
        base: the folder that stands for the host's /opt/ml.
        hosts: names of all hosts.
        number: number of this host, from 1.
    """

    def __init__(self, record: Record, *, image: Image, base: Path, hosts: Sequence[str], number: int) -> None:
        self.base = base
        self._record = record
        self._image = image
        self._hosts = list(hosts)
        self._number = number
        self._log: LogStream | None = None

    @property
    def checkpoints(self) -> Path:
        """The folder whose files are copied to CheckpointConfig's S3Uri."""
        return self.base / "checkpoints"

    @property
    def tensors(self) -> Path:
        """The folder that Debugger's hook saves to, if the job has one."""
        return tensors_folder(self.base, self._record)

    @property
    def model(self) -> Path:
        """The folder of the model artefact."""
        return self.base / "model"

    @property
    def output(self) -> Path:
        """The folder of the further output, /opt/ml/output/data."""
        return self.base / "output" / "data"

    @property
    def failure_message(self) -> str:
        """The text that the program wrote to /opt/ml/output/failure; empty if it wrote none."""
        path = self.base / "output" / "failure"
        return path.read_text(errors="replace").strip() if path.is_file() else ""

    def set_up(self) -> None:
        """Make the host's folders, and the configuration files that the toolkit reads."""
        write_training_config(
            self.base,
            self._record,
            name=self._record["TrainingJobName"],
            arn=self._record["TrainingJobArn"],
            hosts=self._hosts,
            current=self._hosts[self._number - 1],
        )

    def download(self, channel: Record, transfer: Transfer) -> None:
        """Download one input channel.

        In FastFile mode as well, all files are there before the program starts. They are hard links to a cache on this
        machine, and a program reads them as it reads those of the bucket that SageMaker mounts.

        Raises:
            JobFailure: the channel has no objects, or one could not be read.
        """
        source = channel["DataSource"]["S3DataSource"]
        folder = self.base / "input" / "data" / channel["ChannelName"]
        folder.mkdir()
        if source["S3DataType"] == "ManifestFile":
            transfer.download_manifest(source["S3Uri"], folder)
        else:
            # with ShardedByS3Key, every host gets its share of the objects
            share = None
            if source.get("S3DataDistributionType") == "ShardedByS3Key":
                share = (self._number - 1, len(self._hosts))
            transfer.download_prefix(source["S3Uri"], folder, share=share)

    def start(self, credentials: dict[str, str], *, on_line: Callable[[str], None]) -> Program:
        """Start the image's program, and send its lines to the job's log and to `on_line`."""
        # container paths that arguments and variables may have
        places = rewritten(self.base)
        if "LocalPath" in self._record.get("CheckpointConfig", {}):
            local_path = self._record["CheckpointConfig"]["LocalPath"].rstrip("/")
            places.append((local_path, Path(base_dir(self.base)) / "checkpoints"))

        # environment and arguments
        own = {key: localised(value, places) for key, value in self._record.get("Environment", {}).items()}
        identity: dict[str, Any] = {
            "SAGEMAKER_BASE_DIR": base_dir(self.base),
            "TRAINING_JOB_NAME": self._record["TrainingJobName"],
            "TRAINING_JOB_ARN": self._record["TrainingJobArn"],
        }
        mounts = self._mounts()
        isolated = self._record["EnableNetworkIsolation"]
        env = environment(
            self._image, guard(self.base, mounts), identity, own, container_credentials(credentials, isolated=isolated)
        )
        algorithm = self._record["AlgorithmSpecification"]
        argv = list(algorithm.get("ContainerEntrypoint", self._image.train or ()))
        argv += [localised(argument, places) for argument in algorithm.get("ContainerArguments", [])]

        # every attempt has a log stream of its own
        self.close_log()
        log = LogStream(
            credentials,
            group="/aws/sagemaker/TrainingJobs",
            stream=f"{self._record['TrainingJobName']}/algo-{self._number}-{int(clock.time())}",
        )
        self._log = log

        def take(line: str) -> None:
            log.write(line)
            on_line(line)

        # hosts of one job would have to reach one another, each in a network of its own
        alone = isolated and len(self._hosts) == 1
        argv = mounted(program_of(argv, env), base=self.base, folders=mounts, isolated=alone)
        return Program(argv, environment=env, folder=self.base, on_line=take)

    def _mounts(self) -> list[str]:
        """Folders that are mounts of their own in SageMaker's container, each after those that hold it."""
        channels = sorted(path.name for path in (self.base / "input" / "data").iterdir() if path.is_dir())
        return ["model", "output", "output/data", "checkpoints", *(f"input/data/{name}" for name in channels)]

    def write_log(self, line: str) -> None:
        """Add a line of the service's own to the job's log."""
        _LOGGER.warning("training job %s: %s", self._record["TrainingJobName"], line)
        if self._log is not None:
            self._log.write(line)

    def close_log(self) -> None:
        """Send the last lines, so that the log is complete when the job has ended."""
        if self._log is not None:
            self._log.close()
