"""One instance of a training job: its folder, its inputs, its program and its log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from local.sagemaker.host import Image
from local.sagemaker.jobs.container import (
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

__all__ = ["LOOPBACK", "TrainingHost", "host_names"]

LOOPBACK: Final = "lo0" if sys.platform == "darwin" else "lo"


def host_names(count: int) -> list[str]:
    """Names of a job's hosts, in SageMaker's (alphabetical) order, the first one leading.

    SageMaker says `algo-1`, `algo-2` …, which this machine does not resolve; the sagemaker-training toolkit looks every
    host up before it starts and retries for 15 minutes. One host is `localhost`; several are addresses of the loopback
    network, which resolve to themselves on every system. Only the first, 127.0.0.1, is ever connected to (torchrun's
    master), so the others need not exist as interfaces, which on macOS they do not.
    """
    return ["localhost"] if count == 1 else sorted(f"127.0.0.{number}" for number in range(1, count + 1))


class TrainingHost:
    """One instance; `base` stands for its /opt/ml."""

    def __init__(self, record: Record, *, image: Image, base: Path, hosts: Sequence[str], number: int) -> None:
        self.base = base
        self._record = record
        self._image = image
        self._hosts = list(hosts)
        self._number = number
        self._log: LogStream | None = None

    @property
    def checkpoints(self) -> Path:
        """Folder that CheckpointConfig's S3Uri is kept in step with."""
        return self.base / "checkpoints"

    @property
    def tensors(self) -> Path:
        """Folder that Debugger's hook saves to, where the job has one."""
        return tensors_folder(self.base, self._record)

    @property
    def model(self) -> Path:
        """Folder of the model artefact."""
        return self.base / "model"

    @property
    def output(self) -> Path:
        """Folder of the further output."""
        return self.base / "output" / "data"

    @property
    def told_failure(self) -> str:
        """What the program wrote as the reason of its failure."""
        path = self.base / "output" / "failure"
        return path.read_text(errors="replace").strip() if path.is_file() else ""

    def set_up(self) -> None:
        """Make the folder's tree, with the configuration files the toolkit reads."""
        write_training_config(
            self.base,
            self._record,
            name=self._record["TrainingJobName"],
            arn=self._record["TrainingJobArn"],
            hosts=self._hosts,
            current=self._hosts[self._number - 1],
        )

    def download(self, channel: Record, transfer: Transfer) -> None:
        """Fill one input channel.

        In FastFile mode, too, its files are there before the program starts: hard links to a cache on this machine,
        which read as those of SageMaker's mounted bucket do.

        Raises:
            JobFailure: there is nothing to fill it with, or it could not be read.
        """
        source = channel["DataSource"]["S3DataSource"]
        folder = self.base / "input" / "data" / channel["ChannelName"]
        folder.mkdir()
        if source["S3DataType"] == "ManifestFile":
            transfer.download_manifest(source["S3Uri"], folder)
        else:
            share = None
            if source.get("S3DataDistributionType") == "ShardedByS3Key":
                share = (self._number - 1, len(self._hosts))
            transfer.download_prefix(source["S3Uri"], folder, share=share)

    def start(self, credentials: dict[str, str], *, on_line: Callable[[str], None]) -> Program:
        """Start the image's program; its lines go to the job's log and to `on_line`."""
        algorithm = self._record["AlgorithmSpecification"]
        places = rewritten(self.base)
        if "LocalPath" in self._record.get("CheckpointConfig", {}):
            local_path = self._record["CheckpointConfig"]["LocalPath"].rstrip("/")
            places.append((local_path, Path(base_dir(self.base)) / "checkpoints"))
        own = {key: localised(value, places) for key, value in self._record.get("Environment", {}).items()}
        identity: dict[str, Any] = {
            "SAGEMAKER_BASE_DIR": base_dir(self.base),
            "TRAINING_JOB_NAME": self._record["TrainingJobName"],
            "TRAINING_JOB_ARN": self._record["TrainingJobArn"],
        }
        if len(self._hosts) > 1:
            identity["GLOO_SOCKET_IFNAME"] = LOOPBACK  # by itself it looks for the address of the machine's name
        mounts = self._mounts()
        env = environment(self._image, guard(self.base, mounts), identity, own, credentials)
        argv = list(algorithm.get("ContainerEntrypoint", self._image.train or ()))
        argv += [localised(argument, places) for argument in algorithm.get("ContainerArguments", [])]
        self.close_log()  # of the attempt before
        log = LogStream(
            credentials,
            group="/aws/sagemaker/TrainingJobs",
            stream=f"{self._record['TrainingJobName']}/algo-{self._number}-{int(time.time())}",
        )
        self._log = log

        def take(line: str) -> None:
            log.write(line)
            on_line(line)

        argv = mounted(program_of(argv, env), base=self.base, folders=mounts)
        return Program(argv, environment=env, folder=self.base, on_line=take)

    def _mounts(self) -> list[str]:
        """Folders that are mounts of their own in SageMaker's container, each after those that hold it."""
        channels = sorted(path.name for path in (self.base / "input" / "data").iterdir() if path.is_dir())
        return ["model", "output", "output/data", "checkpoints", *(f"input/data/{name}" for name in channels)]

    def close_log(self) -> None:
        """Send the last lines: whoever waits for the job's end finds them all."""
        if self._log is not None:
            self._log.close()
