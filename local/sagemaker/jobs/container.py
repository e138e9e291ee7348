"""The container that a program expects: environment variables, and the folders and files below /opt/ml."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from local.sagemaker.errors import validation
from local.sagemaker.host import Image
from local.sagemaker.jobs.mounts import ML_ROOT, base_dir, rewritten

__all__ = [
    "HOST_NAME",
    "container_credentials",
    "environment",
    "localised",
    "program_of",
    "tensors_folder",
    "write_training_config",
]

HOST_NAME: Final = "localhost"
"""The host name of a job on one instance; `training_host.host_names` says why."""

_INHERITED: Final = (
    "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip
"""Variables of this machine that a program needs; it gets no others of the service's own environment."""

_INHERITED_PREFIXES: Final = ("PIP_", "UV_", "OMP_", "MKL_", "GOMP_", "MALLOC_")


def container_credentials(credentials: Mapping[str, str], *, isolated: bool) -> Mapping[str, str]:
    """Return what a container knows of its role: nothing with network isolation, where the service alone acts as it.

    Source: "Run training and inference containers in internet-free mode".
    """
    return {} if isolated else credentials


def environment(image: Image, *layers: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a program in this image: what it needs of this machine, the image's own, the layers.

    Later ones override earlier ones. The user's AWS configuration is out of reach, so that a program can act only as
    its role.
    """
    inherited = {
        name: value for name, value in os.environ.items() if name in _INHERITED or name.startswith(_INHERITED_PREFIXES)
    }
    programs = {str(Path(argv[0]).parent) for argv in (image.train, image.serve) if argv and os.sep in argv[0]}
    merged = {
        **inherited,
        "PYTHONUNBUFFERED": "1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        **image.environment,
    }
    for layer in layers:
        merged |= layer
    merged["PATH"] = os.pathsep.join([*sorted(programs), merged.get("PATH", os.environ.get("PATH", os.defpath))])
    return merged


def program_of(argv: Sequence[str], env: Mapping[str, str]) -> list[str]:
    """Return `argv` with the absolute path of its program, found on the image's PATH.

    Raises:
        SageMakerError: the image has no such program.
    """
    found = shutil.which(argv[0], path=env["PATH"])
    if found is None:
        raise validation(f"The program '{argv[0]}' is not in the image: none of this name is on its PATH.")
    return [found, *argv[1:]]


def localised(value: str, places: Iterable[tuple[str, Path]]) -> str:
    """Return `value` with a container path replaced by the local one.

    An ordinary user of this machine cannot make `/opt/ml`, so it and every other container path that a request names
    lie below the job's folder, and arguments and environment variables are rewritten to match. A value is rewritten if
    it is the path, is below it, or has it after `=` (`--input=/opt/ml/…`).

    Args:
        value: an argument or the value of a variable.
        places: pairs of a container path and its local path; the longest that matches is taken.
    """
    option, equals, path = value.partition("=")
    for container, local in sorted(places, key=lambda place: -len(place[0])):
        if value == container or value.startswith(f"{container}/"):
            return f"{local}{value[len(container) :]}"
        if equals and (path == container or path.startswith(f"{container}/")):
            return f"{option}={local}{path[len(container) :]}"
    return value


def tensors_folder(base: Path, record: Mapping[str, Any]) -> Path:
    """Return where Debugger's hook saves tensors: DebugHookConfig's LocalPath, moved below `base`."""
    path = str(record["DebugHookConfig"].get("LocalPath", f"{ML_ROOT}/output/tensors"))
    below = path.removeprefix(ML_ROOT) if path.startswith(f"{ML_ROOT}/") else f"root/{path}"
    return base.joinpath(*filter(None, below.split("/")))


def write_training_config(
    base: Path, record: Mapping[str, Any], *, name: str, arn: str, hosts: Sequence[str], current: str
) -> None:
    """Make the folders that a training program may expect below /opt/ml, and write input/config/*.json.

    Args:
        base: the folder that stands for /opt/ml.
        record: the training job's.
        name: the training job's.
        arn: the training job's.
        hosts: names of all hosts.
        current: the name of this host.
    """
    for folder in ("input/config", "input/data", "model", "output/data", "checkpoints", "code"):
        (base / folder).mkdir(parents=True, exist_ok=True)

    instance_type = record["ResourceConfig"].get("InstanceType", "ml.m5.large")
    group = {"instance_group_name": "homogeneousCluster", "instance_type": instance_type, "hosts": list(hosts)}
    places = rewritten(base)
    default_mode = record["AlgorithmSpecification"]["TrainingInputMode"]
    config: dict[str, Any] = {
        "hyperparameters": {key: localised(value, places) for key, value in record.get("HyperParameters", {}).items()},
        "inputdataconfig": {
            channel["ChannelName"]: {
                "TrainingInputMode": channel.get("InputMode", default_mode),
                "S3DistributionType": channel["DataSource"]["S3DataSource"].get(
                    "S3DataDistributionType", "FullyReplicated"
                ),
                "RecordWrapperType": channel.get("RecordWrapperType", "None"),
                **({"ContentType": channel["ContentType"]} if "ContentType" in channel else {}),
            }
            for channel in record.get("InputDataConfig", [])
        },
        "resourceconfig": {
            "current_host": current,
            "current_instance_type": instance_type,
            "current_group_name": "homogeneousCluster",
            "hosts": list(hosts),
            "instance_groups": [group],
            "network_interface_name": "lo0" if sys.platform == "darwin" else "lo",
        },
        "trainingjobconfig": {"TrainingJobName": name, "TrainingJobArn": arn},
    }
    if "DebugHookConfig" in record:
        # without a LocalPath, smdebug would look below /opt/ml
        tensors = tensors_folder(base, record).relative_to(base)
        config["debughookconfig"] = {**record["DebugHookConfig"], "LocalPath": f"{base_dir(base)}/{tensors}"}
    if "ProfilerConfig" in record:
        config["profilerconfig"] = record["ProfilerConfig"]

    for stem, content in config.items():
        (base / "input/config" / f"{stem}.json").write_text(json.dumps(content))
