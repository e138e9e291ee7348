"""ARNs of what the runs make: everything carries the environment's prefix, and IAM is scoped to it."""

from __future__ import annotations

from dataclasses import dataclass

import aws_cdk as cdk

__all__ = ["Names"]

PARTITION, REGION, ACCOUNT = cdk.Aws.PARTITION, cdk.Aws.REGION, cdk.Aws.ACCOUNT_ID


@dataclass(frozen=True)
class Names:
    """Names and ARN patterns of one environment; `prefix` is `whippet-dev`."""

    prefix: str

    @property
    def endpoint(self) -> str:
        """One endpoint per environment: its name stays, its configuration changes with each release."""
        return self.prefix

    @property
    def endpoint_log_group(self) -> str:
        """Where SageMaker writes the endpoint's log (fixed by the service)."""
        return f"/aws/sagemaker/Endpoints/{self.endpoint}"

    @property
    def serving_repository(self) -> str:
        """ECR repository of the serving image."""
        return f"{self.prefix}-serving"

    def of_runs(self, *kinds: str) -> list[str]:
        """ARN patterns of `training-job`, `model` … that the runs of this environment make."""
        return [_sagemaker(f"{kind}/{self.prefix}-*") for kind in kinds]

    @property
    def endpoint_arn(self) -> str:
        """The endpoint itself."""
        return _sagemaker(f"endpoint/{self.endpoint}")

    @property
    def model_package_group(self) -> str:
        """The registry's group; every judged model is a version in it."""
        return self.prefix

    @property
    def model_package_group_arn(self) -> str:
        """The group itself."""
        return _sagemaker(f"model-package-group/{self.model_package_group}")

    @property
    def model_package_arns(self) -> str:
        """ARN pattern of the group's versions."""
        return _sagemaker(f"model-package/{self.model_package_group}/*")

    @staticmethod
    def job_log_groups() -> list[str]:
        """The log groups that SageMaker's jobs of an account share (fixed by the service), with their streams."""
        return [
            f"arn:{PARTITION}:logs:{REGION}:{ACCOUNT}:log-group:/aws/sagemaker/{kind}{part}"
            for kind in ("TrainingJobs", "ProcessingJobs")
            for part in ("", ":log-stream:*")
        ]

    @staticmethod
    def step_functions_rules(*kinds: str) -> list[str]:
        """EventBridge rules by which Step Functions hears of finished jobs of these kinds: `Training`, `Tuning` …

        Source: "IAM policies for calling SageMaker AI with Step Functions".
        """
        return [
            f"arn:{PARTITION}:events:{REGION}:{ACCOUNT}:rule/StepFunctionsGetEventsForSageMaker{kind}JobsRule"
            for kind in kinds
        ]


def _sagemaker(resource: str) -> str:
    return f"arn:{PARTITION}:sagemaker:{REGION}:{ACCOUNT}:{resource}"
