"""Names and ARNs of what the runs create: they begin with the environment's prefix, and IAM is scoped to it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar

import contract

__all__ = ["Names"]


@dataclass(frozen=True)
class Names:
    """Names and ARN patterns of one environment; `prefix` is for example `whippet-dev`."""

    EXECUTIONS: ClassVar = "The name of an execution is not known at deployment."
    """Why the resource `executions_arn` is a pattern."""

    prefix: str

    @property
    def endpoint(self) -> str:
        """Name of the endpoint; it stays, while its configuration changes with each release."""
        return self.prefix

    @property
    def variant(self) -> str:
        """Name of the endpoint's only variant; SageMaker guards an update only where it stays the same."""
        return contract.ENDPOINT_VARIANT

    @staticmethod
    def alarm_arn(name: str) -> str:
        """Return the ARN of an alarm."""
        return _arn("cloudwatch", f"alarm:{name}")

    @property
    def key_description(self) -> str:
        """Description of the environment's KMS key, by which it is found when its stack is gone."""
        return f"Encrypts what {self.prefix} stores"

    @property
    def endpoint_log_group(self) -> str:
        """Log group to which SageMaker writes the endpoint's log; the service fixes the name."""
        return f"/aws/sagemaker/Endpoints/{self.endpoint}"

    def serving_repository(self, key: str = "aws") -> str:
        """Return the name of the ECR repository of the serving image.

        A repository's key is for good: with another key (`security.kms_key`) it is another one, of another name, since
        CloudFormation makes the new one before it deletes the old.
        """
        if key == "aws":
            return f"{self.prefix}-serving"
        return f"{self.prefix}-{hashlib.sha256(key.encode()).hexdigest()[:8]}-serving"

    def of_runs(self, *kinds: str) -> list[str]:
        """Return the ARN patterns of what the runs create, by kinds of resource such as `training-job` and `model`."""
        return [_sagemaker(f"{kind}/{self.prefix}-*") for kind in kinds]

    @property
    def endpoint_arn(self) -> str:
        """ARN of the endpoint."""
        return _sagemaker(f"endpoint/{self.endpoint}")

    @property
    def model_package_group(self) -> str:
        """Model package group of the registry; every model that got a verdict is a version in it."""
        return self.prefix

    @property
    def model_package_group_arn(self) -> str:
        """ARN of the model package group."""
        return _sagemaker(f"model-package-group/{self.model_package_group}")

    @property
    def model_package_arns(self) -> str:
        """ARN pattern of the group's versions."""
        return _sagemaker(f"model-package/{self.model_package_group}/*")

    @property
    def sleep_record(self) -> str:
        """Name of the SSM parameter that says which model sleeps."""
        return f"/{self.prefix}/sleeping-model"

    @property
    def sleep_record_arn(self) -> str:
        """ARN of that parameter."""
        return _arn("ssm", f"parameter{self.sleep_record}")

    @property
    def state_machine_arn(self) -> str:
        """ARN of the state machine, for a permission of what is part of it."""
        return _arn("states", f"stateMachine:{self.prefix}")

    @property
    def executions_arn(self) -> str:
        """ARN pattern of the state machine's executions."""
        return _arn("states", f"execution:{self.prefix}:*")

    @staticmethod
    def log_group_arns(log_group: str) -> list[str]:
        """Return the ARN of a log group and the ARN pattern of its streams."""
        arn = _arn("logs", f"log-group:{log_group}")
        return [arn, f"{arn}:log-stream:*"]

    @staticmethod
    def step_functions_rule(kind: str) -> str:
        """Return the EventBridge rule by which Step Functions learns of finished jobs: `Training`, `Tuning` …

        Source: "IAM policies for calling SageMaker AI with Step Functions" (Step Functions developer guide).
        """
        return _arn("events", f"rule/StepFunctionsGetEventsForSageMaker{kind}JobsRule")


def _arn(service: str, resource: str) -> str:
    # The command line asks for names alone, and need not start CDK, which starts Node.js.
    from aws_cdk import Aws

    return f"arn:{Aws.PARTITION}:{service}:{Aws.REGION}:{Aws.ACCOUNT_ID}:{resource}"


def _sagemaker(resource: str) -> str:
    return _arn("sagemaker", resource)
