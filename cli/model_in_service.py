"""The model in service, or that sleeps: its name, and the archive that its endpoint serves."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

import contract
from cli import CliError
from cli.aws_errors import read_object
from cli.endpoint import describe_endpoint, sleeping_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cli.target import Target

__all__ = ["ModelInService", "find_model_in_service"]

_MAX_FILE_BYTES = 2**31
"""Of a file in the archive: ONNX's own limit, since protobuf holds no more in one message."""


@dataclass(frozen=True)
class ModelInService:
    """A model that SageMaker has and an endpoint serves, or served before it slept."""

    name: str
    """As CreateModel got it."""
    container: Mapping[str, Any]
    """Its image, its archive and its variables, as CreateModel got them."""

    @property
    def archive(self) -> str:
        """S3 URI of its `contract.MODEL_ARCHIVE`."""
        return str(self.container["ModelDataUrl"])

    def files(self, target: Target) -> dict[str, bytes]:
        """Return the model file and its card, by `contract.Artefact`.

        Raises:
            CliError: the archive is gone, or lacks one of them.
        """
        bucket, _, key = self.archive.removeprefix("s3://").partition("/")
        try:
            body = read_object(target.client("s3"), bucket=bucket, key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchKey":
                raise
            raise CliError(
                f"the model in service is no longer at {self.archive}: start a run, which releases a new one"
            ) from None
        found = _unpacked(body)
        wanted = (contract.Artefact.MODEL, contract.Artefact.MODEL_CARD)
        if missing := [name.value for name in wanted if name not in found]:
            raise CliError(f"{self.archive} lacks {' and '.join(missing)}: start a run, which releases a new model")
        return found

    def card(self, files: Mapping[str, bytes]) -> contract.ModelCard:
        """Return the model's card, of the archive's files."""
        card: contract.ModelCard = json.loads(files[contract.Artefact.MODEL_CARD])
        return card


def find_model_in_service(target: Target) -> ModelInService:
    """Return the model behind the stack's endpoint, or the one that sleeps.

    Raises:
        CliError: no model is in service.
    """
    sagemaker, config = target.client("sagemaker"), _config(target)
    variant = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"][0]
    described = sagemaker.describe_model(ModelName=variant["ModelName"])
    given = ("Image", "ModelDataUrl", "Environment")
    container = {name: value for name, value in described["PrimaryContainer"].items() if name in given}
    return ModelInService(variant["ModelName"], container)


def _config(target: Target) -> str:
    """Return the name of the endpoint configuration in service, or of the one that sleeps."""
    described = describe_endpoint(target)
    if described is not None and contract.has_model(described["EndpointStatus"]):
        return str(described["EndpointConfigName"])
    if (sleeping := sleeping_model(target)) is not None:
        return sleeping.config
    raise CliError(f"no model is in service {target.place}: release one with `whippet run`")


def _unpacked(archive: bytes) -> dict[str, bytes]:
    """Return the content of the archive's regular files that are wanted; nothing is written anywhere."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            name = member.name.removeprefix("./")
            if name not in (contract.Artefact.MODEL, contract.Artefact.MODEL_CARD) or not member.isfile():
                continue
            if member.size > _MAX_FILE_BYTES:
                raise CliError(f"{name} in the model's archive has {member.size:,} bytes, more than a model can have")
            content = tar.extractfile(member)
            assert content is not None  # noqa: S101 (a regular file has a content)
            found[name] = content.read()
    return found
