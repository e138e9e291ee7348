"""What the settings' key and network add to every SageMaker request, in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from contract import Channel, channel_folder
from infra.instances import has_local_storage
from infra.settings import Settings

__all__ = ["Protection"]

_SUBMIT: Final = "sagemaker_submit_directory"
"""The toolkit's hyperparameter with the code: a URI in S3, or an archive's path (files.download_and_extract)."""


@dataclass(frozen=True, kw_only=True)
class Protection:
    """Adds keys, VPC and network isolation to the requests that make jobs, models and configurations."""

    settings: Settings
    key_arn: str | None
    """The key of disks; None for the keys of AWS."""
    objects_key_arn: str | None
    """The key of what jobs write to the data bucket."""
    code_files: Mapping[str, str]
    """By the S3 URI of a job's code: the name of its file."""

    def of(self, call: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Return the request of a call, such as `createTrainingJob.sync`, with what protects it."""
        match call.removesuffix(".sync"):
            case "createTrainingJob":
                return self._training(payload, parameters="HyperParameters")
            case "createHyperParameterTuningJob":
                trial = self._training(payload["TrainingJobDefinition"], parameters="StaticHyperParameters")
                return {**payload, "TrainingJobDefinition": trial}
            case "createProcessingJob":
                return self._processing(payload)
            case "createModel":
                return {**payload, **self._model_network()}
            case "createEndpointConfig":
                return self._endpoint_config(payload)
        return dict(payload)

    def _training(self, payload: Mapping[str, Any], *, parameters: str) -> dict[str, Any]:
        request = dict(payload)
        request["ResourceConfig"] = self._disks(payload["ResourceConfig"])
        request["OutputDataConfig"] = self._written(payload["OutputDataConfig"])
        if self.settings.security.in_vpc:
            request["VpcConfig"] = self.settings.security.vpc_config
        if self.settings.security.isolate_training:
            request["EnableNetworkIsolation"] = True
            request |= self._with_code(payload, parameters)
        return request

    def _with_code(self, payload: Mapping[str, Any], parameters: str) -> dict[str, Any]:
        """Return the members that bring a training's code as a channel, which SageMaker fills from outside of it."""
        uri = payload[parameters][_SUBMIT]
        channel = {
            "ChannelName": Channel.CODE.value,
            "InputMode": "File",
            "DataSource": {
                "S3DataSource": {"S3DataType": "S3Prefix", "S3DataDistributionType": "FullyReplicated", "S3Uri": uri}
            },
        }
        file = f"{channel_folder(Channel.CODE)}/{self.code_files[uri]}"
        return {
            parameters: {**payload[parameters], _SUBMIT: file},
            "InputDataConfig": [*payload["InputDataConfig"], channel],
        }

    def _processing(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        resources = payload["ProcessingResources"]
        request = {
            **payload,
            "ProcessingResources": {**resources, "ClusterConfig": self._disks(resources["ClusterConfig"])},
            "ProcessingOutputConfig": self._written(payload["ProcessingOutputConfig"]),
        }
        network = {
            **({"VpcConfig": self.settings.security.vpc_config} if self.settings.security.in_vpc else {}),
            **({"EnableNetworkIsolation": True} if self.settings.security.isolate_training else {}),
        }
        return {**request, "NetworkConfig": network} if network else request

    def _model_network(self) -> dict[str, Any]:
        # Serverless endpoints know no VPC (developer guide, "Serverless Inference", feature exclusions).
        serverless = self.settings.serving.mode == "serverless"
        in_vpc = self.settings.security.in_vpc and not serverless
        return {"VpcConfig": self.settings.security.vpc_config} if in_vpc else {}

    def _endpoint_config(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        # No key where a variant has no disk for it: a serverless one, or one with local storage, which is refused.
        # Beside a shadow, the production variant is that of an earlier release, which a path names.
        given = (payload.get(member, []) for member in ("ProductionVariants", "ShadowProductionVariants"))
        variants: Sequence[Mapping[str, Any]] = [variant for variants in given for variant in variants]
        disks = all("InstanceType" in one and not has_local_storage(one["InstanceType"]) for one in variants)
        request = {**payload, "KmsKeyId": self.key_arn} if self.key_arn and disks else dict(payload)
        if self.objects_key_arn and "DataCaptureConfig" in payload:
            request["DataCaptureConfig"] = {**payload["DataCaptureConfig"], "KmsKeyId": self.objects_key_arn}
        return request

    def _disks(self, machines: Mapping[str, Any]) -> dict[str, Any]:
        if self.key_arn is None or has_local_storage(machines["InstanceType"]):
            return dict(machines)
        return {**machines, "VolumeKmsKeyId": self.key_arn}

    def _written(self, output: Mapping[str, Any]) -> dict[str, Any]:
        # Without a key here SageMaker takes the account's own for S3, whatever the bucket's default is.
        return {**output, "KmsKeyId": self.objects_key_arn} if self.objects_key_arn else dict(output)
