"""The kinds of resources, with their names in the API, in ARNs and in error messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from local.sagemaker.errors import SageMakerError, validation

__all__ = [
    "ENDPOINT",
    "ENDPOINT_CONFIG",
    "KINDS",
    "MODEL",
    "MODEL_PACKAGE",
    "MODEL_PACKAGE_GROUP",
    "PROCESSING_JOB",
    "TRAINING_JOB",
    "TRANSFORM_JOB",
    "TUNING_JOB",
    "Kind",
    "already_exists",
    "not_found",
]


@dataclass(frozen=True)
class Kind:
    """A kind of resource.

    Attributes:
        name: as in operation and member names: `Create<name>`, `<name>Arn`.
        path: as in ARNs.
        plural: as in `List<plural>`.
        summaries: member of the list operation's answer that holds the resources.
    """

    name: str
    path: str
    plural: str
    summaries: str

    @property
    def name_member(self) -> str:
        """The member with the name, in requests and records."""
        return f"{self.name}Name"

    @property
    def arn_member(self) -> str:
        """The member with the ARN, in answers and records."""
        return f"{self.name}Arn"

    @property
    def status_member(self) -> str:
        """The member with the status, if the kind has one."""
        return f"{self.name}Status"

    def arn(self, name: str, *, region: str, account_id: str) -> str:
        """Return the ARN of a resource. SageMaker writes names in lower case, except those of its Model Registry."""
        written = name if self.path.startswith("model-package") else name.lower()
        return f"arn:aws:sagemaker:{region}:{account_id}:{self.path}/{written}"


TRAINING_JOB: Final = Kind("TrainingJob", "training-job", "TrainingJobs", "TrainingJobSummaries")
TUNING_JOB: Final = Kind(
    "HyperParameterTuningJob",
    "hyper-parameter-tuning-job",
    "HyperParameterTuningJobs",
    "HyperParameterTuningJobSummaries",
)
PROCESSING_JOB: Final = Kind("ProcessingJob", "processing-job", "ProcessingJobs", "ProcessingJobSummaries")
TRANSFORM_JOB: Final = Kind("TransformJob", "transform-job", "TransformJobs", "TransformJobSummaries")
MODEL: Final = Kind("Model", "model", "Models", "Models")
ENDPOINT_CONFIG: Final = Kind("EndpointConfig", "endpoint-config", "EndpointConfigs", "EndpointConfigs")
ENDPOINT: Final = Kind("Endpoint", "endpoint", "Endpoints", "Endpoints")
KINDS: Final = (TRAINING_JOB, TUNING_JOB, PROCESSING_JOB, TRANSFORM_JOB, MODEL, ENDPOINT_CONFIG, ENDPOINT)
"""The kinds whose Describe and List operations are alike."""

MODEL_PACKAGE_GROUP: Final = Kind(
    "ModelPackageGroup", "model-package-group", "ModelPackageGroups", "ModelPackageGroupSummaryList"
)
MODEL_PACKAGE: Final = Kind("ModelPackage", "model-package", "ModelPackages", "ModelPackageSummaryList")
"""The name of a version in a group is `group/version`."""

_NOUNS: Final = {MODEL: "model", ENDPOINT_CONFIG: "endpoint configuration", ENDPOINT: "endpoint"}


def not_found(kind: Kind, name: str, arn: str) -> SageMakerError:
    """Return the error of Describe, Stop and Delete for a resource that does not exist, worded as the API does."""
    if kind is TRAINING_JOB:
        return validation("Requested resource not found.")
    if kind in (PROCESSING_JOB, TRANSFORM_JOB):
        return validation(f"Could not find requested job with name: {name}")
    if kind in (MODEL_PACKAGE, MODEL_PACKAGE_GROUP):
        return validation(f"{kind.name} {arn} does not exist.")
    if kind is TUNING_JOB:
        return SageMakerError("ResourceNotFound", f"Amazon SageMaker can't find a tuning job with the name {name}.")
    return validation(f'Could not find {_NOUNS[kind]} "{arn}".')


def already_exists(kind: Kind, arn: str) -> SageMakerError:
    """Return the error of Create for a name that is taken: ResourceInUse for jobs, ValidationException for others."""
    if kind is TRAINING_JOB:
        noun, what = "Training job", "a training job"
    elif kind is TUNING_JOB:
        noun, what = "Hyperparameter tuning job", "a hyperparameter tuning job"
    elif kind is PROCESSING_JOB:
        noun, what = "Job", "a job"
    elif kind is TRANSFORM_JOB:
        noun, what = "Transform job", "a transform job"
    elif kind is MODEL_PACKAGE_GROUP:
        return validation(f"Model Package Group already exists: {arn}")
    elif kind is MODEL_PACKAGE:
        return validation(f"ModelPackage already exists: {arn}")
    else:
        return validation(f'Cannot create already existing {_NOUNS[kind]} "{arn}".')
    return SageMakerError(
        "ResourceInUse",
        f"{noun} names must be unique within an AWS account and region, and {what} with this name already exists "
        f"({arn})",
    )
